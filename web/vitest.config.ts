import { defineConfig } from "vitest/config";
import { assemblyScript } from "./assembly.ts";

export default defineConfig({
  plugins: [assemblyScript()],
  test: { include: ["packages/*/src/**/*.test.ts", "apps/*/src/**/*.test.ts"] },
});
