"""The detector on the device: whatever its workers, models and browsers do, frames are answered."""

from __future__ import annotations

import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Playwright
from tests.browser.conftest import LivePage, serving

from sightline.export.run import export
from sightline.manifest import read_manifest, write_manifest
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

    def until_workers(self, count: int) -> None:
        """Wait until so many are left: ended ones are told of later."""
        for _ in range(600):
            if len(self.page.workers) == count:
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"{len(self.page.workers)} workers, not {count}")

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
    write_manifest(out, replace(read_manifest(out), name="atto-tfjs"))
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


def test_the_camera_goes_on_over_twenty_killed_workers(lab: Lab) -> None:
    """A camera has but a few frames: none may stay with a worker that is ended."""
    lab.start(threads=1)
    lab.page.evaluate("lab.camera()")
    for _ in range(20):
        done = lab.page.evaluate("lab.counts.done")
        lab.until(f"lab.counts.done > {done}")
        lab.in_worker(HANG)  # so that the next frame stays in its queue
        lab.page.wait_for_timeout(100)
        lab.start(threads=1)
    shown = lab.page.evaluate("lab.video.getVideoPlaybackQuality().totalVideoFrames")
    lab.until(f"lab.video.getVideoPlaybackQuality().totalVideoFrames > {shown} + 20")
    assert set(lab.page.evaluate("lab.failures")) <= {"detector-disposed"}


def test_a_worker_whose_memory_grows_is_exchanged_without_a_failure(lab: Lab) -> None:
    lab.start(threads=1)
    expected = lab.detect()
    lab.in_worker("globalThis.leak = new WebAssembly.Memory({ initial: 8000 })")
    former = lab.page.workers[0]
    assert lab.detect() == expected  # it is noticed after this one
    lab.page.wait_for_event("worker") if lab.page.workers == [former] else None
    lab.until_workers(1)
    assert lab.page.workers[0] is not former
    assert lab.page.workers[0].evaluate("typeof leak") == "undefined"
    assert lab.detect() == expected
    assert [each["problem"] for each in lab.report()] == [None]


def test_a_frame_that_is_given_up_is_closed_and_rejected_at_once(lab: Lab) -> None:
    lab.start(threads=1)
    told = lab.page.evaluate("lab.abortWaiting()")
    assert told["waiting"]["message"] == "another picture was chosen"
    assert told["isClosed"]
    assert told["first"] == 1


def test_a_frame_that_cannot_be_read_rejects_itself_alone(lab: Lab) -> None:
    lab.start(threads=1)
    program = "(() => { const f = lab.frame(); f.close(); return lab.detector.detect(f); })()"
    code = lab.page.evaluate(f"{program}.then(() => null, (error) => error.code)")
    assert code == "frame-unusable"
    assert len(lab.detect()) == 1


def test_what_is_no_frame_is_refused_and_the_next_is_answered(lab: Lab) -> None:
    lab.start(threads=1)
    refusals = {
        "lab.canvas": "HTMLCanvasElement",
        "document.createElement('video')": "HTMLVideoElement",
        "null": "Null",
        "undefined": "Undefined",
        "{}": "Object",
    }
    for given, kind in refusals.items():
        told = lab.page.evaluate(
            f"lab.detector.detect({given}).then(null, ({{ code, message }}) => [code, message])"
        )
        assert told[0] == "frame-unusable"
        assert f"takes an ImageBitmap or a VideoFrame, not {kind};" in told[1]
        assert len(lab.detect()) == 1


@pytest.mark.parametrize("threads", [-3, 0, 1.5, "two"])
def test_threads_that_cannot_be_are_refused_at_once(lab: Lab, threads: object) -> None:
    error = lab.failure(ATTO, threads=threads)
    assert error["code"] == "config-invalid"
    assert f"threads is {json.dumps(threads)}, not a whole number" in error["message"]
    lab.until_workers(0)


def test_nothing_is_computed_where_nothing_moves(lab: Lab) -> None:
    lab.start(threads=1)
    results = lab.page.evaluate(
        """async () => {
          const results = [];
          for (let frame = 0; frame < 6; frame++) {
            results.push(await lab.detect({ motion: true, capturedAt: 1000 + frame * 40 }));
          }
          return results.map(({ isStill, detections }) => [isStill, detections.length]);
        }"""
    )
    assert results[0] == [False, 1]
    assert results[-1] == [True, 0]


