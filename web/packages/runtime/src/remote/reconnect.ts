/** A connection kept up: opened again after a growing pause, until ended or hopeless. */
import { firstLine, RemoteBusy, RemoteError, type SightlineError } from "../errors";
import { isPassing, type Ready } from "./wire";

/** What a connection is doing. `failed` is the end: another try would fail alike. */
export type RemoteState =
  | { readonly kind: "connecting" }
  | Ready
  | { readonly kind: "waiting"; readonly error: SightlineError; readonly retryMs: number }
  | { readonly kind: "failed"; readonly error: SightlineError };

const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;
/** What a server may ask for: a page that waits longer will have been closed or reloaded. */
const LONGEST_ASKED_MS = 3_600_000;

/**
 * The pause before try number `failures` (from 1), between half and all of a time that doubles:
 * pages that lost the same server do not come back all at once.
 */
export function pauseMs(failures: number, random: number = Math.random()): number {
  const whole = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures - 1, 10));
  return whole * (0.5 + random / 2);
}

/** One connection, from opening to its end: calls `ready` once it works, rejects when it is over. */
export type Connect = (ready: (state: Ready) => void, signal: AbortSignal) => Promise<never>;

/** Connect again and again. Resolves when the signal ends it or trying again is hopeless. */
export async function keepConnected(
  connect: Connect,
  onState: (state: RemoteState) => void,
  signal: AbortSignal,
  wait: (ms: number, signal: AbortSignal) => Promise<void> = sleep,
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    onState({ kind: "connecting" });
    try {
      await connect((state) => {
        failures = 0;
        onState(state);
      }, signal);
    } catch (reason) {
      if (signal.aborted) return;
      const error = reason instanceof RemoteError ? reason : new RemoteError(firstLine(reason));
      if (!isPassing(error)) {
        onState({ kind: "failed", error });
        return;
      }
      failures++;
      const askedMs =
        error instanceof RemoteBusy ? Math.min(error.retryAfterMs, LONGEST_ASKED_MS) : 0;
      const retryMs = Math.max(askedMs, pauseMs(failures));
      onState({ kind: "waiting", error, retryMs });
      await wait(retryMs, signal);
    }
  }
}

async function sleep(ms: number, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener(
      "abort",
      () => {
        clearTimeout(timer);
        resolve();
      },
      { once: true },
    );
  });
}
