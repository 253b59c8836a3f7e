/** static/objDetect.js, which looks at every frame it can. A classic script, as pages of 2017 include it. */
import type { runScriptTag } from "@sightline/web";

const script = document.currentScript as HTMLScriptElement;
const address = new URL("../sightline.js", script.src).href;
const runtime: Promise<{ runScriptTag: typeof runScriptTag }> = import(/* @vite-ignore */ address);
runtime.then((loaded) => loaded.runScriptTag(script, { onMotion: false }));
