/** How much memory WebAssembly holds in this worker. Only ending the worker gives it back. */

/**
 * Call it before any runtime is loaded: bytes of all WebAssembly memories made from then on, made
 * by a script or inside of a module.
 */
export function watchMemory(): () => number {
  const memories = new Set<WebAssembly.Memory>();
  const { Memory, instantiate, instantiateStreaming } = WebAssembly;
  WebAssembly.Memory = class extends Memory {
    constructor(descriptor: WebAssembly.MemoryDescriptor) {
      super(descriptor);
      memories.add(this);
    }
  };
  const collect = (instance: WebAssembly.Instance): void => {
    for (const exported of Object.values(instance.exports)) {
      if (exported instanceof Memory) memories.add(exported);
    }
  };
  const keep = <T extends WebAssembly.Instance | WebAssembly.WebAssemblyInstantiatedSource>(
    result: T,
  ): T => {
    collect(result instanceof WebAssembly.Instance ? result : result.instance);
    return result;
  };
  Object.assign(WebAssembly, {
    instantiate: async (source: BufferSource, imports?: WebAssembly.Imports) =>
      keep(await instantiate(source, imports)),
    instantiateStreaming: async (source: Response, imports?: WebAssembly.Imports) =>
      keep(await instantiateStreaming(source, imports)),
  });
  return () => {
    let bytes = 0;
    for (const { buffer } of memories) bytes += buffer.byteLength;
    return bytes;
  };
}
