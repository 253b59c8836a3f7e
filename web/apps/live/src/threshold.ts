/** The slider of the least score that is shown. */
import { button, element, setText } from "./elements";

export class ThresholdSlider {
  readonly #slider = element("threshold", HTMLInputElement);
  readonly #onChange: () => void;
  #own: number | null = null;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
    this.#slider.addEventListener("input", () => this.#apply());
    button("threshold-reset").addEventListener("click", () => this.reset(this.#own));
  }

  /** Stand on the model's own threshold, if there is a model. */
  reset(own: number | null): void {
    this.#own = own;
    if (own !== null) this.#slider.value = String(Math.round(own * 100));
    this.#apply();
  }

  /** The slider's value, or exactly the model's own where the slider stands on it. */
  get value(): number {
    const chosen = Number(this.#slider.value) / 100;
    return this.#own !== null && Math.abs(this.#own - chosen) <= 0.005 ? this.#own : chosen;
  }

  #apply(): void {
    setText(element("threshold-shown", HTMLOutputElement), `${this.#slider.value} %`);
    this.#slider.style.setProperty("--filled", `${this.#slider.value}%`);
    button("threshold-reset").disabled = this.#own === null || this.value === this.#own;
    this.#onChange();
  }
}
