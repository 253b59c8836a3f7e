import { resolve } from "node:path";
import { defaultClientConditions, defineConfig } from "vite";
import { assemblyScript } from "../../assembly.ts";

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  // ONNX Runtime's wasm and its loader stay files of their own, which its threads load again.
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  // Licences stand in licenses.txt, as of the page's own scripts.
  worker: {
    format: "es",
    plugins: () => [assemblyScript()],
    rolldownOptions: { output: { comments: { legal: false } } },
  },
  build: {
    target: "es2022",
    outDir: "../../../src/sightline/server/static",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 1000,
    rolldownOptions: {
      input: {
        index: resolve(import.meta.dirname, "index.html"),
        sightline: resolve(import.meta.dirname, "src/library.ts"),
        "sightline-video": resolve(import.meta.dirname, "src/element.ts"),
      },
      preserveEntrySignatures: "exports-only",
      output: {
        keepNames: true, // an error's is shown in consoles
        // These names are ones that other pages import: no hash.
        entryFileNames: ({ name }) =>
          name.startsWith("sightline") ? "[name].js" : "assets/[name]-[hash].js",
      },
    },
  },
});
