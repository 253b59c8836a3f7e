/** What the server offers: its models, and a sample clip if it has one. */
import { firstLine, ManifestInvalid, type ModelLocation } from "@sightline/web";
import { NoModels, ServerUnreachable } from "./problems";

export interface CatalogueModel extends ModelLocation {
  readonly name: string;
}

export interface Catalogue {
  readonly models: readonly [CatalogueModel, ...CatalogueModel[]];
  readonly sampleClipUrl: string | null;
}

/** Raises ServerUnreachable, NoModels or ManifestInvalid. */
export async function fetchCatalogue(): Promise<Catalogue> {
  const url = new URL("v1/models", document.baseURI);
  let value: unknown;
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`it answered ${response.status}`);
    value = await response.json();
  } catch (error) {
    throw new ServerUnreachable(
      `the list of models cannot be had (${firstLine(error)}); check that sightline serve runs`,
    );
  }
  return parseCatalogue(value, url);
}

export function parseCatalogue(value: unknown, base: URL): Catalogue {
  const listing = value as { models?: unknown; sample_clip?: unknown } | null;
  if (!Array.isArray(listing?.models)) throw wrong("models");
  const [first, ...rest] = listing.models.flatMap((item: unknown): CatalogueModel[] => {
    const { name, manifest, graph } = (item ?? {}) as Record<string, unknown>;
    if (graph === null) return []; // of another runtime than the page's
    if (typeof name !== "string" || typeof manifest !== "string" || typeof graph !== "string") {
      throw wrong("models[].name, .manifest, .graph");
    }
    const manifestUrl = new URL(manifest, base).href;
    return [{ name, manifestUrl, graphUrl: new URL(graph, base).href }];
  });
  if (first === undefined) {
    throw new NoModels(
      listing.models.length === 0
        ? "start it with one: sightline serve MODEL"
        : "the models here run on the server alone, over HTTP; the page needs an ONNX model",
    );
  }
  const clip = listing.sample_clip;
  const sampleClipUrl = typeof clip === "string" ? new URL(clip, base).href : null;
  return { models: [first, ...rest], sampleClipUrl };
}

function wrong(field: string): ManifestInvalid {
  return new ManifestInvalid(
    `/v1/models: ${field} is not as this page expects; page and server are of different versions`,
  );
}