def test_webgpu_finds_what_wasm_finds_and_its_loss_goes_unnoticed(
    lab_at: Callable[..., Lab], software_gpu: Browser, atto_url: str, bear: Path
) -> None:
    lab = lab_at(atto_url, software_gpu).show(bear)
    lab.start(backend="wasm", threads=1)
    expected = lab.detect()
    assert lab.start(backend="webgpu", threads=1)["name"] == "webgpu"
    assert lab.page.evaluate("lab.backends") == ["webgpu"]
    lab.until_workers(1)
    assert_alike(lab.detect(), expected)
    crash_gpu(software_gpu)
    assert_alike(lab.detect(), expected)
    assert lab.page.evaluate("lab.backends") == ["webgpu", "wasm"]
    assert "GPU was lost" in lab.report()[-1]["problem"]


def crash_gpu(inside: Browser) -> None:
    """End the browser's GPU process, as a driver's fault does; the browser starts another."""
    session = inside.new_browser_cdp_session()
    for process in session.send("SystemInfo.getProcessInfo")["processInfo"]:
        if process["type"] == "GPU":
            os.kill(process["id"], signal.SIGKILL)
    session.detach()


# To a page this software looks like a graphics card.
REAL_GPU = """
const { requestAdapter } = GPU.prototype;
GPU.prototype.requestAdapter = async function (options) {
  const adapter = await requestAdapter.call(this, options);
  Object.defineProperty(adapter.info, "isFallbackAdapter", { value: false });
  Object.defineProperty(adapter, "info", { value: adapter.info });
  return adapter;
};
"""


def test_webgpu_that_is_slower_is_tried_once_and_not_used(
    lab_at: Callable[..., Lab], software_gpu: Browser, atto_url: str, bear: Path
) -> None:
    lab = lab_at(atto_url, software_gpu, script=REAL_GPU).show(bear)
    assert lab.start()["name"] == "wasm"
    for _ in range(11):
        lab.detect()
    lab.until("lab.detector.report.length === 2")
    tried = lab.report()[1]
    assert tried["backend"]["name"] == "webgpu"
    assert "wasm takes" in tried["problem"]
    assert lab.page.evaluate("lab.backends") == []
    lab.page.wait_for_timeout(100)
    lab.start()
    for _ in range(11):
        lab.detect()
    assert len(lab.report()) == 1


def test_without_a_gpu_webgpu_is_refused_with_the_reason(lab: Lab) -> None:
    error = lab.failure(ATTO, backend="webgpu")
    assert error["code"] == "backend-unsupported"
    assert error["name"] == "BackendUnsupported", "builds keep the names that consoles show"
    assert "no WebGPU adapter" in error["message"]
    lab.until_workers(0)


def test_a_tab_without_a_gpu_asks_for_one_once(lab: Lab) -> None:
    told: list[str] = []
    lab.page.on("console", lambda message: told.append(message.text))
    lab.start()
    lab.start()
    lab.load().start()
    assert len([text for text in told if "adapter" in text]) == 1


@pytest.mark.parametrize("backend", ["wasm", "webgl"])
def test_tensorflow_js_finds_what_onnx_runtime_finds(
    lab_at: Callable[..., Lab], software_gpu: Browser, atto_url: str, bear: Path, backend: str
) -> None:
    lab = lab_at(atto_url, software_gpu).show(bear)
    lab.start(threads=1)
    expected = lab.detect()
    before = len(lab.requested)
    opened = lab.start("/models/atto-tfjs/", runtime="tfjs", backend=backend)
    assert opened == {"name": backend, "threads": 1, "runtime": "tfjs"}
    assert_alike(lab.detect(), expected)
    assert not [url for url in lab.requested[before:] if "ort-wasm" in url]


def test_the_live_page_runs_both_runtimes(
    live: Callable[..., LivePage], atto_url: str, bear: Path
) -> None:
    page = live(url=atto_url).open("?threads=1").until_ready().choose_file(bear)
    expected = page.until_found()
    page.page.select_option("#models", "atto-tfjs")
    page.until("window.sightline.stats.model === 'atto-tfjs'")
    found = page.until_ready().until_found()
    assert page.page.inner_text("#backend").startswith("TF.js")
    assert [each["label"] for each in found] == [each["label"] for each in expected]


