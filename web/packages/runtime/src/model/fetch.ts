/** A model's two files over HTTP: the manifest, checked, and the graph's bytes with progress. */
import {
  firstLine,
  ManifestInvalid,
  ModelNotFound,
  ModelTruncated,
  ModelUnreachable,
} from "../errors";
import { GRAPH_NAME, MANIFEST_NAME, type Manifest, parseManifest } from "./manifest";

export interface ModelLocation {
  readonly manifestUrl: string;
  readonly graphUrl: string;
}

/** Where the files of a bundle lie that is named by its folder or its manifest. */
export function locateModel(model: string | ModelLocation): ModelLocation {
  if (typeof model !== "string") return model;
  const named = new URL(model, document.baseURI);
  if (!named.pathname.endsWith(".json") && !named.pathname.endsWith("/")) named.pathname += "/";
  return {
    manifestUrl: new URL(named.pathname.endsWith("/") ? MANIFEST_NAME : "", named).href,
    graphUrl: new URL(GRAPH_NAME, named).href,
  };
}

export type ProgressListener = (loadedBytes: number, totalBytes: number) => void;

/** Raises ModelNotFound, ModelUnreachable, ManifestInvalid or ManifestTooNew. */
export async function fetchManifest(url: string, signal?: AbortSignal): Promise<Manifest> {
  const response = await request(url, signal);
  let value: unknown;
  try {
    value = await response.json();
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    throw new ManifestInvalid(`${url} is not JSON (${firstLine(error)}); make the model again`);
  }
  return parseManifest(value, url);
}

/**
 * The graph's bytes, as many as the manifest says; their sha256 is the worker's to check.
 * Raises ModelNotFound, ModelUnreachable or ModelTruncated.
 */
export async function fetchGraph(
  url: string,
  manifest: Manifest,
  onProgress?: ProgressListener,
  signal?: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await request(url, signal);
  const total = manifest.graph.size;
  const bytes = new Uint8Array(total);
  let loaded = 0;
  try {
    for await (const chunk of chunks(response)) {
      if (loaded + chunk.length > total) throw wrongSize(url, `more than ${total}`, total);
      bytes.set(chunk, loaded);
      loaded += chunk.length;
      onProgress?.(loaded, total);
    }
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (error instanceof ModelTruncated) throw error;
    throw wrongSize(url, `${loaded} (${firstLine(error)})`, total);
  }
  if (loaded !== total) throw wrongSize(url, String(loaded), total);
  return bytes;
}

async function request(url: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, signal === undefined ? {} : { signal });
  } catch {
    if (signal?.aborted) throw signal.reason;
    throw new ModelUnreachable(
      `${url} cannot be had: the server cannot be reached; check that it runs`,
    );
  }
  if (response.status === 404) {
    throw new ModelNotFound(`${url} is not there (404); the server no longer has this model`);
  }
  if (!response.ok) {
    throw new ModelUnreachable(`${url} answered ${response.status} ${response.statusText}`.trim());
  }
  return response;
}

async function* chunks(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  if (reader === undefined) return;
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    await reader.cancel().catch(() => undefined); // already broken: nothing left to cancel
  }
}

function wrongSize(url: string, found: string, expected: number): ModelTruncated {
  return new ModelTruncated(
    `${url}: ${found} bytes came, the manifest says ${expected}: the download broke off or the ` +
      "file was changed; reload, or make the model again",
  );
}
