"""The live page does its work: sources, settings, overlay, and nothing sent anywhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import av
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Playwright

from sightline.drawing import class_color

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.browser.conftest import LivePage

SAID = "document.querySelector('#announcement').textContent"
EMPTY_LIST = "document.querySelector('#found').dataset.empty"

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def test_finds_bottles_before_the_camera_and_sends_nothing(live: Callable[..., LivePage]) -> None:
    page = live(permissions=["camera"]).open().until_ready()
    page.page.click("#use-camera")
    page.until("window.sightline.lastResult?.detections.some(({label}) => label === 'bottle')")
    page.until("window.sightline.stats.framesDetected >= 5")
    assert page.page.inner_text("#status-text") == "Live"
    page.until("document.querySelector('#found').textContent.includes('bottle')")
    stats = page.page.evaluate("window.sightline.stats")
    assert stats["source"] == "camera" and stats["backend"] == "wasm"
    assert stats["latencyMs"] > stats["inferenceMs"] > 0

    origin = urlsplit(page.url)
    for url in page.requested:
        asked = urlsplit(url)
        assert asked.scheme in ("blob", "data") or asked.netloc == origin.netloc, url
    assert any(url.endswith(".wasm") for url in page.requested), "the worker's requests are seen"
    assert page.errors == []


def test_the_page_is_isolated_so_that_threads_are_possible(live: Callable[..., LivePage]) -> None:
    page = live().open("?threads=2").until_ready()
    assert page.page.evaluate("crossOriginIsolated")
    assert page.page.evaluate("window.sightline.stats.threads") == 2


def test_the_sample_clip_starts_by_itself_when_asked(live: Callable[..., LivePage]) -> None:
    page = live().open("?source=sample").until_ready()
    page.until("window.sightline.lastResult?.detections.some(({label}) => label === 'bottle')")
    assert page.page.evaluate("window.sightline.stats.source") == "sample"


def test_a_video_file_plays_pauses_and_stops(live: Callable[..., LivePage], shared: Path) -> None:
    page = live().open().until_ready()
    page.choose_file(shared / "data" / "video" / "bottle_8s_640x360.webm").until_found()
    page.until(f"{SAID}.includes('bottle')")
    page.page.keyboard.press("Space")
    page.until("document.querySelector('#video').paused")
    page.until("document.querySelector('#status-text').textContent === 'Paused'")
    assert page.page.evaluate(SAID) == ""
    assert page.page.evaluate("window.sightline.lastResult") is not None, "it is still shown"
    page.page.click("#pause")
    page.until("!document.querySelector('#video').paused")
    page.until(f"{SAID}.includes('bottle')")
    page.page.click("#stop")
    assert page.page.evaluate("window.sightline.stats.source") == "none"
    assert page.detections() == []
    assert page.page.is_visible("#empty")
    assert page.page.evaluate(SAID) == ""
    assert page.page.evaluate(EMPTY_LIST) == "Nothing yet"


def test_nothing_found_is_told_from_nothing_looked_at(live: Callable[..., LivePage]) -> None:
    page = live().open().until_ready()
    assert page.page.evaluate(EMPTY_LIST) == "Nothing yet"
    page.set_threshold(99)
    page.page.click("#use-sample")
    page.until(f"{SAID} === 'Nothing found'")
    assert page.page.evaluate(EMPTY_LIST) == "Nothing found"
    assert page.page.inner_text("#count") == "0"


def test_the_first_words_are_free_while_the_model_is_prepared(
    live: Callable[..., LivePage],
) -> None:
    for width in (320, 390):
        page = live(viewport={"width": width, "height": 760}, has_touch=True, is_mobile=True)
        page.open().until_ready().page.evaluate("document.querySelector('#loading').hidden = false")
        words = page.page.locator("#empty p").bounding_box()
        title = page.page.locator("#empty h2").bounding_box()
        strip = page.page.locator("#loading").bounding_box()
        stage = page.page.locator("#stage").bounding_box()
        assert words and title and strip and stage
        assert words["y"] + words["height"] <= strip["y"], width
        assert title["y"] >= stage["y"], width


def test_the_threshold_hides_and_shows_what_was_found(
    live: Callable[..., LivePage], shared: Path
) -> None:
    page = live().open().until_ready()
    page.choose_file(photo_of(shared, "000000000139.jpg")).until_found()
    assert page.page.inner_text("#threshold-shown") == "50 %"
    at_model_threshold = page.detections()
    page.set_threshold(5)
    assert len(page.detections()) > len(at_model_threshold)
    page.set_threshold(99)
    assert page.detections() == []
    page.page.click("#threshold-reset")
    assert page.detections() == at_model_threshold


def test_another_model_takes_over_without_stopping(live: Callable[..., LivePage]) -> None:
    page = live().open("?source=sample").until_ready()
    page.until_found()
    page.page.select_option("#models", "careful")
    page.until("window.sightline.stats.model === 'careful'")
    page.until_ready()
    assert all(found["score"] >= 0.7 for found in page.until_found())
    assert page.page.evaluate("window.sightline.stats.source") == "sample"
    assert page.page.inner_text("#threshold-shown") == "70 %"


@pytest.mark.parametrize(
    ("width", "height", "ratio"), [(1280, 800, 1), (1024, 700, 2), (390, 844, 3)]
)
def test_boxes_lie_on_the_picture_at_any_size(
    live: Callable[..., LivePage], tmp_path: Path, shared: Path, width: int, height: int, ratio: int
) -> None:
    page = live(device_scale_factor=ratio, viewport={"width": width, "height": height})
    page.open().until_ready().choose_file(photo_of(shared, "000000000139.jpg")).until_found()
    assert_edges_are_drawn(page)
    page.page.set_viewport_size({"width": width - 90, "height": height - 110})
    page.page.wait_for_timeout(200)  # the canvas follows with the next frame of the page
    assert_edges_are_drawn(page)


def test_nothing_moves_while_the_page_loads_and_detects(live: Callable[..., LivePage]) -> None:
    page = live()
    page.page.add_init_script(
        "window.shifts = [];"
        "new PerformanceObserver((list) => {"
        "  for (const entry of list.getEntries()) window.shifts.push(entry.value);"
        "}).observe({type: 'layout-shift', buffered: true});"
    )
    page.open("?source=sample").until_ready().until_found()
    page.until("window.sightline.stats.framesDetected >= 3")
    # Below 0.1 is "good" (web.dev, Cumulative Layout Shift); we show no shift worth seeing.
    assert page.page.evaluate("window.shifts.reduce((sum, shift) => sum + shift, 0)") < 0.01


def test_over_plain_http_from_another_machine_files_work_and_the_camera_explains(
    live: Callable[..., LivePage], insecure_url: str, shared: Path
) -> None:
    """No WebCodecs, no crypto.subtle, no isolation: the page does without them."""
    page = live(url=insecure_url).open().until_ready()
    assert not page.page.evaluate("isSecureContext")
    assert "token" not in page.page.url
    page.choose_file(shared / "data" / "video" / "bottle_8s_640x360.webm")
    page.until("window.sightline.lastResult?.detections.some(({label}) => label === 'bottle')")
    page.until("window.sightline.stats.framesDetected >= 3")
    page.page.click("#use-camera")
    assert "The camera needs a secure page" in page.problem()
    assert page.errors == []


def test_light_and_dark_follow_the_system_and_the_button(live: Callable[..., LivePage]) -> None:
    background = "getComputedStyle(document.body).backgroundColor"
    page = live(color_scheme="dark").open()
    dark = page.page.evaluate(background)
    page.page.click("#theme")
    light = page.page.evaluate(background)
    assert dark != light
    assert live(color_scheme="light").open().page.evaluate(background) == light
    page.page.reload()
    assert page.page.evaluate(background) == light, "the choice is remembered"


def test_every_control_has_a_name(live: Callable[..., LivePage]) -> None:
    page = live(permissions=["camera"]).open().until_ready().page
    for name in ("Camera", "Open file", "Sample clip", "Pause", "Stop", "Light or dark colours"):
        assert page.get_by_role("button", name=name, exact=True).count() == 1, name
    assert page.get_by_role("slider", name="Confidence").count() == 1
    assert page.get_by_role("combobox", name="Model").count() == 1


def photo_of(shared: Path, name: str) -> Path:
    return shared / "data" / "coco_val100" / "images" / name


def assert_edges_are_drawn(page: LivePage) -> None:
    """The best detection's left edge is in its class colour where the picture's box says."""
    best = page.detections()[0]
    x1, y1, _, y2 = best["boxXyxy"]
    seen: dict[str, Any] = page.page.evaluate(
        """([x, y]) => {
            const picture = document.querySelector('#still');
            const canvas = document.querySelector('.sightline-overlay');
            const box = picture.getBoundingClientRect();
            const scale = Math.min(
                box.width / picture.naturalWidth, box.height / picture.naturalHeight);
            const left = (box.width - picture.naturalWidth * scale) / 2 + x * scale;
            const top = (box.height - picture.naturalHeight * scale) / 2 + y * scale;
            const ratio = canvas.width / canvas.clientWidth;
            const pixel = canvas.getContext('2d').getImageData(
                Math.floor(left * ratio), Math.floor(top * ratio), 1, 1).data;
            return {pixel: [...pixel], ratio};
        }""",
        [x1, (y1 + y2) / 2],
    )
    assert seen["ratio"] == pytest.approx(page.page.evaluate("devicePixelRatio"), abs=0.01)
    *rgb, alpha = seen["pixel"]
    # The line is 2.5 CSS pixels wide and centred on the edge: the pixel of the edge is solid.
    assert alpha == 255
    # Canvas colours may be rounded by premultiplication.
    assert rgb == pytest.approx(class_color(best["labelId"]), abs=3)


def test_the_picture_can_be_saved_with_its_boxes(
    live: Callable[..., LivePage], shared: Path, tmp_path: Path
) -> None:
    page = live().open().until_ready()
    photo = photo_of(shared, "000000000139.jpg")
    page.choose_file(photo).until_found()
    with page.page.expect_download() as download:
        page.page.click("#snapshot")
    saved = tmp_path / "saved.png"
    download.value.save_as(saved)
    with Image.open(saved) as picture, Image.open(photo) as original:
        assert picture.size == original.size


def test_a_clip_is_recorded_with_its_boxes_and_nothing_leaves(
    live: Callable[..., LivePage], tmp_path: Path
) -> None:
    page = live().open("?source=sample").until_ready()
    page.until_found()
    begun = page.page.evaluate("window.sightline.stats.framesDetected")
    before = len(page.requested)
    page.page.keyboard.press("r")
    page.until("window.sightline.stats.isRecording")
    assert page.page.is_visible("#recording")
    page.until(f"window.sightline.stats.framesDetected >= {begun + 6}")
    with page.page.expect_download(timeout=60_000) as download:
        page.page.click("#record")
    assert page.page.is_hidden("#recording")
    name = download.value.suggested_filename
    saved = tmp_path / name
    download.value.save_as(saved)
    with av.open(str(saved)) as clip:
        frames = [frame.to_ndarray(format="rgb24") for frame in clip.decode(video=0)]
    assert len(frames) >= 3
    assert frames[0].shape == (360, 640, 3)
    # A label's ground, plain and large, is what no codec takes away: it is in a frame with boxes.
    color = np.array(class_color(page.detections()[0]["labelId"]))
    assert max((np.abs(frame - color).max(axis=2) < 30).sum() for frame in frames) > 300
    assert [url for url in page.requested[before:] if not url.startswith("blob:")] == []


def test_a_snapshot_is_of_the_frame_that_its_boxes_were_found_in(
    live: Callable[..., LivePage], tmp_path: Path
) -> None:
    """The video is somewhere else by then: the picture with boxes is that of the result."""
    page = live().open("?source=sample").until_ready()
    page.until_found()
    page.page.click("#pause")
    page.page.wait_for_timeout(1500)  # a result that was on its way is on display
    page.page.evaluate(
        "() => { CanvasRenderingContext2D.prototype.drawImage = new Proxy("
        "  CanvasRenderingContext2D.prototype.drawImage, {apply(draw, self, args) {"
        "   window.drawn = args[0].constructor.name; return draw.apply(self, args); }}); }"
    )
    with page.page.expect_download() as download:
        page.page.keyboard.press("s")
    download.value.save_as(tmp_path / "saved.png")
    assert page.page.evaluate("window.drawn") == "VideoFrame"


def test_classes_are_chosen_searched_and_remembered(
    live: Callable[..., LivePage], shared: Path
) -> None:
    page = live().open().until_ready()
    page.choose_file(photo_of(shared, "000000000139.jpg")).until_found()
    page.set_threshold(20)
    labels = {found["label"] for found in page.detections()}
    assert len(labels) > 1 and "tv" in labels
    assert page.page.inner_text("#classes-summary") == "All 80"
    page.page.click("#choose-classes")
    page.page.click("#classes-none")
    assert page.detections() == []
    page.page.fill("#classes-search", "TV")
    assert page.page.locator("#classes li:visible").all_inner_texts() == ["tv"]
    page.page.check("#classes input[value=tv]")
    page.page.fill("#classes-search", "unicorn")
    assert page.page.is_visible("#classes-nothing")
    page.page.keyboard.press("Escape")
    assert {found["label"] for found in page.detections()} == {"tv"}
    page.page.reload()
    page.until_ready()
    assert page.page.inner_text("#classes-summary") == "1 of 80"
    assert page.page.inner_text("#threshold-shown") == "20 %"
    page.page.select_option("#models", "careful")
    page.until_ready()
    assert page.page.inner_text("#classes-summary") == "All 80", "each model has its own"


def test_objects_are_numbered_and_the_choice_is_remembered(live: Callable[..., LivePage]) -> None:
    page = live().open("?source=sample").until_ready()
    assert "id" not in page.until_found()[0]
    page.page.check("#track")
    page.until("window.sightline.lastResult?.detections.some(({id}) => id >= 1)")
    page.page.check("#motion")
    page.page.uncheck("#sync")
    page.page.reload()
    page.until("window.sightline?.lastResult?.detections.some(({id}) => id >= 1)")
    for choice, is_on in {"#track": True, "#motion": True, "#sync": False}.items():
        assert page.page.is_checked(choice) == is_on, choice


# What a phone says of its cameras: Chromium's fake ones look nowhere.
PHONE_CAMERAS = """(() => {
  const facing = (label) => (label.endsWith("0") ? "user" : "environment");
  const { getCapabilities } = InputDeviceInfo.prototype;
  InputDeviceInfo.prototype.getCapabilities = function () {
    return { ...getCapabilities.call(this), facingMode: [facing(this.label)] };
  };
  const { getSettings } = MediaStreamTrack.prototype;
  MediaStreamTrack.prototype.getSettings = function () {
    return { ...getSettings.call(this), facingMode: facing(this.label) };
  };
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);
  devices.getUserMedia = async (asked) => {
    const wanted = asked.video.facingMode?.ideal;
    const all = (await devices.enumerateDevices()).filter(({ kind }) => kind === "videoinput");
    const found = all.find(({ label }) => facing(label) === wanted);
    return await open(wanted ? { video: { deviceId: { exact: found.deviceId } } } : asked);
  };
})()"""


def test_a_phone_turns_between_its_cameras_and_mirrors_the_front_one(
    playwright: Playwright,
    chromium_path: str,
    browser_flags: tuple[str, ...],
    page_in: Callable[..., LivePage],
) -> None:
    cameras = (
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream=device-count=2",
    )
    launched = playwright.chromium.launch(
        executable_path=chromium_path, args=[*browser_flags, *cameras]
    )
    try:
        page = page_in(launched, permissions=["camera"])
        page.page.add_init_script(PHONE_CAMERAS)
        page.open()
        mirrored = "getComputedStyle(document.querySelector('#video')).transform.includes('-1')"
        page.page.click("#use-camera")
        page.page.wait_for_selector("#flip:visible")
        assert not page.page.evaluate(mirrored), "the back camera"
        page.page.click("#flip")
        page.until("window.sightline.stats.isMirrored")
        assert page.page.evaluate(mirrored)
        page.page.keyboard.press("m")
        page.until("!window.sightline.stats.isMirrored")
        assert not page.page.evaluate(mirrored)
        page.page.click("#flip")
        page.page.wait_for_selector("#flip:visible")
        page.page.click("#flip")
        page.until("document.querySelector('#cameras').selectedOptions[0].label.endsWith('0')")
        assert not page.page.is_checked("#mirror"), "the choice for the front camera stays"
        assert page.errors == []
    finally:
        launched.close()


# Of every visible control its size with what belongs to it, and of every text its contrast.
LOOK = """() => {
  const shown = (node) => node.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true });
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = color;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = (node) => {
    if (node === null) return [255, 255, 255];
    const own = rgba(getComputedStyle(node).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(node.parentElement));
  };
  const luminance = (color) => {
    const [r, g, b] = color.map((part) => {
      const c = part / 255;
      return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const small = [];
  for (const node of document.querySelectorAll("button, select, summary, input")) {
    if (!shown(node) || node.disabled || node.type === "file") continue;
    const area = node.type === "checkbox" ? node.closest("label") : node;
    const { width, height } = area.getBoundingClientRect();
    const isLink = node.classList.contains("link"); // its ::after is 26 px higher
    if (width < 44 || height + (isLink ? 26 : 0) < 44) small.push([node.id, width, height]);
  }
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const texts = [...node.childNodes].filter((c) => c.nodeType === 3 && c.data.trim());
    if (texts.length === 0 || !shown(node) || node.closest("noscript, .visually-hidden")) continue;
    if (node.closest("button:disabled, option")) continue;
    const below = ground(node);
    const color = over(rgba(getComputedStyle(node).color), below);
    const [a, b] = [luminance(color), luminance(below)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) faint.push([node.id || node.className, ratio, node.textContent]);
  }
  return { small, faint, over: document.documentElement.scrollWidth - innerWidth };
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_screen_and_can_be_read_and_touched(
    live: Callable[..., LivePage], scheme: str
) -> None:
    """WCAG 2.2: contrast 1.4.3, reflow 1.4.10, target size 2.5.5."""
    page = live(color_scheme=scheme, viewport={"width": 1280, "height": 800})
    page.open("?source=sample").until_ready().until_found()
    page.page.evaluate("document.querySelector('#settings').open = true")
    for width, height in ((1280, 800), (820, 1180), (390, 844), (320, 568)):
        page.page.set_viewport_size({"width": width, "height": height})
        assert page.page.evaluate(LOOK) == {"small": [], "faint": [], "over": 0}, width
    page.page.click("#choose-classes")
    assert page.page.evaluate(LOOK) == {"small": [], "faint": [], "over": 0}


def test_keys_are_listed_do_what_they_say_and_can_be_turned_off(
    live: Callable[..., LivePage],
) -> None:
    page = live().open().until_ready()
    page.page.keyboard.press("?")
    assert page.page.locator("#keys kbd").count() >= 9
    page.page.keyboard.press("t")
    assert not page.page.is_checked("#track"), "a window is open: keys wait"
    page.page.keyboard.press("Escape")
    page.page.keyboard.press("t")
    assert page.page.is_checked("#track")
    page.page.click("#show-help")
    page.page.uncheck("#shortcuts")
    page.page.click("#help-done")
    page.page.keyboard.press("t")
    assert page.page.is_checked("#track")
