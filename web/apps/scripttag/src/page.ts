/** What both pages show: what was found, and the line that does it. */

interface FoundObject {
  readonly class_name?: string;
}

export function element<Kind extends HTMLElement>(id: string, kind: new () => Kind): Kind {
  const found = document.getElementById(id);
  if (!(found instanceof kind)) throw new Error(`the page has no ${kind.name} #${id}`);
  return found;
}

/** Keep the list of what is in the picture. */
export function showFound(): void {
  const line = element("found", HTMLParagraphElement);
  document.addEventListener("objectDetection", (event) => {
    const objects = (event as CustomEvent<readonly FoundObject[]>).detail;
    const names = objects.flatMap(({ class_name }) => class_name ?? []);
    const text = names.length === 0 ? "Nothing found" : countNames(names);
    if (line.textContent !== text) line.textContent = text;
  });
}

/** As "2 cups, 1 dog". */
export function countNames(names: readonly string[]): string {
  const counts = new Map<string, number>();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  return [...counts].map(([name, count]) => `${count} × ${name}`).join(", ");
}

/** The tag of this page as another one would write it. */
export function showSnippet(): void {
  const tag = element("objDetect", HTMLScriptElement);
  const attributes = [...tag.attributes].map(({ name, value }) =>
    name === "src" ? `src="${tag.src}"` : `${name}="${value}"`,
  );
  const server = new URL("../image", tag.src).href;
  const lines = [...attributes, `data-apiServer="${server}"`].join("\n        ");
  element("snippet", HTMLPreElement).textContent = `<script ${lines}></script>`;
}
