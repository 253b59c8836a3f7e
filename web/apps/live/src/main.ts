import { LivePage } from "./page";
import { initTheme } from "./theme";

declare global {
  interface Window {
    /** For tests, benchmarks and the curious: what is detected and how fast. Read-only. */
    readonly sightline: Pick<LivePage, "stats" | "lastResult" | "measure">;
  }
}

initTheme();
const page = new LivePage();
Object.defineProperty(window, "sightline", { value: page });
page.start();
