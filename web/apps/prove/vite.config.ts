import { resolve } from "node:path";
import { defaultClientConditions, defineConfig } from "vite";

// Built into the live page's folder, after it: the runtimes' wasm, which both load, lies there once.
// What only this page loads goes into prove/. Vite's root is apps/, so that the page itself lands
// there too.
const SHARED = /^(ort-wasm-simd-threaded(\.jspi)?\.(mjs|wasm)|tfjs-backend-wasm-simd\.wasm)$/;

export default defineConfig({
  publicDir: "prove/public",
  base: "./",
  resolve: { conditions: ["onnxruntime-web-use-extern-wasm", ...defaultClientConditions] },
  build: {
    target: "es2022",
    outDir: "../../src/sightline/server/static",
    emptyOutDir: false,
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
    rolldownOptions: {
      input: resolve(import.meta.dirname, "index.html"),
      output: {
        entryFileNames: "prove/[name]-[hash].js",
        chunkFileNames: "prove/[name]-[hash].js",
        assetFileNames: ({ names }) =>
          `${names.some((name) => SHARED.test(name)) ? "assets" : "prove"}/[name]-[hash][extname]`,
      },
    },
  },
});
