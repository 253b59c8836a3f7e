import { resolve } from "node:path";
import { defineConfig } from "vite";

// Built into the live page's folder, after it. `sightline publish` takes both scripts from there:
// the start gets a name with its hash, the service worker the list of the site's files.
export default defineConfig({
  root: import.meta.dirname,
  publicDir: false,
  base: "./",
  build: {
    target: "es2022",
    outDir: "../../../src/sightline/server/static/publish",
    emptyOutDir: true,
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: {
        start: resolve(import.meta.dirname, "src/start.ts"),
        worker: resolve(import.meta.dirname, "src/worker.ts"),
      },
      output: { entryFileNames: "[name].js" },
    },
  },
});
