/** One steady colour per class, the same as in Sightline's drawn pictures (drawing.py). */

export type Rgb = readonly [red: number, green: number, blue: number];

/** Fraction of the colour circle between neighbouring classes: the golden ratio's. */
const HUE_STEP = 0.618033988749895;
const FIRST_HUE = 0.47;
const SATURATION = 0.72;
const VALUE = 0.95;

/** Channels in 0..255, far in hue from the neighbouring classes'. */
export function classColor(labelId: number): Rgb {
  const hue = ((FIRST_HUE + labelId * HUE_STEP) % 1) * 6;
  const channel = (shift: number) => {
    const position = (shift + hue) % 6;
    const fall = Math.max(0, Math.min(position, 4 - position, 1));
    return Math.round(255 * VALUE * (1 - SATURATION * fall));
  };
  return [channel(5), channel(3), channel(1)];
}

/** Black or white, whichever stands out more on the colour (WCAG 2.2 relative luminance). */
export function textColor([red, green, blue]: Rgb): "#000" | "#fff" {
  const linear = (channel: number) => {
    const share = channel / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  };
  const luminance = 0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue);
  return (luminance + 0.05) / 0.05 >= 1.05 / (luminance + 0.05) ? "#000" : "#fff";
}
