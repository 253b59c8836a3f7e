"""<sightline-video>: attributes and events, what fails is told of and tried again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urljoin

import pytest
from tests.browser.conftest import REPO, LivePage, serving
from tests.server.rtc_network import address_for_ice

pytestmark = [pytest.mark.browser, pytest.mark.slow]

STATIC = REPO / "src" / "sightline" / "server" / "static"
MODEL = "/models/deimv2-atto/"
CLIP = {"src": "/sample-clip", "muted": "", "autoplay": "", "loop": ""}
HAS_FOUND = "lab.last('sightline-detections')?.detections.length > 0"

# Under the server's own content policy; what happens is kept.
PREPARE = """async (server) => {
  await import(new URL("/sightline-video.js", server));
  document.body.replaceChildren();
  const told = [];
  for (const name of ["ready", "progress", "detections", "count", "error", "state"]) {
    document.addEventListener(`sightline-${name}`, (event) => told.push(event));
  }
  window.lab = {
    told,
    element: null,
    make(attributes, within = "") {
      const element = document.createElement("sightline-video");
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      if (within) element.append(document.createElement(within));
      document.body.append(element);
      this.element = element;
    },
    last: (name) => told.findLast(({ type }) => type === name)?.detail,
    codes: () => told.filter(({ type }) => type === "sightline-error")
      .map(({ detail }) => [detail.error.code, detail.isOver]),
    part: (name) => lab.element.shadowRoot.querySelector(`[part=${name}]`),
    sees: (name) => lab.part(name).checkVisibility(),
    forget() { told.length = 0; },
  };
}"""


class Lab(LivePage):
    """A page of the server with the element's script."""

    def load(self, origin: str | None = None) -> Lab:
        self.page.goto(urljoin(origin or self.url, "/licenses.txt"))
        self.page.evaluate(PREPARE, self.url)
        return self

    def make(self, attributes: dict[str, str], within: str = "") -> Lab:
        self.page.evaluate("([...how]) => lab.make(...how)", [attributes, within])
        return self

    def set(self, name: str, value: str) -> None:
        self.page.evaluate("([...how]) => lab.element.setAttribute(...how)", [name, value])

    def codes(self) -> list[Any]:
        return list(self.page.evaluate("lab.codes()"))

    def describe(self) -> str:
        told = self.page.evaluate("lab.told.slice(-5).map(({type}) => type)")
        state = self.page.evaluate("lab.element.state")
        return f"{state}, told {told}, problems {self.codes()}, errors {self.errors}"


@pytest.fixture(scope="module")
def atto_url(built_page: None, atto_bundle: Path, shared: Path) -> Iterator[str]:
    with address_for_ice(), serving((atto_bundle,), shared) as url:
        yield url


@pytest.fixture
def lab(live: Callable[..., LivePage], atto_url: str) -> Callable[..., Lab]:
    def make(**settings: Any) -> Lab:
        return Lab(live(**settings).page, atto_url).load()

    return make


def test_it_finds_objects_and_follows_its_attributes(lab: Callable[..., Lab]) -> None:
    page = lab().make({"model": MODEL, "controls": "", "track": "", **CLIP})
    page.until(HAS_FOUND)
    assert page.page.evaluate("lab.last('sightline-ready').labels").count("bottle") == 1
    progress = page.page.evaluate("lab.last('sightline-progress')")
    assert progress["loadedBytes"] == progress["totalBytes"] > 0
    assert page.page.evaluate("lab.last('sightline-state').state") == "ready"
    page.until("lab.part('summary').textContent !== ''")
    page.until("lab.element.shadowRoot.querySelectorAll('.sightline-overlay').length === 1")
    assert not page.page.evaluate("lab.sees('loading')")

    with page.page.expect_console_message(lambda said: "knows no unicorn" in said.text):
        page.set("classes", "unicorn")
    page.until("lab.element.result?.detections.length === 0")
    page.page.evaluate("lab.element.removeAttribute('classes')")
    page.until("lab.element.result?.detections.length > 0")
    page.page.evaluate(
        "lab.element.zones = [{name: 'all', points: [[0, 0], [1, 0], [1, 1], [0, 1]]}]"
    )
    page.until("lab.element.counts?.zones.all.entered > 0")
    assert page.page.evaluate("lab.last('sightline-count').zone") == "all"

    page.page.get_by_role("button", name="Pause").press("Enter")
    page.until("lab.element.video.paused")
    page.page.get_by_role("button", name="Play").press("Enter")
    page.until("!lab.element.video.paused")
    page.page.get_by_role("button", name="Full screen").press("Enter")
    page.until("document.fullscreenElement === lab.element")
    assert page.codes() == [] and page.errors == []


