"""The script tags of 2017 on pages of other sites, as pages of then include them.

Each page lies on a site of its own, with a fake service of 2017 beside it: a plain HTTP server that
answers in the wire format of then, or as it is told to.
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from email.parser import BytesParser
from email.policy import HTTP
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Lock, Thread
from typing import Any
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Browser, Page
from tests.browser.conftest import LivePage, serving
from tests.server.rtc_network import address_for_ice

pytestmark = [pytest.mark.browser, pytest.mark.slow]

TOKEN = "correct-horse"
# One object, wider than its label: height and width are its bottom and right edges.
ANSWER_2017: list[dict[str, Any]] = [
    {"name": "webrtcHacks Sample", "version": "0.0.1", "numObjects": 1, "threshold": 0.5},
    {
        "name": "Object",
        "class_name": "dog",
        "score": 0.9407,
        "y": 0.25,
        "x": 0.125,
        "height": 0.75,
        "width": 0.625,
    },
]
# The motion gate looks at what stands still so often all the same.
REST_MS = 5000
COLLECT = """
window.events = [];
document.addEventListener('objectDetection', ({detail}) => window.events.push(detail));
"""


@dataclass
class Reply:
    status: int = 200
    body: str = json.dumps(ANSWER_2017)
    headers: dict[str, str] = field(default_factory=dict)


class Site(ThreadingHTTPServer):
    """Pages and clips by path, and at /image what a service of 2017 does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), SiteHandler)
        self.files: dict[str, tuple[str, bytes]] = {}
        self.replies: list[Reply] = []  # before the ordinary ones
        self.uploads: list[dict[str, Any]] = []
        self.most_at_once = 0
        self.at_once = 0
        self.lock = Lock()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def add_page(self, body: str, path: str = "/") -> str:
        page = f"<!doctype html><title>a page</title>{body}"
        self.files[path] = ("text/html", page.encode())
        return self.origin + path


class SiteHandler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        kind, content = self.server.files.get(self.path, ("text/plain", b""))
        self._send(200 if content else 404, kind, content)

    def do_POST(self) -> None:
        site = self.server
        with site.lock:
            site.at_once += 1
            site.most_at_once = max(site.most_at_once, site.at_once)
            reply = site.replies.pop(0) if site.replies else Reply()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        site.uploads.append({"fields": read_form(self.headers["Content-Type"], body)})
        with site.lock:
            site.at_once -= 1
        self._send(reply.status, "text/html; charset=utf-8", reply.body.encode(), reply.headers)

    def _send(self, status: int, kind: str, body: bytes, headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def read_form(kind: str, body: bytes) -> dict[str, tuple[str | None, str, Any]]:
    """By field: file name, type and content."""
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body
    )
    return {
        str(part.get_param("name", header="content-disposition")): (
            part.get_filename(),
            part.get_content_type(),
            part.get_payload(decode=True),
        )
        for part in message.iter_parts()
    }


class TagPage(LivePage):
    """A page with a tag; it keeps the events in `events`."""

    def describe(self) -> str:
        count = self.page.evaluate("window.events?.length")
        return f"{count} events, errors {self.errors}, console {self.told}"

    def __init__(self, page: Page, url: str) -> None:
        super().__init__(page, url)
        self.told: list[str] = []
        page.on("console", lambda message: self.told.append(message.text))

    def until_events(self, count: int = 1) -> list[list[dict[str, Any]]]:
        self.until(f"window.events?.length >= {count}")
        return list(self.page.evaluate("window.events"))

    def until_found(self) -> list[dict[str, Any]]:
        self.until("window.events?.some((detail) => detail.length > 1)")
        return list(self.page.evaluate("window.events.findLast((detail) => detail.length > 1)"))

    def uploads(self) -> list[str]:
        return [url for url in self.requested if url.endswith("/image")]


@pytest.fixture(scope="module", autouse=True)
def ice_address() -> Iterator[None]:
    with address_for_ice():
        yield


@pytest.fixture
def site(built_page: None, shared: Path) -> Iterator[Site]:
    """A site with the bottle clip at /clip.webm."""
    site = Site()
    clip = shared / "data" / "video" / "bottle_8s_640x360.webm"
    site.files["/clip.webm"] = ("video/webm", clip.read_bytes())
    thread = Thread(target=site.serve_forever)
    thread.start()
    yield site
    site.shutdown()
    site.server_close()
    thread.join()


