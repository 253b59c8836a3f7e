/**
 * Models that were loaded before, in the browser's Cache API: files by their sha256, manifests by
 * their address. Whatever the browser refuses (pages that are not secure have no such cache, disks
 * are full) only means that a model is downloaded again.
 */
import { type Manifest, parseManifest } from "./manifest";
import { sha256OfModel } from "./sha256";

const STORE = "sightline-models";
/** Addresses that are kept; a server's new version of a model may have a new address. */
const MOST_MODELS = 8;

export class ModelCache {
  readonly #cache: Cache;

  private constructor(cache: Cache) {
    this.#cache = cache;
  }

  /** null where there is none. */
  static async open(): Promise<ModelCache | null> {
    try {
      return new ModelCache(await caches.open(STORE));
    } catch {
      return null;
    }
  }

  /** The file with this sha256, checked; one that is damaged is thrown away. */
  async readFile(sha256: string): Promise<Uint8Array<ArrayBuffer> | null> {
    try {
      const response = await this.#cache.match(fileKey(sha256));
      if (response === undefined) return null;
      const bytes = new Uint8Array(await response.arrayBuffer());
      if ((await sha256OfModel(bytes)) === sha256) return bytes;
      await this.#cache.delete(fileKey(sha256));
    } catch {
      // as if it were not there
    }
    return null;
  }

  /** The manifest last loaded from this address. */
  async readManifest(url: string): Promise<Manifest | null> {
    try {
      const response = await this.#cache.match(url);
      return response === undefined ? null : parseManifest(await response.json(), url);
    } catch {
      return null;
    }
  }

  /** Keep a model whose files are whole, and drop what no kept model has any more. */
  async store(
    url: string,
    manifestText: string,
    files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  ): Promise<void> {
    try {
      for (const [sha256, bytes] of files) {
        if ((await this.#cache.match(fileKey(sha256))) === undefined) {
          await this.#cache.put(fileKey(sha256), new Response(bytes));
        }
      }
      // Last: a manifest in the cache is one whose files are too.
      const headers = { "Content-Type": "application/json" };
      await this.#cache.delete(url); // to be the youngest
      await this.#cache.put(url, new Response(manifestText, { headers }));
      await this.#sweep();
    } catch {
      // not kept: the next visit downloads it again
    }
  }

  async #sweep(): Promise<void> {
    const keys = await this.#cache.keys();
    const isFile = (key: Request) => key.url.startsWith(fileKey(""));
    const manifests = keys.filter((key) => !isFile(key));
    const needed = new Set<string>();
    for (const key of manifests.slice(-MOST_MODELS)) {
      const manifest = await this.readManifest(key.url);
      for (const { sha256 } of manifest?.files ?? []) needed.add(fileKey(sha256));
    }
    const old = [
      ...manifests.slice(0, -MOST_MODELS),
      ...keys.filter((key) => isFile(key) && !needed.has(key.url)),
    ];
    for (const key of old) await this.#cache.delete(key);
  }
}

/** Nothing lies at this address; the cache only takes such keys. */
function fileKey(sha256: string): string {
  return new URL(`/.sightline-models/${sha256}`, location.href).href;
}
