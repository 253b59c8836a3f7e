/** Vite's way to AssemblyScript: `import { bytes } from "./x.ts?wasm"` gives the module, compiled. */
import { basename, dirname } from "node:path";
import asc from "assemblyscript/asc";
import type { Plugin } from "vite";

const QUERY = "?wasm";
const OPTIONS = ["--outFile", "wasm", "-O3", "--noAssert", "--runtime", "stub", "--enable", "simd"];

export function assemblyScript(): Plugin {
  return {
    name: "assemblyscript",
    enforce: "pre",
    async load(id) {
      if (!id.endsWith(QUERY)) return null;
      const path = id.slice(0, -QUERY.length);
      this.addWatchFile(path);
      let binary = Buffer.alloc(0);
      const { error, stderr } = await asc.main(
        [basename(path), "--baseDir", dirname(path), ...OPTIONS],
        {
          writeFile: (_, contents) => {
            binary = Buffer.from(contents);
          },
        },
      );
      if (error !== null) throw new Error(`${path}: ${error.message}\n${stderr}`);
      const base64 = JSON.stringify(binary.toString("base64"));
      return `export const bytes = Uint8Array.from(atob(${base64}), (letter) => letter.charCodeAt(0));`;
    },
  };
}
