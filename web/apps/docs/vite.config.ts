import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { defineConfig, type Plugin } from "vite";

const require = createRequire(import.meta.url);
const read = (file: string) => readFileSync(require.resolve(`swagger-ui-dist/${file}`), "utf8");

/** The licences of what is bundled, beside the page, from the package itself. */
const licenses: Plugin = {
  name: "licenses",
  generateBundle() {
    const { version } = JSON.parse(read("package.json")) as { version: string };
    const source = [
      "This page is part of Sightline (Apache License 2.0) and carries:\n",
      `Swagger UI ${version}, https://github.com/swagger-api/swagger-ui, Apache License 2.0\n`,
      read("NOTICE"),
      "Within it:\n",
      read("swagger-ui-bundle.js.LICENSE.txt"),
      read("LICENSE"),
    ].join("\n");
    this.emitFile({ type: "asset", fileName: "licenses.txt", source });
  },
};

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  plugins: [licenses],
  build: {
    target: "es2022",
    outDir: "../../../src/sightline/server/static/docs",
    emptyOutDir: true,
    assetsInlineLimit: 0,
    assetsDir: ".",
    modulePreload: false,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
  },
});
