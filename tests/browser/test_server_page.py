"""Detection on the server: answers belong to the right frames, and what fails is told of.

Ties are measured on pictures of known content: a photo moves by a few pixels from frame to frame,
so that the place of a box tells in which frame it was found.
"""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import numpy as np
import pytest
from playwright.sync_api import Browser, Playwright, Request
from tests.browser.conftest import LivePage, serving
from tests.server.rtc_network import address_for_ice

from sightline.export.run import export

if TYPE_CHECKING:
    from numpy.typing import NDArray

pytestmark = [pytest.mark.browser, pytest.mark.slow]

LAB = Path(__file__).with_name("server_page.js")
TOKEN = "correct-horse"
# Near its turning points the photo's place does not tell the frame: this many are left out.
AROUND = 10
# The shortest ways are known, and the first frame that came, once some have come.
SETTLING_MS = 1500
WAYS = ("websocket", "webrtc")
GONE = "The server does not answer"
# Between an event and a look at the clock after it.
AN_EVENT_MS = 50


class Lab(LivePage):
    """A page of the server with the runtime and pictures whose content is known."""

    def load(self) -> Lab:
        self.page.goto(self.url)  # with a token in the address, if there is one: it sets the cookie
        self.page.goto(urljoin(self.url, "/licenses.txt"))
        self.page.add_script_tag(path=LAB, type="module")
        self.until("window.lab !== undefined")
        return self

    def start(self, way: str, photo: Path, **options: Any) -> Lab:
        address = "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()
        self.page.evaluate(
            "async ([way, photo, options]) => { await lab.start(way, photo, options); }",
            [way, address, options],
        )
        return self

    def read(self, name: str) -> NDArray[np.float64]:
        return np.array(self.page.evaluate(f"lab.{name}"), dtype=float)

    def states(self) -> list[dict[str, Any]]:
        return list(self.page.evaluate("lab.states"))

    def describe(self) -> str:
        count = self.page.evaluate("lab.results.length")
        return f"{count} results, states {json.dumps(self.states())}, errors {self.errors}"


@pytest.fixture(scope="module", autouse=True)
def ice_address() -> Iterator[None]:
    with address_for_ice():
        yield


@pytest.fixture(scope="module")
def atto_url(built_page: None, atto_bundle: Path, shared: Path) -> Iterator[str]:
    with serving((atto_bundle,), shared) as url:
        yield url


@pytest.fixture
def bear(shared: Path) -> Path:
    """A photo of one large animal."""
    return shared / "data" / "coco_val100" / "images" / "000000000285.jpg"


@pytest.fixture
def lab_at(browser: Browser) -> Iterator[Callable[..., Lab]]:
    """Make a lab on a server. Its own script may not run under the content policy of pages."""
    contexts = []

    def make(url: str, inside: Browser = browser) -> Lab:
        context = inside.new_context(bypass_csp=True)
        contexts.append(context)
        return Lab(context.new_page(), url).load()

    yield make
    for context in contexts:
        context.close()


@pytest.fixture
def server_page(browser: Browser, page_in: Callable[..., LivePage]) -> Callable[..., LivePage]:
    """Make a live page of a server, with the camera allowed."""

    def make(url: str, **settings: Any) -> LivePage:
        return page_in(browser, url, permissions=["camera"], **settings)

    return make


# Frames that were received have waited for others, and tell their capture only about.
@pytest.mark.parametrize(("way", "intervals"), [("websocket", 1), ("webrtc", 1), ("forwarded", 3)])
def test_boxes_are_told_of_the_frame_they_were_found_in(
    lab_at: Callable[..., Lab], atto_url: str, bear: Path, way: str, intervals: int
) -> None:
    lab = lab_at(atto_url).start(way, bear)
    lab.until("lab.paints.length > 300 && lab.results.length > 120")
    paints = lab.read("paints")
    interval_ms = float(np.median(np.diff(paints[:, 1])))
    results = lab.read("results")
    is_settled = results[:, 2] > results[0, 2] + SETTLING_MS
    errors_ms = tie_errors_ms(paints, results[is_settled])
    assert len(errors_ms) >= 40, "too few boxes to judge by"
    is_right = np.abs(errors_ms) <= intervals * interval_ms
    assert is_right.mean() >= 0.9, f"{np.percentile(errors_ms, [0, 5, 50, 95, 100])} ms"
    assert [state["kind"] for state in lab.states()] == ["connecting", "ready"]


