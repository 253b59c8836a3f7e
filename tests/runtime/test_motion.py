"""The motion gate: what it must see, what it must not, the golden file, a film of a corridor.

`python tests/runtime/test_motion.py` writes contracts/golden/motion.json anew, which is right
only if the gate is meant to change: the browser's is held to the same file.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from sightline.runtime.motion import (
    GRID,
    REST_S,
    MotionGate,
    blur,
    changed_share,
    shrink,
)
from sightline.runtime.sources import read_frames

GOLDEN = Path(__file__).resolve().parents[2] / "contracts" / "golden" / "motion.json"
WIDTH, HEIGHT = 320, 240
Floats = NDArray[np.float64]
# The picture at a time in seconds: (HEIGHT, WIDTH) of 0..255.
Film = Callable[[float], Floats]


def make_background(width: int = WIDTH, height: int = HEIGHT) -> Floats:
    """A room: broad shapes and fine texture, 40..200."""
    random = np.random.default_rng(7)
    broad = Image.fromarray(random.integers(50, 190, (5, 7)).astype(np.uint8))
    shapes = np.asarray(broad.resize((width, height), Image.Resampling.BICUBIC), np.float64)
    return np.asarray(np.clip(shapes + random.normal(0, 8, (height, width)), 40, 200))


BACKGROUND = make_background()


def picture_of(greys: Floats) -> Image.Image:
    bytes_ = np.clip(np.rint(greys), 0, 255).astype(np.uint8)
    return Image.fromarray(np.repeat(bytes_[..., None], 3, axis=2))


def with_object(
    x: float, y: float = 80, contrast: float = 25, size: tuple[int, int] = (30, 60)
) -> Floats:
    """The room with something in it, `contrast` darker, its left edge at x."""
    greys = BACKGROUND.copy()
    left, right = max(0, round(x)), max(0, round(x + size[0]))
    greys[round(y) : round(y) + size[1], left:right] -= contrast
    return greys


def looks(film: Film, seconds: float, fps: float = 15) -> list[float]:
    """The times after the first frame at which a gate lets a frame through."""
    gate = MotionGate()
    assert gate.has_moved(picture_of(film(0.0)), 0.0)
    times = [k / fps for k in range(1, round(seconds * fps) + 1)]
    return [time_s for time_s in times if gate.has_moved(picture_of(film(time_s)), time_s)]


SHORT_S = REST_S - 0.5


@pytest.mark.parametrize("fps", [2, 15, 30])
def test_a_still_stream_is_looked_at_once_in_a_while(fps: float) -> None:
    times = looks(lambda _: BACKGROUND, 2.5 * REST_S, fps)
    assert times == pytest.approx([REST_S, 2 * REST_S], abs=1 / fps)


def noise(sigma: float) -> Film:
    random = np.random.default_rng(1)
    return lambda _: BACKGROUND + random.normal(0, sigma, BACKGROUND.shape)


def flicker(hertz: float, depth: float) -> Film:
    """All of the picture."""
    return lambda t: BACKGROUND * (1 + depth * np.sin(2 * np.pi * hertz * t))


def bands(hertz: float, depth: float) -> Film:
    """A rolling shutter under a lamp on mains power: rows out of step with each other."""
    phase = np.arange(HEIGHT)[:, None] / HEIGHT * 2 * np.pi * 2
    return lambda t: BACKGROUND * (1 + depth * np.sin(2 * np.pi * hertz * t + phase))


def brighten(factor: float, seconds: float) -> Film:
    return lambda t: BACKGROUND * factor ** (t / seconds)


def lift(step: float, seconds: float) -> Film:
    return lambda t: BACKGROUND + step * t / seconds


def dim_with_sky(factor: float, seconds: float) -> Film:
    """A third of the picture is cut off at white, by twice what the camera can take."""
    bright = BACKGROUND.copy()
    bright[: HEIGHT // 3] = 500
    return lambda t: np.minimum(bright * factor ** (t / seconds), 255)


QUIET = {
    "nothing": lambda _: BACKGROUND,
    "noise of a dark room": noise(12),
    "flicker at 10 Hz": flicker(10.7, 0.2),
    "flicker at 3 Hz": flicker(3.3, 0.15),
    "every other frame darker": flicker(7.5, 0.25),
    "brighter by half": brighten(1.5, SHORT_S),
    "darker by half": brighten(0.55, SHORT_S),
    "brighter at a stroke": lambda t: BACKGROUND * (1.25 if t > 2 else 1),
    "lifted": lift(40, SHORT_S),
}


@pytest.mark.parametrize("fps", [5, 15, 30])
@pytest.mark.parametrize("name", QUIET)
def test_what_is_no_motion(name: str, fps: float) -> None:
    assert looks(QUIET[name], SHORT_S, fps) == []


@pytest.mark.parametrize("fps", [15, 30])
def test_bands_of_a_lamp_are_no_motion(fps: float) -> None:
    """Once the gate has seen more of them than the first frame's."""
    assert [t for t in looks(bands(9.3, 0.08), SHORT_S, fps) if t > 1] == []


