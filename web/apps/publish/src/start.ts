/**
 * Starts a published page: first its service worker, then the page's own script.
 *
 * A page is isolated by its service worker's headers only if it was loaded through it. So on the
 * first visit the page is loaded once more before it begins anything; at most once in a visit,
 * remembered by the session, and not at all where a reload would not help: without service workers,
 * or when the user has asked to go round them (a hard reload). Then it runs on one thread.
 */
import type { Message } from "./messages";

const WORKER = "./sw.js";
/** A service worker that is not there by then is not waited for. */
const PATIENCE_MS = 4000;
/** What the page does not need at once is fetched when it has what it needs: looked at so often. */
const LOOK_EVERY_MS = 500;

async function start(): Promise<void> {
  const script = document.querySelector<HTMLScriptElement>("script[data-page]");
  if (script === null) return;
  if (await isReloaded()) return;
  await import(/* @vite-ignore */ new URL(script.dataset.page ?? "", document.baseURI).href);
  const looking = setInterval(() => {
    if (window.sightline.stats.state === "loading") return;
    clearInterval(looking);
    navigator.serviceWorker?.controller?.postMessage("keep-everything" satisfies Message);
  }, LOOK_EVERY_MS);
}

/** Whether the page is being loaded once more, so that nothing is to be begun. */
async function isReloaded(): Promise<boolean> {
  const workers = navigator.serviceWorker;
  if (workers === undefined || window.top !== window) return false;
  const isControlled = workers.controller !== null;
  const isKnown = (await workers.getRegistration())?.active != null;
  let registration: ServiceWorkerRegistration;
  try {
    registration = await workers.register(WORKER, { updateViaCache: "none" });
  } catch {
    return false; // not allowed here, or not there: the page works without
  }
  if (isControlled) return await isReplaced(workers, registration);
  if (isKnown) return false; // a hard reload
  await controllerChange(workers);
  return workers.controller !== null && !crossOriginIsolated && isFirst("isolated");
}

/** Whether a later version, fetched during an earlier visit, takes the place of this one. */
async function isReplaced(
  workers: ServiceWorkerContainer,
  { waiting }: ServiceWorkerRegistration,
): Promise<boolean> {
  if (waiting === null) return false;
  const changed = controllerChange(workers);
  waiting.postMessage("take-over-if-alone" satisfies Message);
  await changed;
  return workers.controller === waiting && isFirst(`replaced ${catalogue()}`);
}

function controllerChange(workers: ServiceWorkerContainer): Promise<void> {
  return new Promise((resolve) => {
    workers.addEventListener("controllerchange", () => resolve(), { once: true });
    setTimeout(resolve, PATIENCE_MS);
  });
}

/** What this version of the site is known by: its catalogue's name has a hash. */
function catalogue(): string {
  const link = document.querySelector<HTMLLinkElement>('link[rel="sightline-catalogue"]');
  return link?.href ?? "";
}

/** Reload for a reason that this session has not had yet; false where it has, or cannot tell. */
function isFirst(reason: string): boolean {
  const key = `sightline ${location.pathname} ${reason}`;
  try {
    if (sessionStorage.getItem(key) !== null) return false;
    sessionStorage.setItem(key, "reloaded");
  } catch {
    return false; // without a memory it could go round for ever
  }
  location.reload();
  return true;
}

start();
