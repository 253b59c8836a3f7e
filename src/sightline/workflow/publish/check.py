"""A published site opened in a browser, and held against the model outside of one.

From a plain file server below a path; then once more without it, as without a network.
"""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from sightline.detections import Detections
from sightline.errors import PublishError, SightlineError
from sightline.export.parity import Parity, compare
from sightline.runtime.chromium import BrowserPage, PageFailed
from sightline.runtime.detector import Detector
from sightline.workflow.publish.plain_server import PlainServer

# As in the browser's other proofs: pixels reach the graph alike, what is left is the order of
# float32 sums in two builds of ONNX Runtime (measured: 2e-5, 0.008 px of the picture).
_SCORE_BOUND = 1e-3
_BOX_BOUND_PX = 0.5
_LEAST_SCORE = 0.01  # what the page's slider goes down to
_PATIENCE_S = 120.0
_SIZE = (640, 480)

_STATE = """() => ({
  stats: window.sightline?.stats ?? null,
  isFormer: window.isFormer === true,
  isIsolated: window.crossOriginIsolated,
  problem: document.querySelector("#problem:not([hidden])")?.innerText ?? "",
})"""
_SHOW = """(png) => {
  const bytes = Uint8Array.from(atob(png), (letter) => letter.charCodeAt(0));
  const chosen = new DataTransfer();
  chosen.items.add(new File([bytes], "check.png", { type: "image/png" }));
  const slider = document.querySelector("#threshold");
  slider.value = slider.min;
  slider.dispatchEvent(new Event("input"));
  const file = document.querySelector("#file");
  file.files = chosen.files;
  file.dispatchEvent(new Event("change"));
}"""
_RESULT = "() => window.sightline.lastResult"
_KEPT = """async () => {
  const names = (await caches.keys()).filter((name) => name.startsWith("sightline "));
  const counts = names.map(async (name) => (await (await caches.open(name)).keys()).length);
  return Math.max(0, ...(await Promise.all(counts)));
}"""


@dataclass(frozen=True)
class SiteCheck:
    """What was seen: matched detections in a picture and how far the page's are from the model's.

    requested: the site's files that were fetched until the page could detect.
    """

    matched: int
    max_score_drift: float
    max_box_drift_px: float
    isolated: bool
    threads: int
    offline: bool
    requested: tuple[str, ...]

    def told(self) -> str:
        """In one line."""
        return (
            f"checked in a browser: {self.matched} detections as outside of it (scores within "
            f"{self.max_score_drift:.1e}, boxes within {self.max_box_drift_px:.3f} px), isolated, "
            "and the same without a network; nothing was asked of another host"
        )


def check_site(site: Path, model: Path, to_keep: int, say: Callable[[str], None]) -> SiteCheck:
    """Open the site and compare with the model in the folder `model`, which it opens with.

    to_keep: how many files it keeps for use without a network.

    Raises PublishError saying what is wrong, MissingExtra or MissingBrowser.
    """
    try:
        detector = Detector.load(model, threads=1)
    except SightlineError as error:
        raise PublishError(f"the published model cannot be used: {error}") from error
    picture = choose_picture(detector)
    server = PlainServer(site)
    say(f"opening it in a browser from {server.url}")
    try:
        page = BrowserPage(server.url)
        try:
            return _Visit(page, server, detector, picture).check(to_keep, say)
        finally:
            page.close()
    except PageFailed as error:
        raise PublishError(f"the page does not work: {error}") from error
    finally:
        server.close()


def choose_picture(detector: Detector) -> Image.Image:
    """The picture, of those that can be drawn here, in which the model is surest of something."""
    from sightline.data.drawn import KINDS, draw_scene
    from sightline.server.sample_picture import draw_sample_picture

    width, height = _SIZE
    pictures = [draw_sample_picture()]
    for seed in range(3):
        scene = draw_scene(
            np.random.default_rng((1, seed)), list(KINDS), width=width, height=height
        )
        pictures.append(Image.fromarray(scene.image))
    surest = [max(detector(picture, threshold=0).scores, default=0.0) for picture in pictures]
    return pictures[int(np.argmax(surest))]


