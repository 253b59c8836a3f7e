/** The link that leads others into this call: the page's address with the room's name. */
import { button, element, setText } from "../../live/src/elements";

/** 32 letters that are not taken for one another: 5 bits each, 60 in all. */
const LETTERS = "abcdefghijkmnpqrstuvwxyz23456789";
const NAME_LENGTH = 12;
const ROOM_FORM = /^[\w-]{4,64}$/;

export class Invitation {
  readonly room: string;

  constructor() {
    const named = location.hash.slice(1);
    this.room = ROOM_FORM.test(named) ? named : makeRoom();
    // After #, so that the name is in no log of a server or proxy.
    history.replaceState(null, "", `#${this.room}`);
    window.addEventListener("hashchange", () => location.reload());
    const field = element("link", HTMLInputElement);
    field.value = location.href;
    field.addEventListener("focus", () => field.select());
    button("copy").addEventListener("click", () => copy(field));
    element("only-here", HTMLElement).hidden = !isLoopback(location.hostname);
  }
}

function makeRoom(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(NAME_LENGTH));
  return Array.from(bytes, (byte) => LETTERS[byte % LETTERS.length]).join("");
}

async function copy(field: HTMLInputElement): Promise<void> {
  const done = (text: string) => setText(element("copy-text", HTMLElement), text);
  try {
    await navigator.clipboard.writeText(field.value);
    done("Copied");
  } catch {
    field.select(); // not allowed, or no secure page: by hand
    done("Press Ctrl+C");
  }
  setTimeout(done, 2000, "Copy");
}

function isLoopback(host: string): boolean {
  return host === "localhost" || host === "[::1]" || host.startsWith("127.");
}
