/** What the server, or the folder of a published page, offers: models, perhaps a sample clip. */
import { firstLine, ManifestInvalid, type ModelLocation } from "@sightline/web";
import { NoModels, ServerUnreachable } from "./problems";

export interface CatalogueModel {
  readonly name: string;
  readonly labels: readonly string[];
  readonly scoreThreshold: number;
  /** Where the page gets it, to run it here; null where the page cannot run it. */
  readonly location: ModelLocation | null;
  /** Whether the server runs it. */
  readonly isServed: boolean;
}

export interface Catalogue {
  readonly models: readonly [CatalogueModel, ...CatalogueModel[]];
  readonly sampleClipUrl: string | null;
}

/** Raises ServerUnreachable, NoModels or ManifestInvalid. */
export async function fetchCatalogue(): Promise<Catalogue> {
  const published = document.querySelector<HTMLLinkElement>('link[rel="sightline-catalogue"]');
  const url = new URL(published?.href ?? "v1/models", document.baseURI);
  let value: unknown;
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    value = await response.json();
  } catch (error) {
    const reason = error instanceof TypeError ? "the server cannot be reached" : firstLine(error);
    const advice = published === null ? "check that sightline serve runs" : "try again when online";
    throw new ServerUnreachable(`the list of models cannot be had: ${reason}; ${advice}`);
  }
  return parseCatalogue(value, url);
}

export function parseCatalogue(value: unknown, base: URL): Catalogue {
  const listing = value as { models?: unknown; sample_clip?: unknown } | null;
  if (!Array.isArray(listing?.models)) throw wrong(base, "models");
  const [first, ...rest] = listing.models
    .map((item: unknown) => parseModel(item, base))
    .filter(({ location, isServed }) => location !== null || isServed);
  if (first === undefined) {
    throw new NoModels(
      listing.models.length === 0
        ? "start it with one: sightline serve MODEL"
        : "the models here run neither in this page nor on the server; give it an ONNX model",
    );
  }
  const clip = listing.sample_clip;
  const sampleClipUrl = typeof clip === "string" ? new URL(clip, base).href : null;
  return { models: [first, ...rest], sampleClipUrl };
}

function parseModel(item: unknown, base: URL): CatalogueModel {
  const { name, manifest, graph, files, labels, score_threshold, detects } = (item ?? {}) as Record<
    string,
    unknown
  >;
  const isPlaced = typeof manifest === "string" && (typeof graph === "string" || graph === null);
  if (typeof name !== "string" || !isPlaced) throw wrong(base, "models[].name, .manifest, .graph");
  if (!Array.isArray(labels) || typeof score_threshold !== "number") {
    throw wrong(base, "models[].labels, .score_threshold");
  }
  const manifestUrl = new URL(manifest, base).href;
  // A model for TensorFlow.js has no ONNX graph; this is the file that it is opened by.
  const opened = graph ?? (files as Record<string, string> | undefined)?.["model.json"] ?? null;
  return {
    name,
    labels: labels.map(String),
    scoreThreshold: score_threshold,
    location: opened === null ? null : { manifestUrl, graphUrl: new URL(opened, base).href },
    isServed: detects !== false, // a server that does not say so is one that does
  };
}

function wrong(url: URL, field: string): ManifestInvalid {
  return new ManifestInvalid(
    `${url.pathname}: ${field} is not as this page expects; page and server are of different versions`,
  );
}
