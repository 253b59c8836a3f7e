/** Where labels of boxes stand, so that none hides another. Knows sizes, not what is written. */
import type { Rect } from "./fit";

/** A box and the size of its label, in CSS pixels. */
export interface LabelWish {
  readonly box: Rect;
  readonly width: number;
  /** Of the label without its score. */
  readonly shortWidth: number;
  readonly height: number;
}

export interface LabelPlace extends Rect {
  readonly isShort: boolean;
  /** Whether it stands on the box's upper edge. */
  readonly isAbove: boolean;
}

/** A box this much narrower than its label makes do with the short one rather than collide. */
const MUCH_NARROWER = 0.75;

/**
 * One place a wish, the first wishes first: above the box, else below or within it, where nothing
 * placed before nor `taken` lies. Where all is taken it stands where it would stand alone.
 */
export function placeLabels(
  wishes: readonly LabelWish[],
  seen: Rect,
  { isMirrored = false, taken = [] }: { isMirrored?: boolean; taken?: readonly Rect[] } = {},
): readonly LabelPlace[] {
  const placed: Rect[] = [...taken];
  return wishes.map((wish) => {
    const places = placesOf(wish, seen, isMirrored);
    const free = places.find((place) => !placed.some((other) => overlap(place, other)));
    const chosen = free ?? places[0];
    placed.push(chosen);
    return chosen;
  });
}

function placesOf(
  wish: LabelWish,
  seen: Rect,
  isMirrored: boolean,
): readonly [LabelPlace, ...LabelPlace[]] {
  const { box, width, shortWidth, height } = wish;
  const bottom = seen.y + seen.height - height;
  const at = (y: number, isAbove: boolean, isShort: boolean): LabelPlace => {
    const length = isShort ? shortWidth : width;
    // From the box's left edge as it is seen: in a mirror that is the right one.
    const wished = isMirrored ? box.x + box.width + 1 - length : box.x - 1;
    const x = Math.max(seen.x, Math.min(wished, seen.x + seen.width - length));
    return { x, y, width: length, height, isShort, isAbove };
  };
  const [above, below] = [box.y - height, box.y + box.height];
  const within = Math.max(seen.y, box.y);
  const isRoomAbove = above >= seen.y;
  const list = (isShort: boolean): LabelPlace[] => [
    ...(below <= bottom ? [at(below, false, isShort)] : []),
    ...(isRoomAbove ? [at(within, false, isShort)] : []),
  ];
  const alone = (isShort: boolean) => at(isRoomAbove ? above : within, isRoomAbove, isShort);
  const isNarrow = box.width < MUCH_NARROWER * width;
  const shorter = isNarrow ? [alone(true), ...list(true)] : [];
  return [alone(false), ...list(false), ...shorter];
}

function overlap(a: Rect, b: Rect): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}
