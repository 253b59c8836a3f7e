"""The detector on the device: whatever its workers, models and browsers do, frames are answered."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Playwright
from tests.browser.conftest import LivePage, serving

from sightline.export.run import export
from sightline.runtime.chromium import FLAGS as SOFTWARE_GPU

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LAB = Path(__file__).with_name("device_page.js")
ATTO = "/models/deimv2-atto/"
FOUND = "({ label, score, boxXyxy }) => ({ label, score, box: boxXyxy })"
KILL = "setTimeout(() => { throw new Error('killed by the test'); })"
HANG = "setTimeout(() => { for (;;); })"
# Sums of float32 in another order; 1e-5 and 0.02 px were seen.
SCORE_TOLERANCE = 1e-3
PIXEL_TOLERANCE = 0.5


class Lab(LivePage):
    """A page with the runtime, and a photo to detect on."""

    def load(self, path: str = "/licenses.txt") -> Lab:
        self.page.goto(urljoin(self.url, path))
        self.page.add_script_tag(path=LAB, type="module")
        self.until("window.lab !== undefined")
        return self

    def show(self, photo: Path, width: int | None = None, height: int | None = None) -> Lab:
        address = "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()
        self.page.evaluate("(given) => lab.show(...given)", [address, width, height])
        return self

    def start(self, model: str = ATTO, **options: Any) -> dict[str, Any]:
        """Open a detector: what it runs on."""
        backend: dict[str, Any] = self.page.evaluate(
            "(options) => lab.open(options)", {"model": model, **options}
        )
        return backend

    def failure(self, model: str, **options: Any) -> dict[str, Any]:
        """The error that a detector does not open with."""
        return dict(self.page.evaluate("(o) => lab.openFailure(o)", {"model": model, **options}))

    def detect(self, **options: Any) -> list[dict[str, Any]]:
        return list(
            self.page.evaluate(
                f"async (o) => (await lab.detect(o)).detections.map({FOUND})", options
            )
        )

    def in_worker(self, program: str) -> None:
        """Run a program in the worker that was opened last."""
        self.page.workers[-1].evaluate(program)

    def report(self) -> list[dict[str, Any]]:
        return list(self.page.evaluate("lab.detector.report"))

    def describe(self) -> str:
        return f"{self.page.evaluate('window.lab?.failures')}, errors {self.errors}"


@pytest.fixture
def bear(shared: Path) -> Path:
    """A photo of one large animal."""
    return shared / "data" / "coco_val100" / "images" / "000000000285.jpg"


@pytest.fixture(scope="module")
def atto_url(built_page: None, atto_bundle: Path, graph_model: Path, shared: Path) -> Iterator[str]:
    with serving((atto_bundle, graph_model), shared) as url:
        yield url


@pytest.fixture(scope="module")
def graph_model(atto_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same network for TensorFlow.js."""
    out = tmp_path_factory.mktemp("device") / "atto-tfjs"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_BROWSER", "none")  # it is proven elsewhere, which takes minutes
        export(atto_bundle, to="tfjs", out=out, unproven=True)
    return out


@pytest.fixture(scope="module")
def software_gpu(playwright: Playwright, chromium_path: str) -> Iterator[Browser]:
    """With WebGPU and WebGL in software."""
    flags = [*SOFTWARE_GPU, "--no-sandbox"]
    launched = playwright.chromium.launch(executable_path=chromium_path, args=flags)
    yield launched
    launched.close()


@pytest.fixture
def lab_at(browser: Browser) -> Iterator[Callable[..., Lab]]:
    """Make a lab on a server. Its own script may not run under the content policy of pages."""
    contexts = []

    def make(url: str, inside: Browser = browser, script: str = "", path: str = "") -> Lab:
        context = inside.new_context(bypass_csp=True, permissions=["camera"])
        contexts.append(context)
        if script:
            context.add_init_script(script)
        return Lab(context.new_page(), url).load(path or "/licenses.txt")

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def lab(lab_at: Callable[..., Lab], atto_url: str, bear: Path) -> Lab:
    return lab_at(atto_url).show(bear)


def assert_alike(found: list[dict[str, Any]], expected: list[dict[str, Any]]) -> None:
    assert [each["label"] for each in found] == [each["label"] for each in expected]
    for one, other in zip(found, expected, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=SCORE_TOLERANCE)
        assert one["box"] == pytest.approx(other["box"], abs=PIXEL_TOLERANCE)


def test_a_worker_that_fails_is_followed_by_one_that_finds_the_same(lab: Lab) -> None:
    assert lab.start(threads=1) == {"name": "wasm", "threads": 1, "runtime": "onnx"}
    expected = lab.detect()
    assert [each["label"] for each in expected] == ["bear"]
    lab.in_worker(KILL)
    assert lab.detect() == expected
    problems = [each["problem"] for each in lab.report()]
    assert problems[0] is None
    assert "killed by the test" in problems[1]


def test_a_worker_that_fails_again_and_again_is_given_up(lab: Lab) -> None:
    lab.start(threads=1)
    for _ in range(3):
        lab.in_worker(KILL)
        lab.detect()
    lab.in_worker(KILL)
    error = lab.page.evaluate(
        "lab.detect().then(() => null, ({ code, message }) => ({ code, message }))"
    )
    assert error["code"] == "worker-failed"
    assert "killed by the test" in error["message"]


def test_a_worker_that_hangs_is_noticed(lab: Lab) -> None:
    lab.start(threads=1)
    expected = lab.detect()
    lab.in_worker(HANG)
    assert lab.detect() == expected
    assert "gave no answer for" in lab.report()[-1]["problem"]