@pytest.fixture
def runtime_url(site: Site, atto_bundle: Path, shared: Path) -> Iterator[str]:
    """A server that lets the site's pages use it."""
    with serving((atto_bundle,), shared, "--cors-origin", site.origin) as url:
        yield url


@pytest.fixture
def tag_page(browser: Browser) -> Iterator[Callable[[str], TagPage]]:
    contexts = []

    def open_page(url: str) -> TagPage:
        context = browser.new_context(
            permissions=["camera"], viewport={"width": 900, "height": 700}
        )
        contexts.append(context)
        page = TagPage(context.new_page(), url)
        page.page.add_init_script(COLLECT)
        page.page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()


VIDEO = '<video id="myVideo" src="/clip.webm" autoplay loop muted width="640" height="360"></video>'


def tag(runtime_url: str, name: str = "objDetect", **data: str) -> str:
    attributes = {"data-source": "myVideo"} | {f"data-{key}": text for key, text in data.items()}
    shown = " ".join(f'{key}="{text}"' for key, text in attributes.items())
    return f'<script id="objDetect" src="{runtime_url}static/{name}.js" {shown}></script>'


def painted_box(page: TagPage) -> list[float]:
    """What the canvas over the video shows, in 0..1 of it: the edges of all that is cyan."""
    return list(
        page.page.evaluate("""() => {
          const canvas = document.querySelector('.sightline-overlay');
          const {width, height} = canvas;
          const {data} = canvas.getContext('2d').getImageData(0, 0, width, height);
          let [left, top, right, bottom] = [1, 1, 0, 0];
          for (let at = 0; at < data.length; at += 4) {
            const [red, green, blue, alpha] = data.subarray(at, at + 4);
            if (red > 60 || green < 200 || blue < 200 || alpha < 200) continue;
            const [x, y] = [((at / 4) % width) / width, Math.floor(at / 4 / width) / height];
            [left, right] = [Math.min(left, x), Math.max(right, x)];
            [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
          }
          return [left, top, right, bottom];
        }""")
    )


def test_a_service_of_2017_is_asked_as_it_was_then(
    site: Site, runtime_url: str, tag_page: Callable[[str], TagPage]
) -> None:
    """The page of 2017, its server of 2017; only the script is ours."""
    page = tag_page(site.add_page(VIDEO + tag(runtime_url, uploadWidth="320")))
    events = page.until_events(5)
    assert events[0][0]["threshold"] == 0.5
    assert events[0][1] == pytest.approx(ANSWER_2017[1])
    assert site.most_at_once == 1
    form = site.uploads[0]["fields"]
    name, kind, jpeg = form["image"]
    assert (name, kind) == ("blob", "image/jpeg")
    assert jpeg.startswith(b"\xff\xd8")
    assert form["threshold"][2] == b"0.5"
    assert re.search(rb"\xff\xc0..\x08(..)(..)", jpeg, re.DOTALL).groups() == (  # type: ignore[union-attr]
        (180).to_bytes(2, "big"),
        (320).to_bytes(2, "big"),
    )
    assert page.errors == []


def test_the_page_keeps_its_own_handlers_and_one_loop(
    site: Site, runtime_url: str, tag_page: Callable[[str], TagPage]
) -> None:
    handlers = """<script>
      const video = document.getElementById('myVideo');
      window.calls = [];
      video.onloadedmetadata = () => calls.push('loadedmetadata');
      video.onplaying = () => calls.push('playing');
    </script>"""
    page = tag_page(site.add_page(VIDEO + handlers + tag(runtime_url)))
    page.until_events(3)
    for _ in range(3):
        page.page.evaluate("myVideo.pause()")
        page.page.evaluate("myVideo.currentTime = 2")
        page.page.evaluate("myVideo.play()")
        page.until_events(len(page.page.evaluate("events")) + 3)
    assert site.most_at_once == 1
    calls = page.page.evaluate("calls")
    assert calls[0] == "loadedmetadata"
    assert calls.count("playing") >= 3
    assert page.page.evaluate("document.querySelectorAll('canvas').length") == 1


