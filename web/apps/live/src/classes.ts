/** Which of a model's classes are shown: a line of the panel, and a list to search and tick. */
import { classColor } from "@sightline/web";
import { button, element, setText } from "./elements";

/** Shorter lists are taken in at a glance. */
const SEARCHED_FROM = 10;

export class ClassChoice {
  readonly #dialog = element("classes-dialog", HTMLDialogElement);
  readonly #list = element("classes", HTMLUListElement);
  readonly #search = element("classes-search", HTMLInputElement);
  readonly #onChange: (chosen: readonly string[] | null) => void;
  #labels: readonly string[] = [];
  #chosen: ReadonlySet<string> = new Set();

  /** `onChange`: the classes that are shown from now on; null: all. */
  constructor(onChange: (chosen: readonly string[] | null) => void) {
    this.#onChange = onChange;
    button("choose-classes").addEventListener("click", () => this.#open());
    button("classes-done").addEventListener("click", () => this.#dialog.close());
    button("classes-all").addEventListener("click", () => this.#choose(this.#labels));
    button("classes-none").addEventListener("click", () => this.#choose([]));
    this.#search.addEventListener("input", () => this.#filter());
    this.#list.addEventListener("change", () => this.#choose(this.#ticked()));
    // A click on the backdrop is one on the dialog itself.
    this.#dialog.addEventListener("click", ({ target }) => {
      if (target === this.#dialog) this.#dialog.close();
    });
  }

  /** Offer a model's classes, of which these are chosen; null: all. */
  show(labels: readonly string[], chosen: readonly string[] | null): void {
    this.#labels = labels;
    this.#chosen = new Set(chosen ?? labels);
    this.#list.replaceChildren(...labels.map(makeLine));
    this.#search.hidden = labels.length < SEARCHED_FROM;
    button("choose-classes").hidden = labels.length < 2;
    this.#refresh();
  }

  #open(): void {
    this.#search.value = "";
    this.#filter();
    this.#dialog.showModal();
  }

  #choose(chosen: readonly string[]): void {
    this.#chosen = new Set(chosen);
    this.#refresh();
    this.#onChange(chosen.length === this.#labels.length ? null : chosen);
  }

  #boxes(): readonly HTMLInputElement[] {
    return [...this.#list.querySelectorAll("input")];
  }

  #ticked(): readonly string[] {
    return this.#boxes().flatMap((box) => (box.checked ? [box.value] : []));
  }

  #refresh(): void {
    for (const box of this.#boxes()) box.checked = this.#chosen.has(box.value);
    const [shown, all] = [this.#ticked().length, this.#labels.length];
    const summary = shown === all ? `All ${all}` : shown === 0 ? "None" : `${shown} of ${all}`;
    setText(element("classes-summary", HTMLSpanElement), summary);
    setText(element("classes-count", HTMLOutputElement), summary);
  }

  #filter(): void {
    const wanted = this.#search.value.trim().toLowerCase();
    let found = 0;
    for (const line of this.#list.children) {
      const isFound = line.textContent.toLowerCase().includes(wanted);
      (line as HTMLElement).hidden = !isFound;
      if (isFound) found++;
    }
    element("classes-nothing", HTMLParagraphElement).hidden = found > 0;
  }
}

function makeLine(label: string, labelId: number): HTMLLIElement {
  const box = document.createElement("input");
  box.type = "checkbox";
  box.value = label;
  const swatch = document.createElement("span");
  swatch.className = "swatch";
  swatch.style.backgroundColor = `rgb(${classColor(labelId).join(" ")})`;
  const name = document.createElement("span");
  name.className = "label";
  name.textContent = label;
  const row = document.createElement("label");
  row.append(box, swatch, name);
  const line = document.createElement("li");
  line.append(row);
  return line;
}
