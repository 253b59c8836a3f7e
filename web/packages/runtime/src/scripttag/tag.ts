/**
 * The script tags of 2017: boxes over a page's <video>, found by a server or on this device. The
 * page writes <script id="objDetect" src=".../static/objDetect.js" data-source="myVideo">; what it
 * needs is nothing but that.
 */
import { firstLine, SightlineError } from "../errors";
import { type Answer2017, toAnswer2017 } from "../remote/wire2017";
import { watchVideo } from "../video/attach";
import type { WatchResult } from "../video/watch";
import { readAttributes, type TagKind, type TagOptions } from "./attributes";
import { followVideo } from "./source";

/** Dispatched on document with every answer; `detail` is the array that a server of 2017 sends. */
const EVENT = "objectDetection";

const LOOK = { color: "cyan", lineWidth: 4, fontFamily: "Verdana", fontSize: 20 };

/** Do what the attributes of the script ask for, until the page is left. */
export function runScriptTag(script: HTMLScriptElement, kind: TagKind): void {
  const reporter = new Reporter();
  try {
    const options = readAttributes((name) => script.getAttribute(name), kind, location.href);
    followVideo(options.source, (video) => attachTo(video, options, reporter));
    const warn = () => reporter.reportMissing(options.source);
    if (document.readyState === "complete") warn();
    else window.addEventListener("load", warn, { once: true });
  } catch (error) {
    reporter.report(error);
  }
}

function attachTo(video: HTMLVideoElement, options: TagOptions, reporter: Reporter): () => void {
  const { place, settings } = options;
  let model = "";
  const watch = watchVideo(video, {
    ...place,
    ...settings,
    look: LOOK,
    onReady: (engine) => {
      model = engine.detector?.manifest.name ?? "";
    },
    onState: (state) => {
      if (state.kind === "waiting") reporter.report(state.error);
      if (state.kind !== "ready") return;
      model = state.model;
      reporter.forget();
    },
    onResult: (result) => dispatch(result, model, settings.threshold),
    onError: (error) => reporter.report(error),
  });
  return () => watch.close();
}

function dispatch(result: WatchResult, model: string, threshold: number): void {
  if (result.isStill) return; // nobody was asked
  const detail = toAnswer2017(result, model, threshold);
  document.dispatchEvent(new CustomEvent<Answer2017>(EVENT, { detail }));
}

/** Tells the page's author in the console, once of each that goes on. */
class Reporter {
  #told = "";

  report(error: unknown): void {
    const message = error instanceof SightlineError ? error.message : firstLine(error);
    if (message === this.#told) return;
    this.#told = message;
    console.warn(`objDetect: ${message}`);
  }

  reportMissing(id: string): void {
    if (document.getElementById(id) instanceof HTMLVideoElement) return;
    this.report(`data-source: the page has no <video id="${id}"> yet; boxes come once it has`);
  }

  forget(): void {
    this.#told = "";
  }
}