class _Visit:
    """One browser on the site."""

    def __init__(
        self, page: BrowserPage, server: PlainServer, detector: Detector, picture: Image.Image
    ) -> None:
        self._page = page
        self._server = server
        self._picture = picture
        self._expected = detector(picture, threshold=_LEAST_SCORE)
        self._detector = detector

    def check(self, to_keep: int, say: Callable[[str], None]) -> SiteCheck:
        stats = self._until_ready()["stats"]
        requested = self._requested()
        parity = self._compare()
        if not self._state()["isIsolated"]:
            raise PublishError(
                "the page is not cross-origin isolated: its service worker did not take it"
            )
        if self._server.requested.count("index.html") > 2:
            raise PublishError("the page was loaded more than twice in one visit")
        say("waiting until it is kept for use without a network")
        deadline = time.monotonic() + _PATIENCE_S
        while (kept := self._call(_KEPT)) < to_keep:
            if time.monotonic() > deadline:
                raise PublishError(
                    f"{kept} of {to_keep} files are kept for use without a network: a file is "
                    "missing, or is not the one that sw.js lists"
                )
            time.sleep(0.2)
        self._requested()
        self._server.close()
        say("loading it again without the server")
        self._call("() => { window.isFormer = true; setTimeout(() => location.reload(), 0); }")
        self._until_ready()
        self._compare()
        self._requested()
        return SiteCheck(
            matched=parity.matched,
            max_score_drift=parity.max_score_drift,
            max_box_drift_px=parity.max_box_drift_px,
            isolated=True,
            threads=int(stats["threads"] or 1),
            offline=True,
            requested=tuple(requested),
        )

    def _compare(self) -> Parity:
        """Raises PublishError where the page does not find what the model finds."""
        stream = io.BytesIO()
        self._picture.save(stream, "PNG")
        self._call(_SHOW, base64.b64encode(stream.getvalue()).decode("ascii"))
        found = self._until(_RESULT, lambda result: result is not None)
        parity = compare(
            "the page",
            [(self._expected, self._as_detections(found))],
            score_bound=_SCORE_BOUND,
            box_bound_px=_BOX_BOUND_PX,
        )
        if fault := parity.fault():
            raise PublishError(f"the page does not find what the model finds: {fault}")
        return parity

    def _as_detections(self, result: dict[str, Any]) -> Detections:
        found = result["detections"]
        return Detections(
            np.array([each["boxXyxy"] for each in found], np.float32).reshape(-1, 4),
            np.array([each["score"] for each in found], np.float32),
            np.array([each["labelId"] for each in found], np.int32),
            self._detector.labels,
            int(result["width"]),
            int(result["height"]),
        )

    def _requested(self) -> list[str]:
        """The site's files asked for so far, each once. Raises PublishError for another host's."""
        paths = ["sw.js"]
        for address in self._page.requested:
            if urlsplit(address).scheme in ("blob", "data"):
                continue
            if not address.startswith(self._server.url):
                raise PublishError(f"the page asked another place for {address}")
            path = urlsplit(address).path.removeprefix(urlsplit(self._server.url).path)
            paths.append(path.removesuffix(".gz") or "index.html")
        return list(dict.fromkeys(paths))

    def _until_ready(self) -> dict[str, Any]:
        def is_ready(state: dict[str, Any]) -> bool:
            stats = state["stats"] or {}
            if stats.get("state") == "failed":
                shown = " ".join(state["problem"].split())
                raise PublishError(f"the page says: {shown}")
            return bool(stats.get("state") == "ready") and not state["isFormer"]

        state: dict[str, Any] = self._until(_STATE, is_ready)
        return state

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = self._call(_STATE)
        return state

    def _until(self, function: str, is_done: Callable[[Any], bool]) -> Any:
        deadline = time.monotonic() + _PATIENCE_S
        last = "it is not ready"
        while time.monotonic() < deadline:
            try:
                value = self._call(function)
                if is_done(value):
                    return value
            except PageFailed as error:
                last = str(error)  # it is being loaded once more
            time.sleep(0.1)
        raise PublishError(f"the page does not get so far within {_PATIENCE_S:.0f} s: {last}")

    def _call(self, function: str, *arguments: Any) -> Any:
        return self._page.call(function, *arguments, timeout_s=_PATIENCE_S)
