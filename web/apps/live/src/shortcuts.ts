/** Single keys that do what buttons do, and the window that lists them. */
import { button, element } from "./elements";

export interface Shortcut {
  /** As KeyboardEvent.key has it, in lower case. */
  readonly key: string;
  readonly shown: string;
  readonly does: string;
  readonly act: () => void;
}

export class Shortcuts {
  readonly #dialog = element("help", HTMLDialogElement);
  readonly #switch = element("shortcuts", HTMLInputElement);
  readonly #shortcuts: readonly Shortcut[];

  /** `onSwitch`: whether keys count from now on; who dictates or has a tremor turns them off. */
  constructor(shortcuts: readonly Shortcut[], isOn: boolean, onSwitch: (isOn: boolean) => void) {
    const help = { key: "?", shown: "?", does: "This list", act: () => this.#dialog.showModal() };
    this.#shortcuts = [...shortcuts, help];
    this.#switch.checked = isOn;
    this.#switch.addEventListener("change", () => onSwitch(this.#switch.checked));
    element("keys", HTMLDListElement).replaceChildren(...this.#shortcuts.map(makeLine));
    button("show-help").addEventListener("click", () => this.#dialog.showModal());
    button("help-done").addEventListener("click", () => this.#dialog.close());
    this.#dialog.addEventListener("click", ({ target }) => {
      if (target === this.#dialog) this.#dialog.close();
    });
    window.addEventListener("keydown", (event) => this.#take(event));
  }

  #take(event: KeyboardEvent): void {
    if (!this.#switch.checked || event.repeat || event.defaultPrevented) return;
    if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own
    if (document.querySelector("dialog[open]") !== null) return;
    const isSpace = event.key === " ";
    // What has the focus has its own use of the key.
    const busy = isSpace ? "button, input, select, summary" : "select, input:not([type=checkbox])";
    if (event.target instanceof Element && event.target.closest(busy) !== null) return;
    const shortcut = this.#shortcuts.find(({ key }) => key === event.key.toLowerCase());
    if (shortcut === undefined) return;
    event.preventDefault();
    shortcut.act();
  }
}

function makeLine({ shown, does }: Shortcut): HTMLDivElement {
  const key = document.createElement("kbd");
  key.textContent = shown;
  const term = document.createElement("dt");
  term.append(key);
  const meaning = document.createElement("dd");
  meaning.textContent = does;
  const line = document.createElement("div");
  line.append(term, meaning);
  return line;
}
