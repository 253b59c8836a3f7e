/** Puts each example's code beside the example, and runs it when asked. */
import { element } from "../../live/src/elements";

interface Catalogue {
  readonly default: string;
  readonly sample_clip: string | null;
}

/** The address of the chosen video, in the sample clip's place. */
let clipUrl: string | null = null;

async function start(): Promise<void> {
  const response = await fetch("../v1/models");
  if (!response.ok) throw new Error(`the server answered ${response.status}`);
  const { default: model, sample_clip } = (await response.json()) as Catalogue;
  element("no-clip", HTMLElement).hidden = sample_clip !== null;
  element("clip-file", HTMLInputElement).addEventListener("change", ({ currentTarget }) => {
    const [file] = (currentTarget as HTMLInputElement).files ?? [];
    if (file !== undefined) clipUrl = URL.createObjectURL(file);
  });
  const places = document.querySelectorAll<HTMLElement>("[data-example]");
  const examples = await Promise.all([...places].map((place) => showExample(place, model)));
  if (sample_clip !== null) examples[0]?.click();
}

/** The button that runs it. */
async function showExample(place: HTMLElement, model: string): Promise<HTMLButtonElement> {
  const text = (await read(`examples/${place.dataset.example}.html`)).replaceAll(
    "NAME",
    encodeURIComponent(model),
  );
  // Unlike those of innerHTML, its scripts run once they are in the page.
  const parse = () => document.createRange().createContextualFragment(text);
  const stage = document.createElement("div");
  stage.className = "stage";
  const run = document.createElement("button");
  run.type = "button";
  run.textContent = "Run";
  run.addEventListener("click", () => {
    const copy = parse();
    if (clipUrl !== null) replaceClip(copy, clipUrl);
    stage.replaceChildren(copy);
  });
  stage.append(run);
  const code = document.createElement("div");
  code.className = "code";
  code.append(block(text));
  for (const script of parse().querySelectorAll<HTMLScriptElement>("[type=module]")) {
    const source = script.getAttribute("src") ?? "";
    if (!source.startsWith("examples/")) continue; // the runtime's own
    code.append(block(await read(source), source));
  }
  place.append(stage, code);
  return run;
}

function replaceClip(copy: DocumentFragment, url: string): void {
  for (const shown of copy.querySelectorAll("video, sightline-video"))
    shown.setAttribute("src", url);
}

async function read(url: string): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: the server answered ${response.status}`);
  return await response.text();
}

function block(text: string, name?: string): HTMLElement {
  const figure = document.createElement("figure");
  if (name !== undefined) {
    const caption = document.createElement("figcaption");
    caption.textContent = name;
    figure.append(caption);
  }
  const pre = document.createElement("pre");
  pre.tabIndex = 0; // so that it is scrolled by keys
  pre.textContent = text.trim();
  figure.append(pre);
  return figure;
}

start().catch((error: unknown) => {
  const problem = element("problem", HTMLElement);
  problem.hidden = false;
  problem.textContent = `The examples cannot be shown: ${error instanceof Error ? error.message : error}`;
});
