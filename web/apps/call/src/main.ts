import { initTheme } from "../../live/src/theme";
import { CallPage } from "./page";

declare global {
  interface Window {
    /** For tests and the curious: who is in the call and what is found in their videos. */
    readonly sightlineCall: Pick<CallPage, "members">;
  }
}

initTheme();
const page = new CallPage();
Object.defineProperty(window, "sightlineCall", { value: page });
page.start();
