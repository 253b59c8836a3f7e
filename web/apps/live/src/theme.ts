/** Light or dark: the system's choice until the user makes one, which the browser remembers. */
import { button } from "./elements";

const STORAGE_KEY = "sightline-theme";

export function initTheme(): void {
  apply(read());
  button("theme").addEventListener("click", () => {
    const isDark = matchMedia("(prefers-color-scheme: dark)").matches;
    const current = document.documentElement.dataset.theme ?? (isDark ? "dark" : "light");
    const next = current === "dark" ? "light" : "dark";
    apply(next);
    try {
      localStorage.setItem(STORAGE_KEY, next);
    } catch {
      // storage may be forbidden: the choice then holds for this visit
    }
  });
}

function apply(theme: string | null): void {
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
}

function read(): string | null {
  try {
    return localStorage.getItem(STORAGE_KEY);
  } catch {
    return null;
  }
}
