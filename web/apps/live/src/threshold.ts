/** The slider of the least score that is shown. */
import { button, element, setText } from "./elements";

export class ThresholdSlider {
  readonly #slider = element("threshold", HTMLInputElement);
  readonly #onChange: (isChosen: boolean) => void;
  #own: number | null = null;

  /** `onChange`: by the user (isChosen), or because another model is there. */
  constructor(onChange: (isChosen: boolean) => void) {
    this.#onChange = onChange;
    this.#slider.addEventListener("input", () => this.#apply(true));
    button("threshold-reset").addEventListener("click", () => {
      if (this.#own !== null) this.#move(this.#own, true);
    });
  }

  /** Stand on `value` for a model whose own threshold is `own`. */
  show(own: number, value: number): void {
    this.#own = own;
    this.#move(value, false);
  }

  /** The slider's value, or exactly the model's own where the slider stands on it. */
  get value(): number {
    const chosen = Number(this.#slider.value) / 100;
    return this.#own !== null && Math.abs(this.#own - chosen) <= 0.005 ? this.#own : chosen;
  }

  /** Whether it stands on the model's own. */
  get isOwn(): boolean {
    return this.value === this.#own;
  }

  #move(value: number, isChosen: boolean): void {
    this.#slider.value = String(Math.round(value * 100));
    this.#apply(isChosen);
  }

  #apply(isChosen: boolean): void {
    setText(element("threshold-shown", HTMLOutputElement), `${this.#slider.value} %`);
    this.#slider.style.setProperty("--filled", `${this.#slider.value}%`);
    button("threshold-reset").disabled = this.#own === null || this.isOwn;
    this.#onChange(isChosen);
  }
}