def tie_errors_ms(paints: NDArray[np.float64], results: NDArray[np.float64]) -> NDArray[np.float64]:
    """How much later than its frame was painted a box says that it was captured, (K,).

    paints: (N, 2), the photo's left edge and when it was painted. results: (M, 4), the middle of
    the box, captured, shown, time in the server.
    """
    steps = np.diff(paints[:, 0])
    newest = np.searchsorted(paints[:, 1], results[:, 1]) - 1
    is_steady = np.array(
        [
            AROUND <= at < len(steps) - AROUND
            and len(set(np.sign(steps[at - AROUND : at + AROUND]))) == 1
            for at in newest
        ]
    )
    newest, results = newest[is_steady], results[is_steady]
    step = steps[newest]
    # From the frame's left edge to the middle of the object: what is the same both ways. A wrong
    # frame is ahead on the way there and behind on the way back.
    ahead = results[:, 0] - paints[newest, 0]
    middle = (np.median(ahead[step > 0]) + np.median(ahead[step < 0])) / 2
    found = newest + np.round((ahead - middle) / step).astype(int)
    errors: NDArray[np.float64] = results[:, 1] - paints[found.clip(0, len(paints) - 1), 1]
    return errors


@pytest.mark.parametrize("late", [-2, 0, 1])
def test_the_measure_of_ties_tells_frames_apart(late: int) -> None:
    """Boxes of known frames, said to be of frames before or after."""
    number = np.arange(200)
    way = number * 8 % 832
    paints = np.stack([np.where(way < 416, way, 832 - way), number * 33.0], axis=1)
    told = paints[np.clip(number + late, 0, 199), 1] + 5
    results = np.stack([paints[:, 0] + 70, told, told + 60, told], axis=1)
    errors = tie_errors_ms(paints.astype(float), results)
    assert len(errors) > 60
    assert errors == pytest.approx(33.0 * late + 5)


def test_a_page_without_permissions_connects_without_telling_its_address(
    plain_browser: Browser, lab_at: Callable[..., Lab], atto_url: str, bear: Path
) -> None:
    """Browsers hide it behind a name that only they resolve: the server learns it by the checks."""
    lab = lab_at(atto_url, plain_browser)
    offers: list[str] = []

    def keep_offer(request: Request) -> None:
        if request.url.endswith("/v1/webrtc/offer"):
            offers.append(request.post_data or "")

    lab.page.on("request", keep_offer)
    lab.start("webrtc", bear)
    lab.until("lab.results.length > 0")
    lines = json.loads(offers[0])["sdp"].splitlines()
    candidates = [line.split() for line in lines if line.startswith("a=candidate:")]
    assert candidates
    assert all(parts[4].endswith(".local") for parts in candidates)


@pytest.mark.parametrize("way", WAYS)
def test_a_page_of_another_origin_uses_the_server_where_it_is_allowed(
    live: Callable[..., LivePage],
    built_page: None,
    atto_bundle: Path,
    shared: Path,
    bear: Path,
    other_origin: str,
    way: str,
) -> None:
    with serving((atto_bundle,), shared, "--cors-origin", other_origin) as url:
        lab = Lab(live().page, other_origin)
        lab.page.goto(other_origin)
        lab.page.evaluate("(library) => { window.library = library; }", f"{url}sightline.js")
        lab.page.add_script_tag(path=LAB, type="module")
        lab.until("window.lab !== undefined")
        lab.start(way, bear, url=url)
        lab.until("lab.results.length > 5")
        assert lab.errors == []


