/** Where objects are found: in this page, or on the server that it comes from. */
import type { CatalogueModel } from "./catalogue";
import { element, setText } from "./elements";

export type Place = "device" | "websocket" | "webrtc";

const PLACES: readonly Place[] = ["device", "websocket", "webrtc"];

/** The place that the address asks for by `run`; on this device if by none. */
export function readPlace(run: string | null): Place {
  if (run === "server") return "websocket";
  return PLACES.find((place) => place === run) ?? "device";
}

/** Where a model can run. */
export function placesOf(model: CatalogueModel): readonly Place[] {
  return PLACES.filter((place) => (place === "device" ? model.location !== null : model.isServed));
}

/** The wanted place, if the model runs there; else the first where it does. */
export function placeFor(model: CatalogueModel, wanted: Place): Place {
  const possible = placesOf(model);
  return possible.includes(wanted) ? wanted : (possible[0] ?? "device");
}

interface Words {
  readonly hint: string;
  readonly promise: string;
  readonly detail: string;
  readonly where: string;
}

function wordsFor(place: Place, host: string): Words {
  if (place === "device") {
    return {
      hint: "The model runs in this browser.",
      promise: "Nothing leaves this device.",
      detail: "Pictures are looked at in this page and are not uploaded, stored or shared.",
      where: "right here in your browser",
    };
  }
  return {
    hint:
      place === "websocket"
        ? "Sent to the server picture by picture."
        : "Sent to the server as live video.",
    promise: `Pictures go to this server, ${host}.`,
    detail: "It looks at them and keeps none. Nobody else gets them.",
    where: "on the server",
  };
}

/** The control, and the words on the page that follow from it. */
export class PlaceChoice {
  readonly #select = element("place", HTMLSelectElement);

  constructor(onChange: (place: Place) => void) {
    this.#select.addEventListener("change", () => onChange(readPlace(this.#select.value)));
  }

  show(place: Place, possible: readonly Place[]): void {
    element("place-card", HTMLElement).hidden = possible.length < 2;
    for (const option of this.#select.options) {
      option.disabled = !possible.includes(readPlace(option.value));
    }
    this.#select.value = place;
    const words = wordsFor(place, location.host);
    const reason = possible.includes("device") ? "" : "This model does not run in browsers. ";
    const hint = element("place-hint", HTMLElement);
    setText(hint, reason + words.hint);
    hint.hidden = place === "device"; // the promise below says as much
    setText(element("privacy-promise", HTMLElement), words.promise);
    setText(element("privacy-detail", HTMLElement), words.detail);
    setText(element("empty-place", HTMLElement), words.where);
    const icon = place === "device" ? "#icon-shield" : "#icon-upload";
    element("privacy-icon", SVGUseElement).setAttribute("href", icon);
  }
}
