import { defineConfig } from "vite";

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: {
    target: "es2022",
    outDir: "../../../src/sightline/server/static/embed",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    assetsDir: ".",
    modulePreload: false,
    reportCompressedSize: false,
  },
});
