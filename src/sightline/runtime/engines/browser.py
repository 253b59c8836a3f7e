"""Artefacts in a browser: ONNX Runtime Web and TensorFlow.js, in a page that comes with Sightline.

The page (web/apps/prove) runs the artefact, this drives it. Never reaches torch.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sightline.errors import BundleDamaged, MissingBrowser, UsageError
from sightline.manifest import MANIFEST_NAME, WEIGHTS_NAME, Manifest
from sightline.runtime.chromium import BrowserPage, PageFailed
from sightline.runtime.engine import Outputs
from sightline.runtime.engines.conversion import to_outputs
from sightline.runtime.engines.onnx import first_line
from sightline.runtime.fileserver import FileServer

STATIC = Path(__file__).parents[2] / "server" / "static"
PAGE = "prove/index.html"
IMAGE = "image"
# For opening, and for one inference. The slowest is WebGPU in software: the first inference of a
# 320 px network took 67 s on a busy machine, and the largest one computes ten times as much.
PATIENCE_S = 900.0


class BrowserEngine:
    """An artefact in a page in Chrome, Chromium or Edge, without a window.

    device: what it runs on, in the page's words. Calls from several threads are served one after
    the other.
    """

    def __init__(
        self,
        runtime: str,
        manifest: Manifest,
        files: Mapping[str, Path],
        *,
        threads: int = 1,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """Open `files`, by their addresses in the page. Raises as `open` does."""
        self.runtime = runtime
        self.manifest = manifest
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._server = FileServer({**page_files(), **files})
        try:
            self._page = BrowserPage(self._server.url + PAGE)
        except BaseException as error:
            self._server.close()
            if isinstance(error, PageFailed):
                raise MissingBrowser(f"the page for artefacts does not open: {error}") from error
            raise
        task = {
            "runtime": runtime,
            "main": f"../artefact/{manifest.main_file}",
            "inputName": manifest.input_name,
            "outputNames": list(manifest.output_names),
            "threads": threads,
        }
        try:
            self.device = str(self._call(patience_s, "(task) => window.prove.open(task)", task))
        except BaseException:
            self.close()
            raise

    @classmethod
    def open(
        cls, bundle: Path, manifest: Manifest, *, runtime: str, threads: int | None = None
    ) -> BrowserEngine:
        """The artefact in `bundle`; `threads`, by default 1, are for ONNX Runtime on wasm alone.

        Raises MissingExtra without Playwright, MissingBrowser, or BundleDamaged for an artefact
        that the browser cannot load.
        """
        if threads is not None and threads < 1:
            raise UsageError(f"the number of threads is at least 1, not {threads}")
        aside = (MANIFEST_NAME, WEIGHTS_NAME)
        files = {f"artefact/{name}": bundle / name for name in manifest.files if name not in aside}
        return cls(runtime, manifest, files, threads=threads or 1)

    def run(self, image: NDArray[np.uint8]) -> Outputs:
        """The outputs for one image (H, W, 3) RGB, of any size where the graph resizes itself.

        Raises BundleDamaged with the page's own message.
        """
        function = "(...image) => window.prove.run(...image)"
        with self._showing(image) as shown:
            found: Mapping[str, Sequence[float]] = self._call(self._patience_s, function, *shown)
        return to_outputs(found["boxes"], found["scores"], found["labels"], self.manifest)

    def time(self, image: NDArray[np.uint8], runs: int) -> list[float]:
        """Milliseconds of each of `runs` inferences on one image, as measured in the page."""
        function = "(...given) => window.prove.time(...given)"
        with self._showing(image) as shown:
            durations: list[float] = self._call(self._patience_s * runs, function, *shown, runs)
        return durations

    def close(self) -> None:
        """End the browser and free the port. A second call does nothing."""
        try:
            self._page.close()
        finally:
            self._server.close()

    @contextmanager
    def _showing(self, image: NDArray[np.uint8]) -> Iterator[tuple[str, int, int]]:
        """Address, height and width of the image, as long as the page may fetch it."""
        with self._lock:
            self._server.put(IMAGE, image.tobytes())
            try:
                yield f"../{IMAGE}", image.shape[0], image.shape[1]
            finally:
                self._server.remove(IMAGE)

    def _call(self, patience_s: float, function: str, *arguments: Any) -> Any:
        try:
            return self._page.call(function, *arguments, timeout_s=patience_s)
        except PageFailed as error:
            raise BundleDamaged(
                f"{self.manifest.name} does not run in {self.runtime}: {first_line(error)}"
            ) from error


def page_files() -> dict[str, Path]:
    """The built page's files by address. Raises MissingBrowser where it was not built."""
    if not (STATIC / PAGE).is_file():
        raise MissingBrowser(
            f"{STATIC / PAGE} is missing, the page that runs artefacts: this checkout's pages are "
            "not built; run python hatch_build.py"
        )
    shared = (STATIC / "assets").glob("*-wasm-*")  # the runtimes', which the live page has too
    files = [*(STATIC / "prove").iterdir(), *shared]
    return {path.relative_to(STATIC).as_posix(): path for path in files}
