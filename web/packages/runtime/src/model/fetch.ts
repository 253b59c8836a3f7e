/** A model's files over HTTP: the manifest, checked, and the graph's bytes with progress. */
import {
  firstLine,
  ManifestInvalid,
  ModelBlocked,
  ModelHashMismatch,
  ModelNotFound,
  ModelTruncated,
  ModelUnreachable,
  TokenRefused,
} from "../errors";
import {
  GRAPH_NAME,
  MANIFEST_NAME,
  type Manifest,
  type ModelFile,
  parseManifest,
} from "./manifest";
import { sha256OfModel } from "./sha256";

export interface ModelLocation {
  readonly manifestUrl: string;
  /** Of the file that the graph is opened by; a graph model's weights lie beside it. */
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

/** The address of one of the model's files. */
export function locateFile(location: ModelLocation, file: ModelFile): string {
  if (file.name === GRAPH_NAME) return location.graphUrl;
  return new URL(file.name, new URL(location.graphUrl, document.baseURI)).href;
}

export type ProgressListener = (loadedBytes: number, totalBytes: number) => void;

/** How files are fetched; `cache: "reload"` asks the server whatever the browser has kept. */
export type FetchOptions = Pick<RequestInit, "cache" | "headers"> & {
  readonly signal?: AbortSignal;
};

/** The token as a header, for files of the manifest's origin alone. */
export function authorize(
  url: string,
  { manifestUrl }: ModelLocation,
  token?: string,
): HeadersInit {
  const originOf = (address: string) => new URL(address, document.baseURI).origin;
  const isGiven = token !== undefined && originOf(url) === originOf(manifestUrl);
  return isGiven ? { Authorization: `Bearer ${token}` } : {};
}

/**
 * The manifest and its text. Raises ModelNotFound, ModelUnreachable, ModelBlocked, TokenRefused,
 * ManifestInvalid or ManifestTooNew.
 */
export async function fetchManifest(
  url: string,
  options: FetchOptions = {},
): Promise<{ manifest: Manifest; text: string }> {
  const response = await request(url, options);
  let text: string;
  let value: unknown;
  try {
    text = await response.text();
    value = JSON.parse(text);
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    throw new ManifestInvalid(`${url} is not JSON (${firstLine(error)}); make the model again`);
  }
  return { manifest: parseManifest(value, url), text };
}

/**
 * The file's bytes, of the size and sha256 that the manifest says; `onBytes` is told how many have
 * come. Raises ModelNotFound, ModelUnreachable, ModelBlocked, TokenRefused, ModelTruncated or
 * ModelHashMismatch.
 */
export async function fetchFile(
  url: string,
  file: ModelFile,
  onBytes: (loaded: number) => void,
  options: FetchOptions = {},
): Promise<Uint8Array<ArrayBuffer>> {
  const response = await request(url, options);
  const bytes = new Uint8Array(file.size);
  let loaded = 0;
  try {
    for await (const chunk of chunks(response)) {
      if (loaded + chunk.length > file.size) throw wrongSize(url, "more", file.size);
      bytes.set(chunk, loaded);
      loaded += chunk.length;
      onBytes(loaded);
    }
  } catch (error) {
    if (options.signal?.aborted) throw options.signal.reason;
    if (error instanceof ModelTruncated) throw error;
    throw wrongSize(url, `${loaded} (${firstLine(error)})`, file.size);
  }
  if (loaded !== file.size) throw wrongSize(url, String(loaded), file.size);
  if ((await sha256OfModel(bytes)) !== file.sha256) {
    throw new ModelHashMismatch(
      `${url} does not have the sha256 that the manifest records: it was changed or damaged on ` +
        "the way; reload, or make the model again",
    );
  }
  return bytes;
}

async function request(url: string, options: FetchOptions): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, options);
  } catch {
    if (options.signal?.aborted) throw options.signal.reason;
    throw await explainSilence(url);
  }
  if (response.status === 404) {
    throw new ModelNotFound(`${url} is not there (404); the server no longer has this model`);
  }
  if (response.status === 401) {
    throw new TokenRefused(
      `${url} is only for those who know the server's token: give it as \`token\` beside \`model\`, or ` +
        "open the server's own page with it once",
    );
  }
  if (!response.ok) {
    throw new ModelUnreachable(`${url} answered ${response.status} ${response.statusText}`.trim());
  }
  return response;
}

/**
 * Why a fetch failed, which browsers do not tell: a request without CORS, whose answer nobody may
 * read, shows whether the server is there.
 */
async function explainSilence(url: string): Promise<ModelUnreachable | ModelBlocked> {
  if (globalThis.navigator?.onLine === false) {
    return new ModelUnreachable(
      `${url} cannot be had: this device is offline, and the model was not loaded here before`,
    );
  }
  const own = globalThis.location?.origin;
  if (own === undefined || new URL(url, location.href).origin === own) {
    return new ModelUnreachable(
      `${url} cannot be had: the server cannot be reached; check that it runs`,
    );
  }
  const permission = `Access-Control-Allow-Origin: ${own} (sightline serve: --cors-origin ${own})`;
  try {
    await fetch(url, { mode: "no-cors", cache: "no-store" });
  } catch {
    // An isolated page may not even be told that another server answers.
    return new ModelUnreachable(
      `${url} cannot be had: the server cannot be reached, or it does not let this page read ` +
        `from it; check that it runs and answers with ${permission}`,
    );
  }
  return new ModelBlocked(
    `${url} is there, but its server does not let this page read it (CORS); it must answer with ` +
      permission,
  );
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
