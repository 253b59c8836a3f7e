/** A model, whole and checked: from the browser's cache if it is there, else over HTTP. */
import { ModelHashMismatch, ModelTruncated, ModelUnreachable } from "../errors";
import { ModelCache } from "./cache";
import {
  authorize,
  type FetchOptions,
  fetchFile,
  fetchManifest,
  locateFile,
  type ModelLocation,
  type ProgressListener,
} from "./fetch";
import type { Manifest } from "./manifest";

/** `files`: each file's bytes by its name in the manifest. */
export interface Model {
  readonly manifest: Manifest;
  readonly files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>;
}

export interface LoadOptions {
  /** Called with the manifest before its files are loaded; may throw. */
  readonly onManifest?: (manifest: Manifest) => void;
  readonly onProgress?: ProgressListener | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Sent to the manifest's origin. */
  readonly token?: string | undefined;
}

/**
 * The model as its manifest is now; as it was loaded before where the server cannot be reached.
 * Raises a ModelError or TokenRefused, or rejects with the signal's reason.
 */
export async function loadModel(
  location: ModelLocation,
  options: LoadOptions = {},
): Promise<Model> {
  const cache = await ModelCache.open();
  try {
    return await download(location, cache, options, "default");
  } catch (error) {
    const isMixed = error instanceof ModelHashMismatch || error instanceof ModelTruncated;
    // Between manifest and graph the server's model was exchanged, or a proxy kept one of them.
    if (isMixed) return await download(location, cache, options, "reload");
    const isSilent = error instanceof ModelUnreachable;
    const former = isSilent && cache !== null ? await readFormer(location, cache) : null;
    if (former === null) throw error;
    options.onManifest?.(former.manifest);
    return former;
  }
}

async function download(
  location: ModelLocation,
  cache: ModelCache | null,
  options: LoadOptions,
  mode: RequestCache,
): Promise<Model> {
  const { onProgress, signal, token } = options;
  const requestOf = (url: string): FetchOptions => ({
    cache: mode,
    headers: authorize(url, location, token),
    ...(signal === undefined ? {} : { signal }),
  });
  const { manifestUrl } = location;
  const { manifest, text } = await fetchManifest(manifestUrl, requestOf(manifestUrl));
  options.onManifest?.(manifest);
  const total = manifest.files.reduce((sum, file) => sum + file.size, 0);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  const byHash = new Map<string, Uint8Array<ArrayBuffer>>();
  let before = 0;
  for (const file of manifest.files) {
    const url = locateFile(location, file);
    const bytes =
      (await cache?.readFile(file.sha256)) ??
      (await fetchFile(
        url,
        file,
        (loaded) => onProgress?.(before + loaded, total),
        requestOf(url),
      ));
    signal?.throwIfAborted();
    before += file.size;
    onProgress?.(before, total);
    files.set(file.name, bytes);
    byHash.set(file.sha256, bytes);
  }
  void cache?.store(manifestUrl, text, byHash);
  return { manifest, files };
}

async function readFormer(location: ModelLocation, cache: ModelCache): Promise<Model | null> {
  const manifest = await cache.readManifest(location.manifestUrl);
  const files = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const file of manifest?.files ?? []) {
    const bytes = await cache.readFile(file.sha256);
    if (bytes === null) return null;
    files.set(file.name, bytes);
  }
  return manifest === null ? null : { manifest, files };
}
