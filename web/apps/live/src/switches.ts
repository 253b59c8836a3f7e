/** The switches of the panel: each one setting, on or off. */
import { element } from "./elements";

export interface Switch {
  readonly id: string;
  readonly isOn: boolean;
  readonly onChange: (isOn: boolean) => void;
}

export function initSwitches(switches: readonly Switch[]): void {
  for (const { id, isOn, onChange } of switches) {
    const input = element(id, HTMLInputElement);
    input.checked = isOn;
    input.addEventListener("change", () => onChange(input.checked));
  }
}

/** Turn a switch over, as a hand would. */
export function flipSwitch(id: string): void {
  element(id, HTMLInputElement).click();
}
