import { resolve } from "node:path";
import { defineConfig } from "vite";

// The tags are classic scripts under names that pages of others write down. They import the runtime
// from beside themselves, sightline.js, and are a few lines each.
const TAGS = ["objDetect", "objDetectOnMotion"];

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  build: {
    target: "es2022",
    outDir: "../../../src/sightline/server/static",
    emptyOutDir: false,
    assetsInlineLimit: 0,
    modulePreload: false,
    reportCompressedSize: false,
    rolldownOptions: {
      input: {
        local: resolve(import.meta.dirname, "local.html"),
        video: resolve(import.meta.dirname, "video.html"),
        ...Object.fromEntries(
          TAGS.map((name) => [name, resolve(import.meta.dirname, `src/${name}.ts`)]),
        ),
      },
      // The runtime that the live page's build has put there: it lies there once.
      external: ["@sightline/web"],
      output: {
        paths: { "@sightline/web": "../sightline.js" },
        entryFileNames: ({ name }) =>
          TAGS.includes(name) ? "static/[name].js" : "assets/[name]-[hash].js",
        // A classic script's names are the page's: two tags would collide.
        postBanner: ({ name }) => (TAGS.includes(name) ? "(() => {" : ""),
        postFooter: ({ name }) => (TAGS.includes(name) ? "})();" : ""),
      },
    },
  },
});