def test_a_model_that_is_not_there_can_be_tried_again(lab: Callable[..., Lab]) -> None:
    page = lab().make({"model": "/models/none/", "controls": "", **CLIP})
    page.until("lab.sees('problem')")
    assert page.codes() == [["model-not-found", True]]
    assert page.page.evaluate("lab.element.state") == "failed"
    page.page.keyboard.press("Tab")  # the only button that is seen
    assert page.page.evaluate("lab.element.shadowRoot.activeElement === lab.part('retry')")
    page.page.keyboard.press("Enter")
    page.until("lab.codes().length === 2 && lab.sees('problem')")
    page.set("model", MODEL)
    page.until(HAS_FOUND)
    assert not page.page.evaluate("lab.sees('problem')")


def test_a_wrong_attribute_is_told_and_what_runs_goes_on(lab: Callable[..., Lab]) -> None:
    page = lab().make({"model": MODEL, "threshold": "0.4", "max": "-1", "sync": "x", **CLIP})
    page.until(HAS_FOUND)
    assert page.codes() == [["config-invalid", False]]
    told = page.page.evaluate("lab.last('sightline-error').error.message")
    assert 'max="-1"' in told and 'sync="x"' in told
    assert page.page.evaluate("lab.sees('problem') && !lab.sees('retry')")
    page.page.evaluate("lab.element.removeAttribute('max'); lab.element.removeAttribute('sync')")
    page.until("!lab.sees('problem')")
    page.page.evaluate("lab.forget()")
    page.set("threshold", "40")
    page.set("lines", "no list")
    page.until("lab.codes().length === 2")
    page.until(HAS_FOUND)
    told = page.page.evaluate("lab.part('problem-advice').textContent")
    assert 'threshold="40"' in told and "lines is not JSON" in told
    assert page.page.evaluate("lab.element.settings.threshold") == 0.4
    assert page.page.evaluate("lab.element.state") == "ready"
    assert page.errors == []


