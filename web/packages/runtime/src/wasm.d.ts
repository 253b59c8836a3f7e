/** AssemblyScript, compiled by the build (web/assembly.ts). */
declare module "*?wasm" {
  export const bytes: Uint8Array<ArrayBuffer>;
}
