/**
 * The npm package: `npm run package` puts into build/npm what `npm pack` and `npm publish` take. One
 * module with its workers and WebAssembly beside it, which needs no bundler.
 */
import { readFileSync } from "node:fs";
import { basename, resolve } from "node:path";
import { defaultClientConditions, defineConfig, type Plugin } from "vite";
import { assemblyScript } from "../../assembly.ts";

const here = import.meta.dirname;

/** package.json, licence and notice of what is published. */
const manifest: Plugin = {
  name: "manifest",
  generateBundle() {
    const { name, version, description, license, type } = JSON.parse(
      readFileSync(resolve(here, "package.json"), "utf8"),
    ) as Record<string, string>;
    const published = {
      name,
      version,
      description,
      license,
      type,
      sideEffects: false,
      exports: {
        ".": { types: "./types/package.d.ts", default: "./package.js" },
        "./*": "./*",
      },
    };
    const source = `${JSON.stringify(published, null, 2)}\n`;
    this.emitFile({ type: "asset", fileName: "package.json", source });
    const texts = ["LICENSE", "NOTICE", "web/apps/live/public/licenses.txt"];
    for (const file of texts.map((name) => resolve(here, "../../..", name))) {
      this.emitFile({
        type: "asset",
        fileName: basename(file),
        source: readFileSync(file, "utf8"),
      });
    }
  },
};

export default defineConfig({
  root: here,
  base: "./",
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  // Licences stand in licenses.txt.
  worker: {
    format: "es",
    plugins: () => [assemblyScript()],
    rolldownOptions: { output: { comments: { legal: false } } },
  },
  plugins: [manifest],
  build: {
    target: "es2022",
    outDir: "../../../build/npm",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: {
        sightline: resolve(here, "src/index.ts"),
        "sightline-video": resolve(here, "src/element/index.ts"),
        package: resolve(here, "src/package.ts"),
      },
      preserveEntrySignatures: "exports-only",
      output: {
        keepNames: true, // an error's is shown in consoles
        entryFileNames: "[name].js",
        comments: { legal: false, annotation: true },
      },
    },
  },
});
