/** Typed look-ups of the page's elements. */

/** The element of that id. Throws when the page has none of that kind. */
export function element<E extends Element>(id: string, Kind: abstract new () => E): E {
  const found = document.getElementById(id);
  if (!(found instanceof Kind)) throw new Error(`the page has no ${Kind.name} #${id}`);
  return found;
}

export const button = (id: string): HTMLButtonElement => element(id, HTMLButtonElement);

/** Set text only where it changes, so that nothing is laid out in vain. */
export function setText(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** Point a button's icon at another symbol of the page. */
export function setIcon(target: HTMLButtonElement, icon: string): void {
  target.querySelector("use")?.setAttribute("href", `#icon-${icon}`);
}