def test_a_camera_is_given_back_and_taken_up_again(lab: Callable[..., Lab]) -> None:
    page = lab(permissions=["camera"]).make({"model": MODEL, "camera": "user"})
    page.until(HAS_FOUND)
    page.page.evaluate("lab.track = lab.element.video.srcObject.getTracks()[0]")
    # Chromium's fake camera cannot be unplugged: the events are what a browser sends then.
    page.page.evaluate("lab.track.dispatchEvent(new Event('ended')), lab.forget()")
    page.until("lab.sees('problem')")
    assert page.page.evaluate("lab.track.readyState") == "ended"
    page.page.evaluate("navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
    page.until(HAS_FOUND)
    assert not page.page.evaluate("lab.sees('problem')")

    page.page.evaluate("lab.track = lab.element.video.srcObject.getTracks()[0]")
    page.page.evaluate("lab.element.remove(), lab.forget()")
    assert page.page.evaluate("lab.track.readyState") == "ended"
    assert page.page.evaluate("lab.element.video") is None
    page.page.evaluate("document.body.append(lab.element)")
    page.until(HAS_FOUND)
    page.page.evaluate("lab.element.removeAttribute('camera'), lab.forget()")
    for name, value in CLIP.items():
        page.set(name, value)
    page.until(HAS_FOUND)
    assert page.page.evaluate("lab.element.video.srcObject") is None


@pytest.mark.parametrize("transport", ["websocket", "webrtc"])
def test_a_server_can_look_at_the_pages_own_video(lab: Callable[..., Lab], transport: str) -> None:
    page = lab(permissions=["camera"])
    page.make({"transport": transport, "camera": ""}, within="video")
    page.until(HAS_FOUND)
    assert page.page.evaluate("lab.element.video === lab.element.querySelector('video')")
    assert page.page.evaluate("lab.element.state") == "ready"
    page.set("transport", "pigeon")
    page.until("lab.sees('problem')")
    assert page.codes() == [["config-invalid", False]]


def test_moved_in_the_page_it_goes_on(lab: Callable[..., Lab]) -> None:
    page = lab().make({"model": MODEL, **CLIP})
    page.until(HAS_FOUND)
    page.page.evaluate("lab.video = lab.element.video, lab.forget()")
    # As frameworks do it that put a list in another order, and into a component.
    page.page.evaluate("document.body.append(document.createElement('p'), lab.element)")
    page.until(HAS_FOUND)
    page.page.evaluate(
        "lab.forget(), document.querySelector('p').attachShadow({mode: 'open'}).append(lab.element)"
    )
    page.until(HAS_FOUND)
    assert page.page.evaluate("lab.element.video === lab.video && !lab.video.paused")
    kinds = page.page.evaluate("[...new Set(lab.told.map(({type}) => type))]")
    assert kinds == ["sightline-detections"], "nothing is loaded anew"


def test_a_video_may_be_put_in_when_the_element_is_there(lab: Callable[..., Lab]) -> None:
    page = lab(permissions=["camera"]).make({"model": MODEL, "camera": ""})
    page.page.evaluate("lab.element.append(document.createElement('video'))")
    page.until(HAS_FOUND)
    assert page.page.evaluate("lab.element.video === lab.element.querySelector('video')")
    assert page.page.evaluate("lab.element.shadowRoot.querySelector('video')") is None
    page.page.evaluate("lab.element.querySelector('video').remove(), lab.forget()")
    page.until(HAS_FOUND)
    assert page.page.evaluate("lab.element.video === lab.element.shadowRoot.querySelector('video')")
    assert page.codes() == [] and page.errors == []


def test_removed_while_it_loads_it_ends_and_begins_anew(lab: Callable[..., Lab]) -> None:
    page = lab().make({"model": MODEL, **CLIP})
    page.until("lab.last('sightline-progress')")
    page.page.evaluate("lab.element.remove()")
    page.page.evaluate("lab.forget()")
    page.page.wait_for_timeout(1000)
    assert page.page.evaluate("lab.told.length") == 0
    page.page.evaluate("document.body.append(lab.element)")
    page.until(HAS_FOUND)
    assert page.codes() == [] and page.errors == []


def test_two_elements_find_their_own(lab: Callable[..., Lab]) -> None:
    page = lab().make({"model": MODEL, "id": "all", "aria-label": "Bottles", **CLIP})
    page.make({"model": MODEL, "id": "none", "classes": "no such thing", **CLIP})
    for name, count in (("all", "length > 0"), ("none", "length === 0")):
        page.until(f"document.getElementById('{name}').result?.detections.{count}")
    for name in ("Bottles", "Video with object detection"):
        assert page.page.get_by_role("group", name=name, exact=True).count() == 1
    page.page.evaluate("document.getElementById('none').remove(), lab.forget()")
    page.until(HAS_FOUND)
    assert page.codes() == [] and page.errors == []


@pytest.fixture
def other_site(built_page: None) -> Iterator[str]:
    """The address of the built files on a plain file server."""
    handler = partial(QuietFiles, directory=str(STATIC))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


class QuietFiles(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def test_a_video_of_another_site_without_cors_is_explained(
    live: Callable[..., LivePage], other_site: str, atto_url: str
) -> None:
    page = Lab(live().page, other_site).load()
    page.make({"model": MODEL, "src": urljoin(atto_url, "/sample-clip")})
    page.until("lab.codes().some(([code]) => code === 'video-forbidden')")
    assert page.page.evaluate("lab.sees('problem') && lab.element.state === 'failed'")


def test_a_page_of_another_site_uses_the_servers_element(
    live: Callable[..., LivePage], serve: Callable[..., str], atto_bundle: Path, other_site: str
) -> None:
    url = serve(atto_bundle, options=("--cors-origin", other_site))
    page = Lab(live().page, url).load(other_site)
    clip = {**CLIP, "src": urljoin(url, CLIP["src"])}
    page.make({"model": urljoin(url, MODEL), **clip})
    page.until(HAS_FOUND)
    assert page.codes() == [] and page.errors == []
