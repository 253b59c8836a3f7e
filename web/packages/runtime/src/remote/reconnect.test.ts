import { describe, expect, it } from "vitest";
import { RemoteBusy, RemoteRefused, RemoteUnreachable } from "../errors";
import { type Connect, keepConnected, pauseMs, type RemoteState } from "./reconnect";

const READY = { kind: "ready", model: "a", labels: [], threshold: 0.5 } as const;

describe("pauseMs", () => {
  it("doubles up to ten seconds and spreads over half of it", () => {
    expect([1, 2, 3, 4].map((failures) => pauseMs(failures, 1))).toEqual([500, 1000, 2000, 4000]);
    expect(pauseMs(3, 0)).toBe(1000);
    expect(pauseMs(50, 1)).toBe(10_000);
  });
});

describe("keepConnected", () => {
  async function follow(attempts: Connect[], ending = new AbortController()) {
    const states: RemoteState[] = [];
    const waited: number[] = [];
    const connect: Connect = async (ready, signal) => {
      const attempt = attempts.shift();
      if (attempt === undefined) {
        ending.abort();
        throw ending.signal.reason;
      }
      return await attempt(ready, signal);
    };
    await keepConnected(
      connect,
      (state) => states.push(state),
      ending.signal,
      async (ms) => {
        waited.push(ms);
      },
    );
    return { kinds: states.map(({ kind }) => kind), states, waited };
  }

  const lost: Connect = async () => {
    throw new RemoteUnreachable("x");
  };
  const heldAWhile: Connect = async (ready) => {
    ready(READY);
    throw new RemoteBusy("x");
  };

  it("tries again after what passes, with a short pause again after it worked", async () => {
    const { kinds, waited } = await follow([lost, lost, lost, heldAWhile]);
    expect(kinds.filter((kind) => kind === "waiting")).toHaveLength(4);
    expect(kinds.at(-1)).toBe("connecting");
    expect(waited[2]).toBeGreaterThanOrEqual(1000);
    expect(waited[3]).toBeLessThanOrEqual(500);
  });

  it("gives up where the next try would fail alike", async () => {
    const refused: Connect = async () => {
      throw new RemoteRefused("no such model");
    };
    const { kinds, states } = await follow([lost, refused, lost]);
    expect(kinds).toEqual(["connecting", "waiting", "connecting", "failed"]);
    expect(states.at(-1)).toMatchObject({ error: { message: "no such model" } });
  });

  it("says nothing more once it is ended", async () => {
    const ending = new AbortController();
    const ended: Connect = async () => {
      ending.abort();
      throw new RemoteUnreachable("x");
    };
    expect((await follow([ended], ending)).kinds).toEqual(["connecting"]);
  });
});

it("waits as long as a busy server asks for", async () => {
  const pauses: number[] = [];
  const ending = new AbortController();
  const busy = new RemoteBusy("full");
  busy.retryAfterMs = 42_000;
  await keepConnected(
    () => Promise.reject(busy),
    () => undefined,
    ending.signal,
    async (ms) => {
      pauses.push(ms);
      ending.abort();
    },
  );
  expect(pauses).toEqual([42_000]);
});