@pytest.mark.parametrize(
    "reply",
    [
        Reply(500, "<h1>Internal Server Error</h1>"),
        Reply(404, "<h1>Not Found</h1>"),
        Reply(200, "<html>a proxy's page</html>"),
        Reply(200, '[{"class_name": "dog"}]'),
        Reply(503, "", {"Retry-After": "1"}),
        Reply(429, ""),
    ],
    ids=lambda reply: f"{reply.status}-{reply.body[:6]}",
)
def test_it_goes_on_after_a_bad_answer(
    site: Site, runtime_url: str, tag_page: Callable[[str], TagPage], reply: Reply
) -> None:
    site.replies = [reply, reply]
    page = tag_page(site.add_page(VIDEO + tag(runtime_url)))
    page.until_events(3)
    assert any(text.startswith("objDetect: ") for text in page.told)
    assert page.errors == []


def test_it_goes_on_when_the_server_is_back(
    site: Site, atto_bundle: Path, shared: Path, tag_page: Callable[[str], TagPage]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--port", str(port), "--cors-origin", site.origin)
    with serving((atto_bundle,), shared, *options) as url:
        page = tag_page(site.add_page(VIDEO + tag(url, apiServer=f"{url}image")))
        page.until_found()
    page.page.wait_for_timeout(1000)
    page.page.evaluate("events.length = 0")
    with serving((atto_bundle,), shared, *options):
        page.until_found()
    assert any("cannot be reached" in text for text in page.told)


@pytest.mark.parametrize("transport", ["http", "websocket", "webrtc"])
def test_a_page_of_another_origin_with_a_token(
    site: Site,
    atto_bundle: Path,
    shared: Path,
    tag_page: Callable[[str], TagPage],
    transport: str,
) -> None:
    options = ("--cors-origin", site.origin, "--token", TOKEN)
    with serving((atto_bundle,), shared, *options) as printed:
        url = urljoin(printed, "/")  # without the token
        data = {"apiServer": f"{url}image", "transport": transport, "token": TOKEN}
        page = tag_page(site.add_page(VIDEO + tag(url, **data)))
        header, *found = page.until_found()
        assert header["name"] == "deimv2-atto"
        assert found[0]["class_name"] == "bottle"
        assert bool(page.uploads()) == (transport == "http")
        assert page.errors == []


def test_a_model_of_the_page_sends_nothing(
    site: Site, runtime_url: str, tag_page: Callable[[str], TagPage]
) -> None:
    data = {"model": f"{runtime_url}models/deimv2-atto/", "mirror": "false"}
    page = tag_page(site.add_page(VIDEO + tag(runtime_url, **data)))
    posted: list[str] = []
    page.page.context.on("request", lambda request: posted.append(request.method))
    header, *found = page.until_found()
    assert header["name"] == "deimv2-atto"
    assert found[0]["class_name"] == "bottle"
    page.until_events(5)
    assert "POST" not in posted
    assert site.uploads == []


def test_boxes_lie_on_their_objects_whatever_the_size(
    site: Site, runtime_url: str, tag_page: Callable[[str], TagPage]
) -> None:
    page = tag_page(site.add_page(VIDEO + tag(runtime_url)))
    page.until_events(2)
    edges = [ANSWER_2017[1][name] for name in ("x", "y", "width", "height")]
    for width in (640, 320, 800):
        page.page.evaluate("(width) => { myVideo.width = width; myVideo.height = 360; }", width)
        page.until_events(len(page.page.evaluate("events")) + 2)
        picture = min(width, 640) / width  # letterboxed beyond and within
        tall = min(1.0, width / 640)
        expected = [
            (1 - picture) / 2 + edges[0] * picture,
            (1 - tall) / 2 + edges[1] * tall,
            (1 - picture) / 2 + edges[2] * picture,
            (1 - tall) / 2 + edges[3] * tall,
        ]
        # Lines of 4 pixels stand out by 2; the label lies within the box's left part.
        assert painted_box(page) == pytest.approx(expected, abs=0.02), width
        over = page.page.evaluate(
            "(() => { const a = myVideo.getBoundingClientRect();"
            " const b = document.querySelector('canvas').getBoundingClientRect();"
            " return [a.x - b.x, a.y - b.y, a.width - b.width, a.height - b.height]; })()"
        )
        assert over == pytest.approx([0, 0, 0, 0], abs=1)


def test_a_video_that_comes_later_and_one_that_takes_its_place(
    site: Site, runtime_url: str, tag_page: Callable[[str], TagPage]
) -> None:
    page = tag_page(site.add_page(tag(runtime_url)))
    page.until("document.readyState === 'complete'")
    while not any('no <video id="myVideo"> yet' in text for text in page.told):
        page.page.wait_for_timeout(50)
    for _ in range(2):
        page.page.evaluate(
            "(html) => { document.body.innerHTML = html; events.length = 0; }", VIDEO
        )
        page.until_events(3)
        assert page.page.evaluate("document.querySelectorAll('canvas').length") == 1
    assert site.most_at_once == 1


PEER = """<video id="myVideo" autoplay muted playsinline></video>
<script>
  (async () => {
    const stream = await navigator.mediaDevices.getUserMedia({video: true});
    const [near, far] = [new RTCPeerConnection(), new RTCPeerConnection()];
    near.onicecandidate = ({candidate}) => far.addIceCandidate(candidate);
    far.onicecandidate = ({candidate}) => near.addIceCandidate(candidate);
    far.ontrack = ({track}) => { myVideo.srcObject = new MediaStream([track]); };
    near.addTrack(stream.getVideoTracks()[0], stream);
    await near.setLocalDescription();
    await far.setRemoteDescription(near.localDescription);
    await far.setLocalDescription();
    await near.setRemoteDescription(far.localDescription);
  })();
</script>"""


def test_the_video_of_a_remote_peer(
    site: Site, runtime_url: str, tag_page: Callable[[str], TagPage]
) -> None:
    page = tag_page(site.add_page(PEER + tag(runtime_url, apiServer=f"{runtime_url}image")))
    assert page.until_found()[1]["class_name"] == "bottle"


CANVAS = """<canvas id="picture" width="640" height="360"></canvas>
<video id="myVideo" autoplay muted playsinline></video>
<script>
  const context = picture.getContext('2d');
  window.speed = 0;
  window.frames_painted = 0;
  let left = 40;
  setInterval(() => {
    left += speed;
    context.fillStyle = '#777';
    context.fillRect(0, 0, 640, 360);
    context.fillStyle = '#ddd';
    context.fillRect(left, 100, 120, 120);
    window.frames_painted++;
  }, 50);
  myVideo.srcObject = picture.captureStream();
</script>"""


def test_where_nothing_moves_nothing_is_sent_and_slow_change_counts(
    site: Site, runtime_url: str, tag_page: Callable[[str], TagPage]
) -> None:
    page = tag_page(site.add_page(CANVAS + tag(runtime_url, "objDetectOnMotion")))
    page.until_events(1)
    started = page.page.evaluate("performance.now()")
    page.until("frames_painted > 80")
    elapsed_ms = page.page.evaluate("performance.now()") - started
    assert len(site.uploads) <= 2 + elapsed_ms / REST_MS
    # 0.1 pixel a frame: between two frames nothing differs by as much as a gate would see.
    before = len(site.uploads)
    page.page.evaluate("speed = 0.1; moved_from = performance.now()")
    page.until(f"events.length >= {before + 4}")
    elapsed_ms = page.page.evaluate("performance.now() - moved_from")
    assert len(site.uploads) - before > 1 + elapsed_ms / REST_MS, "more than what is sent at rest"


def test_the_pages_of_2017_show_how_it_is_done(
    atto_bundle: Path, shared: Path, tag_page: Callable[[str], TagPage], built_page: None
) -> None:
    with serving((atto_bundle,), shared) as url:
        for path in ("video", "local"):
            page = tag_page(url + path)
            assert page.until_found()[1]["class_name"] == "bottle"
            page.page.wait_for_selector("text=bottle")
            assert f"{url}static/objDetect.js" in page.page.inner_text("#snippet")
            assert page.errors == []
            assert not [text for text in page.told if "Content Security Policy" in text]
