import { describe, expect, it } from "vitest";
import { RemoteBusy, RemoteRefused, RemoteUnreachable, TokenRefused } from "../errors";
import { imageAddress, readRetryAfter, refusalOf } from "./http";

const ADDRESS = new URL("https://server.test/image");
const NOW = Date.parse("2026-01-02T03:04:05Z");

it.each([
  [undefined, "https://page.test/below/image"],
  ["/image", "https://page.test/image"],
  ["https://server.test", "https://server.test/image"],
  ["https://server.test/a/", "https://server.test/a/image"],
  ["https://server.test:5000/image", "https://server.test:5000/image"],
  ["https://server.test/detect?key=1", "https://server.test/detect?key=1"],
])("posts pictures for %s to %s", (url, expected) => {
  expect(imageAddress(url, "https://page.test/below/page.html").href).toBe(expected);
});

it.each([
  [null, 0],
  ["7", 7000],
  ["Fri, 02 Jan 2026 03:05:05 GMT", 60_000],
  ["Fri, 02 Jan 2026 03:00:00 GMT", 0],
  ["soon", 0],
])("reads Retry-After %s as %i ms", (value, expected) => {
  expect(readRetryAfter(value, NOW)).toBe(expected);
});

describe("refusalOf", () => {
  const refusal = (status: number, text = "", headers: Record<string, string> = {}) =>
    refusalOf({ status, headers: new Headers(headers) }, text, ADDRESS);
  const problem = (code: string) => JSON.stringify({ code, detail: `because of ${code}` });

  it.each([
    [503, problem("busy"), RemoteBusy],
    [429, problem("rate-limited"), RemoteBusy],
    [401, problem("token-required"), TokenRefused],
    [404, problem("not-found"), RemoteRefused],
    [500, problem("internal"), RemoteUnreachable],
    [503, "<h1>Service Unavailable</h1>", RemoteBusy],
    [429, "", RemoteBusy],
    [401, "", TokenRefused],
    [500, "<h1>Internal Server Error</h1>", RemoteUnreachable],
    [502, "[1, 2]", RemoteUnreachable],
    [404, "<h1>Not Found</h1>", RemoteUnreachable],
  ])("takes %i with %j for what it is", (status, text, Kind) => {
    expect(refusal(status, text)).toBeInstanceOf(Kind);
  });

  it("passes on the server's reason, and else its status", () => {
    expect(refusal(500, problem("internal")).message).toBe("because of internal");
    expect(refusal(502).message).toBe("https://server.test/image answered with status 502");
  });

  it("keeps how long to wait", () => {
    const busy = refusal(503, "", { "Retry-After": "20" });
    expect(busy instanceof RemoteBusy && busy.retryAfterMs).toBe(20_000);
  });
});