def test_a_sky_cut_off_at_white_costs_few_looks() -> None:
    """Where it borders on the room, cells are half cut off: nothing tells by how much."""
    assert len(looks(dim_with_sky(0.6, SHORT_S), SHORT_S, 30)) < 0.1 * 30 * SHORT_S


def test_a_dusk_needs_no_more_looks_than_rest() -> None:
    times = looks(brighten(0.3, 300), 300, 2)
    assert len(times) == 300 / REST_S


@pytest.mark.parametrize("fps", [3, 10, 30])
@pytest.mark.parametrize("speed", [2, 6, 20, 60, 200])
def test_an_entrance_is_seen_at_any_speed(speed: float, fps: float) -> None:
    """Before half of it is in the picture, or at the frame after; at 2 pixels a second too."""
    start_s = 0.3
    film: Film = lambda t: with_object(-30 + speed * (t - start_s))  # noqa: E731
    times = looks(film, min(15 / speed + start_s + 0.3, SHORT_S if speed > 4 else 60), fps)
    half_in_s = start_s + 15 / speed
    assert [t for t in times if t <= half_in_s + max(0.2, 1 / fps) and t % REST_S], times


@pytest.mark.parametrize("seconds", [1, 4, 20])
def test_what_appears_slowly_is_seen(seconds: float) -> None:
    """2017's reference moved with every frame, so that this never triggered there.

    Each frame of the slowest differs from the one before by a tenth of a grey level.
    """
    film: Film = lambda t: with_object(100, contrast=30 * min(1, t / seconds))  # noqa: E731
    gate, fps = MotionGate(), 15
    gate.has_moved(picture_of(film(0)), 0.0)
    for k in range(1, round(seconds * fps)):  # a rest never comes: no more than that is tested
        gate._rest_s = 0.0
        if gate.has_moved(picture_of(film(k / fps)), k / fps):
            break
    assert k / fps < 0.6 * seconds + 0.3


def test_what_has_come_to_rest_is_looked_at_as_it_is() -> None:
    """The last look is at the object where it stands, not where it was a moment before."""
    stop_s = 1.5
    times = looks(lambda t: with_object(60 * min(t, stop_s), contrast=60), SHORT_S)
    assert times and stop_s <= times[-1] < stop_s + 1


def test_the_same_at_any_rate_of_frames() -> None:
    film: Film = lambda t: with_object(100, contrast=20 if t > 1 else 0)  # noqa: E731
    first = [looks(film, 2, fps)[0] for fps in (10, 20, 60)]
    assert max(first) - min(first) <= 0.1
    assert min(first) >= 1


@pytest.mark.parametrize("exposure", [0.8, 1.25])
def test_an_object_is_seen_though_the_camera_adapts(exposure: float) -> None:
    def film(t: float) -> Floats:
        return with_object(100, contrast=50) * exposure if t > 1 else BACKGROUND

    times = looks(film, 2)
    assert times and times[0] < 1.4


def test_a_new_scene_a_covered_lens_and_another_size_are_looked_at() -> None:
    for now in (BACKGROUND[::-1], BACKGROUND * 0, BACKGROUND * 0 + 255, BACKGROUND * 0.2):
        gate = MotionGate()
        gate.has_moved(picture_of(BACKGROUND), 0.0)
        assert gate.has_moved(picture_of(now), 0.5)
    gate = MotionGate()
    gate.has_moved(picture_of(BACKGROUND), 0.0)
    assert gate.has_moved(picture_of(BACKGROUND.T), 0.5)


def test_a_clock_that_jumps() -> None:
    gate = MotionGate()
    room, entered = picture_of(BACKGROUND), picture_of(with_object(100, contrast=60))
    assert gate.has_moved(room, 1e6)
    assert not gate.has_moved(room, 0.0)
    assert not gate.has_moved(room, 0.1)
    assert not gate.has_moved(room, 0.1)
    assert gate.has_moved(entered, 0.4)
    assert gate.has_moved(room, 1e6)


