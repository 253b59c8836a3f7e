/** Where a picture lies in its element: CSS object-fit and object-position, as pure geometry. */

export interface Rect {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

/** A length of object-position: a share of the room that is left, and pixels. */
export interface Offset {
  readonly share: number;
  readonly px: number;
}

export type Fit = "contain" | "cover" | "fill" | "none" | "scale-down";

const MIDDLE: Offset = { share: 0.5, px: 0 };
const NOWHERE: Rect = { x: 0, y: 0, width: 0, height: 0 };

/**
 * Where the picture is drawn, in the units of the box; it may be larger than the box. Concrete
 * object sizes: CSS Images 3, section 5.5.
 */
export function fitRect(
  box: Rect,
  picture: Size,
  fit: Fit,
  [across, down]: readonly [Offset, Offset] = [MIDDLE, MIDDLE],
): Rect {
  if (picture.width <= 0 || picture.height <= 0) return NOWHERE;
  const [width, height] = fittedSize(box, picture, fit);
  return {
    x: box.x + (box.width - width) * across.share + across.px,
    y: box.y + (box.height - height) * down.share + down.px,
    width,
    height,
  };
}

function fittedSize(box: Size, picture: Size, fit: Fit): readonly [number, number] {
  if (fit === "fill") return [box.width, box.height];
  const scales = [box.width / picture.width, box.height / picture.height];
  const whole = Math.min(...scales);
  const scale = {
    contain: whole,
    cover: Math.max(...scales),
    none: 1,
    "scale-down": Math.min(1, whole),
  }[fit];
  return [picture.width * scale, picture.height * scale];
}

/** A computed object-fit; anything else counts as the initial value. */
export function parseFit(text: string): Fit {
  const fits: readonly Fit[] = ["contain", "cover", "none", "scale-down"];
  return fits.find((fit) => fit === text) ?? "fill";
}

/** A computed object-position: "50% 50%", "10px 0%", "calc(100% - 8px) 0px". */
export function parsePosition(text: string): readonly [Offset, Offset] {
  const parts = text.match(/calc\([^)]*\)|\S+/g) ?? [];
  return [parseOffset(parts[0]), parseOffset(parts[1])];
}

function parseOffset(text: string | undefined): Offset {
  if (text === undefined) return MIDDLE;
  let [share, px] = [0, 0];
  for (const [, sign, value, unit] of text.matchAll(/([+-]?)\s*(\d*\.?\d+)(%|px)/g)) {
    const signed = Number(value) * (sign === "-" ? -1 : 1);
    if (unit === "%") share += signed / 100;
    else px += signed;
  }
  return { share, px };
}

/** The scale that a computed `scale` property names: "none", "2", "-1 1", "1 1 1". */
export function parseScale(text: string): readonly [number, number] {
  const [across = 1, down = across] = text === "none" ? [] : text.split(" ").map(Number);
  return [across, down];
}

/** The degrees that a computed `rotate` property names about the axis that faces the viewer. */
export function parseRotate(text: string): number {
  return /^(-?[\d.]+)deg$/.test(text) ? Number.parseFloat(text) : 0;
}
