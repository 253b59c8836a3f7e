/** Importing this registers <sightline-video>. */
import { SightlineVideo } from "./sightlinevideo";

export type { ElementState, SightlineVideoEvents } from "./sightlinevideo";
export { SightlineVideo };

const NAME = "sightline-video";

declare global {
  interface HTMLElementTagNameMap {
    "sightline-video": SightlineVideo;
  }
}

// The same script may be loaded twice; an element's name can be given once.
if (customElements.get(NAME) === undefined) customElements.define(NAME, SightlineVideo);