@pytest.mark.parametrize(
    "size", [(640, 480), (1280, 720), (1080, 1920), (64, 48), (65, 3), (1, 1), (7, 5000)]
)
def test_pictures_of_any_size_become_small(size: tuple[int, int]) -> None:
    random = np.random.default_rng(0)
    picture = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8))
    small = shrink(picture)
    assert max(small.shape) <= GRID
    assert max(small.shape) >= GRID / 2 or max(size) < GRID
    gate = MotionGate()
    assert gate.has_moved(picture, 0.0)
    assert not gate.has_moved(picture, 0.1)
    assert shrink(Image.new("RGB", size, (90, 90, 90))).tolist() == np.full_like(small, 90).tolist()


def test_blur_by_hand() -> None:
    grey = np.zeros((3, 4), np.uint8)
    grey[1, 1] = 160
    assert blur(grey).tolist() == [[10 * a * b for b in (1, 2, 1, 0)] for a in (1, 2, 1)]
    assert blur(np.full((2, 2), 200, np.uint8)).tolist() == [[200, 200], [200, 200]]
    corner = np.array([[16, 0], [0, 0]], np.uint8)
    assert blur(corner).tolist() == [[9, 3], [3, 1]]


greys = st.lists(st.integers(0, 255), min_size=12, max_size=12).map(
    lambda values: np.array(values, np.float64).reshape(3, 4)
)


@given(greys, st.floats(0.55, 1.9), st.floats(-40, 40))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_one_change_of_brightness_all_over_is_none(
    before: Floats, gain: float, offset: float
) -> None:
    assert changed_share(before, before) == 0
    assert changed_share(before, np.minimum(before * gain, 255)) <= np.mean(
        (before < 16) | (before * gain > 235)
    )
    inner = 50 + before / 4
    assert changed_share(inner, inner + offset) == 0


# --- the golden file ---


def small_room() -> NDArray[np.uint8]:
    rows, columns = np.mgrid[0:9, 0:12]
    return np.asarray(60 + 9 * columns + (rows * 37 + columns * 11) % 23, np.uint8)


def small_films() -> Iterator[tuple[str, list[tuple[float, NDArray[np.uint8]]]]]:
    """(what it shows, [(time in seconds, (9, 12) greys)])."""
    room = small_room()

    def having(columns: int, darker: int = 40) -> NDArray[np.uint8]:
        changed = room.copy()
        changed[3:7, :columns] -= np.uint8(darker)
        return changed

    def scaled(factor: float, offset: float = 0.0) -> NDArray[np.uint8]:
        return np.asarray(np.clip(np.rint(room * factor + offset), 0, 255), np.uint8)

    yield "still, then rest", [(k * 0.9, room) for k in range(14)]
    yield (
        "something comes in and stays",
        [(k / 10, having(min(max(k - 3, 0), 4))) for k in range(24)],
    )
    yield "something appears slowly", [(k / 5, having(4, min(2 * k, 40))) for k in range(24)]
    yield "flicker", [(k / 15, scaled((1.0, 1.2, 0.85)[k % 3])) for k in range(20)]
    yield "half of it flickers", [(k / 15, having(6, (0, 12)[k % 2])) for k in range(20)]
    yield "it gets dark", [(k / 4, scaled(0.93**k)) for k in range(19)]
    yield "it gets brighter until it is cut off", [(k / 4, scaled(1, 7.0 * k)) for k in range(19)]
    yield (
        "uneven frames, a clock that goes back",
        [
            (t, having(2 if t > 0.45 else 0, 14))
            for t in (0, 0.1, 0.35, 0.4, 0.5, 0.55, 0.9, 0.2, 0.3, 0.6, 2.1, 9.0, 3.0)
        ],
    )
    yield "another size", [(0, room), (0.1, room), (0.2, room[:, :8]), (0.3, room[:, :8])]
    yield "black, grey, white", [(k / 2, np.full((9, 12), v, np.uint8)) for k, v in
                                 enumerate((0, 0, 3, 40, 90, 250, 255, 255, 120, 0))]  # fmt: skip


SHRINK_SIZES = (
    ("one pixel", 1, 1),
    ("as large as the grid", 64, 48),
    ("blocks cut off", 65, 3),
    ("blocks of 7 cut off both ways", 417, 227),
    ("blocks of 8", 511, 300),
    ("VGA", 640, 480),
    ("uneven picks", 641, 363),
    ("720p", 1280, 720),
    ("phone portrait", 1080, 1920),
    ("a thread", 7, 5000),
)


def draw_pixels(width: int, height: int) -> NDArray[np.uint8]:
    """(height, width, 3) that any language can make: an integer hash of the byte's index."""
    value = np.arange(width * height * 3, dtype=np.uint32) * np.uint32(2654435761)
    value ^= value >> np.uint32(15)
    value *= np.uint32(2246822519)
    value ^= value >> np.uint32(13)
    return (value >> np.uint32(24)).astype(np.uint8).reshape(height, width, 3)


