/**
 * The service worker of a published site: isolation without a host's headers, use without a
 * network, and updates that are whole.
 *
 * Each version has a cache of its own. A file enters it only with the sha256 that the version's
 * list gives it, and is then served from there, so that a page never gets files of two versions.
 * A later version is fetched whole before it may take over.
 */
/// <reference lib="webworker" />
import type { Message } from "./messages";
import { isolated, partOf, pathIn, pathsToKeep, type Site, sha256 } from "./site";

declare const self: ServiceWorkerGlobalScope & { readonly SIGHTLINE_SITE: Site };

const site = self.SIGHTLINE_SITE;
const scope = new URL("./", self.location.href);
// Other sites may lie at other paths of the same host: theirs are not to be touched.
const PREFIX = `sightline ${scope.pathname} `;
const CACHE = PREFIX + site.version;
/** By path: when a file that is being fetched is kept, or is found not to be this version's. */
const underway = new Map<string, Promise<void>>();

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));

self.addEventListener("message", (event) => {
  const message: Message = event.data;
  event.waitUntil(message === "keep-everything" ? keepEverything() : takeOverIfAlone());
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const path = pathIn(scope, request.url);
  if (request.method !== "GET" || path === null) return;
  event.respondWith(answer(request, path, (work) => event.waitUntil(work)));
});

async function install(): Promise<void> {
  // The first page has begun without it and waits; an update must be whole before it is used.
  if (self.registration.active === null) await self.skipWaiting();
  else await fetchUpdate();
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) {
    if (name.startsWith(PREFIX) && name !== CACHE) await caches.delete(name);
  }
  await self.clients.claim();
}

/** All files of this version: those that an earlier one has already are copied. */
async function fetchUpdate(): Promise<void> {
  const cache = await caches.open(CACHE);
  for (const path of Object.keys(site.files)) {
    const former = await caches.match(keyOf(path));
    if (former !== undefined) await keep(path, former);
  }
  for (const path of pathsToKeep(site)) {
    if ((await cache.match(keyOf(path))) === undefined) await keep(path, await download(path));
    if ((await cache.match(keyOf(path))) === undefined) {
      throw new Error(`${path} is not yet the one of version ${site.version}`);
    }
  }
}

async function takeOverIfAlone(): Promise<void> {
  const pages = await self.clients.matchAll({ includeUncontrolled: true, type: "window" });
  const own = pages.filter(({ url }) => pathIn(scope, url) !== null);
  if (own.length === 1) await self.skipWaiting();
}

async function keepEverything(): Promise<void> {
  for (const path of pathsToKeep(site)) {
    const extended: Promise<void>[] = [];
    const response = await take(path, (work) => extended.push(work));
    await Promise.all(extended);
    await response.body?.cancel();
  }
}

async function answer(
  request: Request,
  path: string,
  extend: (work: Promise<void>) => void,
): Promise<Response> {
  if (site.files[path] === undefined) return isolated(await fetch(request));
  const whole = await take(path, extend);
  const range = request.headers.get("Range");
  return range !== null && whole.ok ? await partOf(whole, range) : whole;
}

/** A file of this version from the cache, else from the host, which fills the cache. */
async function take(path: string, extend: (work: Promise<void>) => void): Promise<Response> {
  await underway.get(path);
  const kept = await (await caches.open(CACHE)).match(keyOf(path));
  if (kept !== undefined) return kept;
  const fetched = download(path);
  const keeping = fetched
    .then((response) => keep(path, response.clone()))
    .catch(() => undefined) // the page is told by its own half
    .finally(() => underway.delete(path));
  underway.set(path, keeping);
  extend(keeping);
  return await fetched;
}

/** Put a file into the cache if it is the one that this version lists. */
async function keep(path: string, response: Response): Promise<void> {
  const bytes = await response.arrayBuffer();
  if (!response.ok || (await sha256(bytes)) !== site.files[path]?.sha256) return;
  const cache = await caches.open(CACHE);
  await cache.put(keyOf(path), isolated(new Response(bytes), site.files[path].type));
}

async function download(path: string): Promise<Response> {
  const address = keyOf(path);
  const file = site.files[path];
  const type = file?.type ?? "";
  if (file?.gzip && !(await isCompressed(address))) {
    const packed = await fetch(`${address}.gz`, { cache: "no-cache" });
    // Some hosts answer with a page where there is no file.
    const isFile = packed.ok && !packed.headers.get("Content-Type")?.startsWith("text/html");
    if (isFile && packed.body !== null) {
      const isPlain = packed.headers.has("Content-Encoding"); // the browser has unpacked it
      const unpack = new DecompressionStream("gzip");
      return isolated(new Response(isPlain ? packed.body : packed.body.pipeThrough(unpack)), type);
    }
  }
  const response = await fetch(address, { cache: "no-cache" });
  return isolated(response, response.ok ? type : undefined);
}

/** Whether the host compresses this file by itself; one that cannot be asked is believed to. */
async function isCompressed(address: string): Promise<boolean> {
  const head = await fetch(address, { method: "HEAD", cache: "no-cache" });
  return !head.ok || head.headers.has("Content-Encoding");
}

function keyOf(path: string): string {
  return new URL(path, scope).href;
}
