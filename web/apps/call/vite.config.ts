import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: {
    target: "es2022",
    outDir: "../../../src/sightline/server/static/call",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    assetsDir: ".",
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: {
      // The runtime that the live page's build has put beside this folder: it lies there once.
      external: ["@sightline/web"],
      output: { paths: { "@sightline/web": "../sightline.js" } },
    },
  },
});