def make_shrunk(name: str, width: int, height: int) -> dict[str, Any]:
    """A golden case: a noisy picture's size, its greys' size and bytes."""
    small = shrink(Image.fromarray(draw_pixels(width, height)))
    made: dict[str, Any] = {
        "name": name,
        "width": width,
        "height": height,
        "out_width": small.shape[1],
        "out_height": small.shape[0],
        "sha256": hashlib.sha256(small.tobytes()).hexdigest(),
    }
    if small.size <= 200:
        made["grey_base64"] = base64.b64encode(small.tobytes()).decode()
    return made


def make_golden() -> dict[str, Any]:
    """The contents of motion.json."""
    room = small_room().astype(np.float64)
    spot, sky = room.copy(), room.copy()
    spot[2:5, 3:6] += 20.5
    sky[:3] = 255
    pairs = [(room, room), (room, spot), (room, spot * 1.3), (room * 0.1, spot), (room, room + 48)]
    pairs += [
        (room, room + 60),
        (sky, sky * 0.8),
        (sky * 0.7, sky),
        (room * 0, room),
        (room, room * 0),
    ]
    streams = []
    for name, film in small_films():
        gate = MotionGate()
        frames = []
        for time_s, grey in film:
            stored = base64.b64encode(grey.tobytes()).decode()
            passed = gate.has_changed(grey, round(time_s, 6))
            frames.append([round(time_s, 6), grey.shape[1], grey.shape[0], stored, passed])
        streams.append({"name": name, "frames": frames})
    return {
        "about": "The motion gate on small grey pictures. shares: the part of the cells (rows of "
        "them, after the blur) that no change of brightness all over explains. streams: a frame "
        "is [time in seconds, width, height, its bytes before the blur in base64, whether it is "
        "to be let through]. shrinks: greys of RGB pictures whose byte i (rows, columns, channels) "
        "is the top 8 bits of v, 32-bit unsigned: v = i * 2654435761; v ^= v >> 15; "
        "v *= 2246822519; v ^= v >> 13.",
        "shares": [
            {
                "before": np.round(before, 3).tolist(),
                "now": np.round(now, 3).tolist(),
                "share": changed_share(np.round(before, 3), np.round(now, 3)),
            }
            for before, now in pairs
        ],
        "streams": streams,
        "shrinks": [make_shrunk(*size) for size in SHRINK_SIZES],
    }


def write_golden() -> None:
    text = json.dumps(make_golden(), separators=(",", ":"))
    for mark in (
        '"shares"',
        '"streams"',
        '"shrinks"',
        '{"before"',
        '"now"',
        '"share":',
        '{"name"',
        "[[",
    ):
        text = text.replace(mark, "\n" + mark)
    GOLDEN.write_text(text + "\n", encoding="utf-8")


RECORDED = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {"streams": []}


@pytest.mark.parametrize("stream", RECORDED["streams"], ids=lambda stream: str(stream["name"]))
def test_golden_streams(stream: dict[str, Any]) -> None:
    gate = MotionGate()
    for time_s, width, height, stored, passes in stream["frames"]:
        grey = np.frombuffer(base64.b64decode(stored), np.uint8).reshape(height, width)
        assert gate.has_changed(grey, time_s) == passes, time_s


def test_golden_shares() -> None:
    for case in RECORDED["shares"]:
        assert changed_share(np.array(case["before"]), np.array(case["now"])) == case["share"]


def test_no_golden_case_is_left_unchecked() -> None:
    assert json.loads(json.dumps(make_golden())) == RECORDED
    assert {frame[-1] for stream in RECORDED["streams"] for frame in stream["frames"]} == {
        True,
        False,
    }


# --- a film ---


def test_a_film_of_a_corridor(shared: Path) -> None:
    """Empty until 6.2 s; one walks through it, who is out again at 19.6 s; empty until 22.6 s."""
    gate = MotionGate()
    times = []
    count = 0
    for frame in read_frames(shared / "data" / "video" / "one-by-one-person-detection.mp4"):
        assert frame.time_s is not None
        if frame.time_s > 24:
            break
        count += 1
        if gate.has_moved(Image.fromarray(np.asarray(frame.image)), frame.time_s):
            times.append(frame.time_s)
    assert [t for t in times if t < 5.8] == pytest.approx([0, REST_S], abs=0.11)
    assert any(6 < t < 6.6 for t in times)
    assert any(19 < t < 20.2 for t in times)  # the corridor, empty again
    assert not [t for t in times if 21.4 < t < 22.2]
    assert any(22.2 < t < 22.9 for t in times)
    assert len(times) < 0.5 * count


if __name__ == "__main__":
    write_golden()
