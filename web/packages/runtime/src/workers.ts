/** Workers from this package's files, also where these come from another server than the page. */

/** By the script's address: a script of the page's own that imports it. */
const bridges = new Map<string, string>();

/** Browsers start workers from the page's own origin alone, but let them import from others. */
export function startWorker(url: string): Worker {
  const script = new URL(url, location.href);
  if (script.origin === location.origin) return new Worker(script, { type: "module" });
  let bridge = bridges.get(script.href);
  if (bridge === undefined) {
    const source = `import ${JSON.stringify(script.href)};`;
    bridge = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
    bridges.set(script.href, bridge);
  }
  return new Worker(bridge, { type: "module" });
}