class EmptyPage(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>another origin</title>")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def other_origin() -> Iterator[str]:
    """The origin of an empty page."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), EmptyPage)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def plain_browser(
    playwright: Playwright, chromium_path: str, browser_flags: tuple[str, ...]
) -> Iterator[Browser]:
    """One in which no page may use the camera."""
    launched = playwright.chromium.launch(executable_path=chromium_path, args=[*browser_flags])
    yield launched
    launched.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_wrong_token_is_told_of_and_not_tried_again(
    lab_at: Callable[..., Lab],
    built_page: None,
    atto_bundle: Path,
    shared: Path,
    bear: Path,
    way: str,
) -> None:
    with serving((atto_bundle,), shared, "--token", TOKEN) as url:
        lab = lab_at(url)
        lab.page.context.clear_cookies()
        lab.start(way, bear, token="wrong-horse")
        lab.until("lab.states.some(({kind}) => kind === 'failed')")
        assert lab.states()[-1]["error"] == "token-refused"
        assert len(lab.states()) == 2


def test_a_token_goes_as_a_subprotocol_where_there_is_no_cookie(
    lab_at: Callable[..., Lab], built_page: None, atto_bundle: Path, shared: Path, bear: Path
) -> None:
    token = "with/slash+and=sign~"
    with serving((atto_bundle,), shared, "--token", token) as url:
        lab = lab_at(url)
        lab.page.context.clear_cookies()
        lab.start("websocket", bear, token=token)
        lab.until("lab.states.at(-1)?.kind === 'ready'")


@pytest.mark.parametrize("run", ["server", "webrtc"])
def test_the_camera_is_looked_at_on_the_server(
    server_page: Callable[..., LivePage], atto_url: str, run: str
) -> None:
    page = server_page(atto_url).open(f"?run={run}").until_ready()
    assert page.page.evaluate("window.sightline.stats.connection") is None, "nothing is sent yet"
    page.page.click("#use-camera")
    page.until("window.sightline.lastResult?.detections.some(({label}) => label === 'bottle')")
    page.until("window.sightline.stats.framesDetected >= 5")
    stats = page.page.evaluate("window.sightline.stats")
    assert stats["place"] == ("websocket" if run == "server" else run)
    assert stats["backend"] is None
    assert stats["latencyMs"] > stats["serverMs"] > stats["inferenceMs"] > 0
    found = page.page.evaluate("window.sightline.lastResult")
    assert (found["width"], found["height"]) == (640, 360)
    assert page.page.inner_text("#status-text") == "Live"
    assert not any(".onnx" in url for url in page.requested), "the model stays on the server"
    assert page.errors == []


def test_the_page_says_where_pictures_go_and_keeps_the_choice(
    server_page: Callable[..., LivePage], atto_url: str
) -> None:
    page = server_page(atto_url).open("?source=sample").until_ready()
    assert "Nothing leaves this device." in page.page.inner_text(".privacy")
    page.until_found()
    page.page.select_option("#place", "webrtc")
    assert "Pictures go to this server" in page.page.inner_text(".privacy")
    page.until("window.sightline.stats.connection === 'ready'")
    page.until_found()
    page.page.reload()
    page.until_ready()
    assert page.page.evaluate("window.sightline.stats.place") == "webrtc"
    page.page.select_option("#place", "device")
    page.until("window.sightline.stats.backend === 'wasm'")
    page.until_found()
    assert "Nothing leaves this device." in page.page.inner_text(".privacy")
    assert "run=" not in page.page.url
    assert page.errors == []


def test_a_model_that_no_browser_runs_is_looked_at_on_the_server(
    server_page: Callable[..., LivePage],
    built_page: None,
    atto_bundle: Path,
    shared: Path,
    tmp_path: Path,
) -> None:
    batched = export(atto_bundle, to="onnx", out=tmp_path / "b4", batch=4).path
    with serving((batched, atto_bundle), shared) as url:
        page = server_page(url).open().until_ready()
        assert page.page.evaluate("window.sightline.stats.place") == "websocket"
        assert page.page.locator("#place option[value=device]").is_disabled()
        assert "does not run in browsers" in page.page.inner_text("#place-hint")
        assert "Pictures go to this server" in page.page.inner_text(".privacy")
        page.page.click("#use-camera")
        page.until_found()
        page.page.select_option("#models", "deimv2-atto-2")
        page.until("window.sightline.stats.backend === 'wasm'")
        assert page.page.evaluate("window.sightline.stats.place") == "device", "as it was wanted"
        assert "does not run in browsers" not in page.page.inner_text("#place-hint")
        assert page.errors == []


@pytest.mark.parametrize("run", WAYS)
def test_boxes_of_the_last_frame_are_not_shown_on_the_first(
    server_page: Callable[..., LivePage], atto_url: str, run: str
) -> None:
    page = server_page(atto_url).open(f"?run={run}&source=sample").until_ready()
    page.until_found()
    begun_at, result, painted = page.page.evaluate(
        """async () => {
            const video = document.querySelector("#video");
            const once = (kind) => new Promise((resolve) =>
                video.addEventListener(kind, resolve, { once: true }));
            video.currentTime = video.duration - 1.5;
            await once("seeked");
            await once("seeking");
            await once("seeked");
            const canvas = document.querySelector(".sightline-overlay");
            const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d");
            if (canvas.style.clipPath === "") copy.drawImage(canvas, 0, 0);
            const pixels = copy.getImageData(0, 0, canvas.width, canvas.height);
            return [performance.now(), sightline.lastResult, pixels.data.some((value) => value)];
        }"""
    )
    assert result is None and not painted
    page.until_found()
    assert page.page.evaluate("window.sightline.lastResult.capturedAt") >= begun_at - AN_EVENT_MS


@pytest.mark.parametrize("run", WAYS)
def test_a_photo_and_a_lower_threshold_go_to_the_server(
    server_page: Callable[..., LivePage], atto_url: str, shared: Path, run: str
) -> None:
    page = server_page(atto_url).open(f"?run={run}").until_ready()
    photo = shared / "data" / "coco_val100" / "images" / "000000000139.jpg"
    before = len(page.choose_file(photo).until_found())
    page.set_threshold(5)
    page.until(f"window.sightline.lastResult?.detections.length > {before}")
    scores = [found["score"] for found in page.detections()]
    assert min(scores) >= 0.05
    page.set_threshold(99)
    assert page.detections() == []


@pytest.mark.parametrize("run", WAYS)
def test_the_page_says_that_the_server_has_gone_and_goes_on_when_it_is_back(
    server_page: Callable[..., LivePage],
    built_page: None,
    atto_bundle: Path,
    shared: Path,
    run: str,
) -> None:
    port = ("--port", str(free_port()))
    with serving((atto_bundle,), shared, *port) as url:
        page = server_page(url).open(f"?run={run}").until_ready()
        page.page.click("#use-camera")
        page.until("window.sightline.stats.framesDetected >= 5")
    # While it stops it says that it is busy.
    page.until(f"document.querySelector('#problem-title').textContent === '{GONE}'")
    page.until("document.querySelector('#status-text').textContent === 'Connecting'")
    detected = page.page.evaluate("window.sightline.stats.framesDetected")
    with serving((atto_bundle,), shared, *port):
        page.until(f"window.sightline.stats.framesDetected > {detected + 5}")
        page.until("document.querySelector('#status-text').textContent === 'Live'")
        assert page.page.is_hidden("#problem")
        page.page.click("#stop")
    assert page.errors == []


@pytest.mark.parametrize("run", WAYS)
def test_leaving_the_page_ends_its_session_at_once(
    server_page: Callable[..., LivePage], atto_url: str, run: str
) -> None:
    page = server_page(atto_url).open(f"?run={run}&source=sample").until_ready()
    page.until_found()
    assert open_sessions(page) == 1
    page.page.goto("about:blank")
    # Of a page that dies without a word the server learns only after IDLE_S, ten seconds.
    page.page.wait_for_timeout(2000)
    assert open_sessions(page) == 0


def open_sessions(page: LivePage) -> float:
    text = page.page.request.get(page.url + "metrics").text()
    lines = [line for line in text.splitlines() if line.startswith("sightline_sessions{")]
    return sum(float(line.split()[-1]) for line in lines)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("run", WAYS)
def test_a_full_server_is_told_of_and_asked_again(
    server_page: Callable[..., LivePage],
    built_page: None,
    atto_bundle: Path,
    shared: Path,
    run: str,
) -> None:
    with serving((atto_bundle,), shared, "--max-sessions", "1") as url:
        first = server_page(url).open("?run=websocket&source=sample").until_ready()
        first.until_found()
        second = server_page(url).open(f"?run={run}&source=sample").until_ready()
        assert "The server is busy" in second.problem()
        first.page.click("#stop")
        second.until_found()
        assert second.page.is_hidden("#problem")


def test_where_webrtc_finds_no_way_websocket_is_offered(
    playwright: Playwright,
    chromium_path: str,
    browser_flags: tuple[str, ...],
    page_in: Callable[..., LivePage],
    atto_url: str,
) -> None:
    flags = [*browser_flags, "--webrtc-ip-handling-policy=disable_non_proxied_udp"]
    launched = playwright.chromium.launch(executable_path=chromium_path, args=flags)
    try:
        page = page_in(launched, atto_url).open("?run=webrtc&source=sample").until_ready()
        assert "The video cannot reach the server" in page.problem()
        assert page.page.inner_text("#problem-retry") == "Use WebSocket"
        page.page.click("#problem-retry")
        page.until_found()
        assert page.page.evaluate("window.sightline.stats.place") == "websocket"
    finally:
        launched.close()


# Frames leave as they should and nobody can read them.
GARBLE = """
  const Unchanged = window.RTCRtpScriptTransform;
  const source = `onrtctransform = ({ transformer: { readable, writable } }) =>
    readable.pipeThrough(new TransformStream({
      transform(frame, out) {
        frame.data = new ArrayBuffer(frame.data.byteLength);
        out.enqueue(frame);
      },
    })).pipeTo(writable);`;
  const worker = new Worker(URL.createObjectURL(new Blob([source])));
  window.RTCRtpScriptTransform = class { constructor() { return new Unchanged(worker); } };
"""


def test_a_stream_that_is_never_answered_is_not_live_and_is_told_of(
    server_page: Callable[..., LivePage], atto_url: str
) -> None:
    page = server_page(atto_url, bypass_csp=True)
    page.page.context.add_init_script(GARBLE)
    page.open("?run=webrtc&source=sample")
    page.until("document.querySelector('#status-text').textContent.startsWith('Waiting')")
    assert "frames were sent by WebRTC and the server has answered none" in page.problem()
    assert page.page.inner_text("#status-text") == "Problem"
    page.page.click("#problem-retry")
    page.until_found()
    page.until("document.querySelector('#status-text').textContent === 'Live'")
