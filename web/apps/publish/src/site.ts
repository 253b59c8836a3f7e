/** What a service worker knows of its published site, and how it answers; no caches, no network. */

/** `version` changes with any file. Paths are relative to the site's own address. */
export interface Site {
  readonly version: string;
  readonly files: Readonly<Record<string, SiteFile>>;
}

export interface SiteFile {
  readonly sha256: string;
  readonly type: string;
  /** Whether there is a copy of it with .gz after its name. */
  readonly gzip: boolean;
  /** Whether it is kept for use without a network only once it was asked for. */
  readonly optional: boolean;
}

const INDEX = "index.html";

/** The name under `scope` that an address means; null where it lies elsewhere. */
export function pathIn(scope: URL, address: string): string | null {
  const { origin, pathname } = new URL(address);
  if (origin !== scope.origin || !pathname.startsWith(scope.pathname)) return null;
  return decodeURIComponent(pathname.slice(scope.pathname.length)) || INDEX;
}

/** The files to have without a network, in the order in which a page wants them. */
export function pathsToKeep({ files }: Site): string[] {
  return Object.keys(files).filter((path) => !files[path]?.optional);
}

/**
 * What isolates a page, which gives it SharedArrayBuffer (threads for wasm), and what keeps its
 * workers, which do not heed the page's own policy, from fetching anything elsewhere.
 */
const HEADERS = {
  "Content-Security-Policy": "connect-src 'self' blob: data:",
  "Cross-Origin-Embedder-Policy": "require-corp",
  "Cross-Origin-Opener-Policy": "same-origin",
  "Cross-Origin-Resource-Policy": "same-origin",
};

/** The same answer, isolating. `type`: what it is, where the host is not to be asked. */
export function isolated(response: Response, type?: string): Response {
  // Of a redirect or an error nothing can be changed.
  if (response.type === "opaqueredirect" || response.type === "error") return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  if (type !== undefined) headers.set("Content-Type", type);
  headers.delete("Content-Encoding"); // the body is as it is without
  headers.delete("Content-Length");
  const { status, statusText } = response;
  return new Response(response.body, { status, statusText, headers });
}

/** The part that a Range header asks for: players of video fetch so, and some insist on it. */
export async function partOf(whole: Response, range: string): Promise<Response> {
  const [, from = "", to = ""] = /^bytes=(\d*)-(\d*)$/.exec(range) ?? [];
  if (from === "" && to === "") return whole;
  const blob = await whole.blob();
  const start = from === "" ? Math.max(0, blob.size - Number(to)) : Number(from);
  const end = from === "" || to === "" ? blob.size : Math.min(blob.size, Number(to) + 1);
  const headers = new Headers(whole.headers);
  if (start >= end) {
    headers.set("Content-Range", `bytes */${blob.size}`);
    return new Response(null, { status: 416, headers });
  }
  headers.set("Content-Range", `bytes ${start}-${end - 1}/${blob.size}`);
  headers.set("Content-Length", String(end - start));
  return new Response(blob.slice(start, end), { status: 206, headers });
}

/** Hex. */
export async function sha256(bytes: ArrayBuffer): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
