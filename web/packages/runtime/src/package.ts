/**
 * What bundlers see of the npm package: every type, and a way to the runtime itself, which stays in
 * its folder. Bundlers would tear its workers and WebAssembly from each other.
 */
import type * as Runtime from "./index";

export type * from "./index";

/** The runtime, from the folder of one's own site that the package's files were copied to. */
export async function loadRuntime(folder: string | URL): Promise<typeof Runtime> {
  const script = new URL("sightline.js", new URL(folder, document.baseURI));
  return await import(/* @vite-ignore */ /* webpackIgnore: true */ script.href);
}
