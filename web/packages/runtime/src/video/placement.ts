/** An overlay's canvas exactly over an element, wherever and however the page shows it. */
import { parseFit, parsePosition, parseRotate, parseScale, type Rect } from "./fit";

/** What a picture is shown in. */
export type Shown = HTMLVideoElement | HTMLImageElement;

/** The element as it is laid out, in CSS pixels of its own box, before any transform. */
export interface Layout {
  readonly width: number;
  readonly height: number;
  /** Within borders and padding. */
  readonly content: Rect;
  readonly fit: ReturnType<typeof parseFit>;
  readonly position: ReturnType<typeof parsePosition>;
  /** Whether it is seen mirrored, by its own transform or one around it. */
  readonly isMirrored: boolean;
}

/** What the canvas takes over from the element, to be turned, rounded and faded with it. */
const COPIED = [
  "transform",
  "transformOrigin",
  "translate",
  "rotate",
  "scale",
  "zIndex",
  "borderRadius",
] as const;

/** Whether the element alone fills the screen, where browsers show controls of their own. */
export function isFullscreen(shown: Shown): boolean {
  return shown.matches(":fullscreen");
}

/** Lay the canvas over the element; null where the element takes no room. */
export function placeOver(canvas: HTMLCanvasElement, shown: Shown): Layout | null {
  if (!shown.isConnected) {
    canvas.remove();
    return null;
  }
  if (canvas.previousElementSibling !== shown) attach(canvas, shown);
  liftToTop(canvas, isFullscreen(shown));
  const style = getComputedStyle(shown);
  const edges = edgesOf(style);
  const inner = [Number.parseFloat(style.width), Number.parseFloat(style.height)] as const;
  const isBorderBox = style.boxSizing === "border-box";
  const width = isBorderBox ? inner[0] : inner[0] + edges.left + edges.right;
  const height = isBorderBox ? inner[1] : inner[1] + edges.top + edges.bottom;
  if (!(width > 0 && height > 0) || style.display === "none") {
    set(canvas, "display", "none");
    return null;
  }
  set(canvas, "display", "block");
  set(canvas, "width", `${width}px`);
  set(canvas, "height", `${height}px`);
  for (const name of COPIED) set(canvas, name, style[name]);
  set(canvas, "opacity", style.visibility === "visible" ? style.opacity : "0");
  const around = isFullscreen(shown) ? new DOMMatrix() : matrixAround(shown);
  moveOnto(canvas, shown, around);
  const { a, b, c, d } = around.multiply(matrixOf(style));
  return {
    width,
    height,
    content: {
      x: edges.left,
      y: edges.top,
      width: width - edges.left - edges.right,
      height: height - edges.top - edges.bottom,
    },
    fit: parseFit(style.objectFit),
    position: parsePosition(style.objectPosition),
    isMirrored: a * d - b * c < 0,
  };
}

function attach(canvas: HTMLCanvasElement, shown: Shown): void {
  canvas.style.cssText +=
    ";position:absolute;left:0;top:0;right:auto;bottom:auto;margin:0;border:0;padding:0;" +
    "min-width:0;min-height:0;max-width:none;max-height:none;box-sizing:border-box;" +
    "background:none;object-fit:fill;overflow:hidden;pointer-events:none;transition:none;" +
    "animation:none;outline:0";
  canvas.slot = shown.slot;
  shown.after(canvas);
}

/** A video that fills the screen hides the page; popovers opened later lie above it. */
function liftToTop(canvas: HTMLCanvasElement, isWanted: boolean): void {
  if (!("showPopover" in canvas) || canvas.matches(":popover-open") === isWanted) return;
  canvas.popover = isWanted ? "manual" : null;
  if (isWanted) canvas.showPopover();
  canvas.style.position = isWanted ? "fixed" : "absolute";
}

/** Correct the canvas's place by how far it is off, whatever it is placed in. */
function moveOnto(canvas: HTMLCanvasElement, shown: Shown, around: DOMMatrix): void {
  const [at, wanted] = [canvas.getBoundingClientRect(), shown.getBoundingClientRect()];
  const { a, b, c, d } = around;
  const determinant = a * d - b * c;
  const [x, y] = [wanted.x - at.x, wanted.y - at.y];
  if (determinant === 0 || Math.hypot(x, y) < 0.01) return;
  const { style } = canvas;
  style.left = `${Number.parseFloat(style.left) + (d * x - c * y) / determinant}px`;
  style.top = `${Number.parseFloat(style.top) + (a * y - b * x) / determinant}px`;
}

function edgesOf(style: CSSStyleDeclaration) {
  const edge = (side: "Left" | "Top" | "Right" | "Bottom") =>
    Number.parseFloat(style[`border${side}Width`]) + Number.parseFloat(style[`padding${side}`]);
  return { left: edge("Left"), top: edge("Top"), right: edge("Right"), bottom: edge("Bottom") };
}

/** An element's own turning and scaling (CSS Transforms 2, section 5). */
function matrixOf({ rotate, scale, transform }: CSSStyleDeclaration): DOMMatrix {
  const [across, down] = parseScale(scale);
  const own = transform === "none" ? new DOMMatrix() : new DOMMatrix(transform);
  return new DOMMatrix().rotate(parseRotate(rotate)).scale(across, down).multiply(own);
}

/** Those of all elements around it. */
function matrixAround(shown: Shown): DOMMatrix {
  let matrix = new DOMMatrix();
  for (let at = parentOf(shown); at !== null; at = parentOf(at)) {
    const style = getComputedStyle(at);
    const isPlain = style.transform === "none" && style.scale === "none" && style.rotate === "none";
    if (!isPlain) matrix = matrixOf(style).multiply(matrix);
    if (at.matches(":fullscreen")) break;
  }
  return matrix;
}

/** The parent as it is laid out: slots and shadow roots count. */
function parentOf(element: Element): Element | null {
  if (element.assignedSlot !== null) return element.assignedSlot;
  const parent = element.parentNode;
  return parent instanceof ShadowRoot ? parent.host : element.parentElement;
}

/** Writing what is there already would cost a layout. */
function set(canvas: HTMLCanvasElement, name: Name, value: string): void {
  if (canvas.style[name] !== value) canvas.style[name] = value;
}

type Name = (typeof COPIED)[number] | "display" | "width" | "height" | "opacity";