def test_a_model_for_another_runtime_is_refused(lab: Lab) -> None:
    error = lab.failure(ATTO, runtime="tfjs")
    assert error["code"] == "backend-unsupported"
    assert "sightline export --to tfjs" in error["message"]
    assert lab.failure(ATTO, backend="webgl")["code"] == "backend-unsupported"


def test_without_simd_the_browser_is_told_to_be_too_old(
    lab_at: Callable[..., Lab], atto_url: str
) -> None:
    lab = lab_at(atto_url)
    # The worker's WebAssembly is not the page's: each gets a line more.
    lab.page.evaluate(
        """() => {
          const Unchanged = window.Worker;
          window.Worker = class extends Unchanged {
            constructor(url, options) {
              const source = `import ${JSON.stringify(new URL(url, location.href).href)};
                WebAssembly.validate = () => false;`;
              super(URL.createObjectURL(new Blob([source], { type: "text/javascript" })), options);
            }
          };
        }"""
    )
    error = lab.failure(ATTO)
    assert error["code"] == "webassembly-unsupported"


class ModelFiles:
    """A server of files that a test changes, which lets all pages or none read them."""

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
        self.asked: list[str] = []
        self.tokens: list[str | None] = []
        self.headers = {"Access-Control-Allow-Origin": "*", "Cache-Control": "no-store"}
        self.before_answer: Callable[[str], None] = lambda name: None
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rpartition("/")[2]
                site.asked.append(name)
                site.tokens.append(self.headers["Authorization"])
                site.before_answer(name)
                content = site.files.get(name)
                self.send_response(404 if content is None else 200)
                for key, value in site.headers.items():
                    self.send_header(key, value)
                self.end_headers()
                self.wfile.write(content or b"")

            def log_message(self, *args: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/"


@pytest.fixture
def model_files(atto_bundle: Path) -> Iterator[ModelFiles]:
    site = ModelFiles(atto_bundle)
    thread = Thread(target=site.server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    yield site
    site.server.shutdown()
    site.server.server_close()
    thread.join()


def test_a_model_that_was_loaded_before_is_not_loaded_again(
    lab: Lab, model_files: ModelFiles
) -> None:
    lab.start(model_files.url, threads=1)
    expected = lab.detect()
    lab.until(STORED)
    model_files.asked.clear()
    lab.start(model_files.url, threads=1)
    assert model_files.asked == ["manifest.json"]
    model_files.headers = {}
    model_files.server.shutdown()
    model_files.server.server_close()
    lab.start(model_files.url, threads=1)
    assert lab.detect() == expected


STORED = """(async () => {
  const keys = await (await caches.open("sightline-models")).keys();
  return keys.some((key) => key.url.endsWith("manifest.json"));
})()"""
DAMAGE = """async () => {
  const cache = await caches.open("sightline-models");
  for (const key of await cache.keys()) {
    if (!key.url.endsWith("manifest.json")) await cache.put(key, new Response("damaged"));
  }
}"""
KEPT = 'caches.open("sightline-models").then((cache) => cache.keys()).then((keys) => keys.length)'


def test_a_damaged_copy_is_loaded_again(lab: Lab, model_files: ModelFiles) -> None:
    lab.start(model_files.url, threads=1)
    lab.until(STORED)
    lab.page.evaluate(DAMAGE)
    model_files.asked.clear()
    lab.start(model_files.url, threads=1)
    assert model_files.asked == ["manifest.json", "model.onnx"]


def test_a_model_that_is_exchanged_while_it_loads_is_loaded_anew(
    lab: Lab, model_files: ModelFiles, atto_bundle: Path
) -> None:
    graph = model_files.files["model.onnx"] + b"\xa2\x06\x01x"  # a field nobody reads
    manifest = read_manifest(atto_bundle).to_json() | {"name": "newer"}
    manifest["files"]["model.onnx"] = {"size": len(graph), "sha256": sha256(graph).hexdigest()}
    newer = {"model.onnx": graph, "manifest.json": json.dumps(manifest).encode()}

    def exchange(name: str) -> None:
        if name == "model.onnx":
            model_files.files = newer

    model_files.before_answer = exchange
    lab.start(model_files.url, threads=1)
    assert lab.page.evaluate("lab.detector.manifest.name") == "newer"
    assert model_files.asked == ["manifest.json", "model.onnx"] * 2
    # the manifest and the graph; what was loaded first is not kept
    lab.until(f"{KEPT}.then((count) => count === 2)")


@pytest.mark.parametrize(
    ("change", "code", "message"),
    [
        (lambda files: files.pop("manifest.json"), "model-not-found", "manifest.json is not there"),
        (lambda files: files.pop("model.onnx"), "model-not-found", "model.onnx is not there (404)"),
        (
            lambda files: files.update({"model.onnx": files["model.onnx"][:1000]}),
            "model-truncated",
            "1000 bytes came",
        ),
        (
            lambda files: files.update({"model.onnx": bytes(len(files["model.onnx"]))}),
            "model-hash-mismatch",
            "does not have the sha256",
        ),
        (lambda files: files.update({"manifest.json": b"<html>"}), "manifest-invalid", "not JSON"),
    ],
)
def test_a_model_that_cannot_be_loaded_says_why(
    lab: Lab,
    model_files: ModelFiles,
    change: Callable[[dict[str, bytes]], object],
    code: str,
    message: str,
) -> None:
    change(model_files.files)
    error = lab.failure(model_files.url)
    assert error["code"] == code
    assert message in error["message"]
    lab.until_workers(0)


def test_pages_of_other_servers_run_it_and_are_told_what_a_model_s_server_must_allow(
    lab_at: Callable[..., Lab], model_files: ModelFiles, atto_bundle: Path, bear: Path, shared: Path
) -> None:
    """The page, the runtime and the model are each of another origin."""
    model_files.files["page.html"] = b"<!doctype html><title>a page without headers</title>"
    origin = model_files.url.rstrip("/")
    with serving((atto_bundle,), shared, "--cors-origin", origin) as runtime_url:
        library = f"window.library = {runtime_url!r} + 'sightline.js';"
        lab = lab_at(model_files.url, script=library, path="/page.html").show(bear)
        lab.start(runtime_url + "models/deimv2-atto/", threads=1)
        assert [each["label"] for each in lab.detect()] == ["bear"]
        model_files.headers = {}  # for others from here on
        blocked = lab_at(runtime_url).failure(model_files.url)
        assert blocked["code"] == "model-unreachable"
        other = model_files.url.replace("127.0.0.1", "sightline.test")
        error = lab.failure(other)
        assert error["code"] == "model-blocked"
        assert f"--cors-origin {origin}" in error["message"]


def test_a_model_of_another_server_comes_with_its_token(
    lab_at: Callable[..., Lab], model_files: ModelFiles, atto_bundle: Path, shared: Path
) -> None:
    model_files.files["page.html"] = b"<!doctype html><title>a page without headers</title>"
    origin = model_files.url.rstrip("/")
    options = ("--cors-origin", origin, "--token", "open-sesame")
    with serving((atto_bundle,), shared, *options) as url:
        library = f"window.library = {urljoin(url, '/sightline.js')!r};"
        lab = lab_at(model_files.url, script=library, path="/page.html")
        model = urljoin(url, ATTO)
        refused = lab.failure(model)
        assert refused["code"] == "token-refused"
        assert "give it as `token` beside `model`" in refused["message"]
        assert lab.failure(model, token="guess")["code"] == "token-refused"
        lab.start(model, token="open-sesame", threads=1)
        lab.until(STORED)
        assert lab.failure(model)["code"] == "token-refused", "what is cached is no way around it"


def test_a_token_goes_to_the_model_s_origin_alone(lab: Lab, model_files: ModelFiles) -> None:
    manifest = urljoin(lab.url, ATTO + "manifest.json")
    model = {"manifestUrl": manifest, "graphUrl": model_files.url + "model.onnx"}
    program = "(model) => lab.open({ model, token: 'open-sesame', threads: 1 })"
    lab.page.evaluate(program, model)
    assert (model_files.asked, model_files.tokens) == (["model.onnx"], [None])
