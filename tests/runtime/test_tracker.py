"""Numbers of objects: properties, scenes worked by hand, the golden file, a film with people.

`python tests/runtime/test_tracker.py` writes contracts/golden/tracker.json anew, which is right
only if the tracker is meant to change: the browser's is held to the same file.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from sightline.runtime import tracker as tracking
from sightline.runtime.assignment import assign, match_pairs
from sightline.runtime.detector import Detector
from sightline.runtime.tracker import LEAST_SCORE, LIFE_S, Tracker

GOLDEN = Path(__file__).resolve().parents[2] / "contracts" / "golden" / "tracker.json"

# x1, y1, x2, y2, score, label
Seen = tuple[float, float, float, float, float, int]
# time in seconds, what is seen then
Scene = list[tuple[float, list[Seen]]]


def follow(tracker: Tracker, seen: Iterable[Seen], time_s: float) -> list[int]:
    """The numbers of one update."""
    rows = np.array(list(seen), np.float64).reshape(-1, 6)
    ids = tracker.update(
        rows[:, :4].astype(np.float32),
        rows[:, 4].astype(np.float32),
        rows[:, 5].astype(np.int32),
        time_s,
    )
    assert ids.dtype == np.int32
    return [int(number) for number in ids]


def run(scene: Scene, threshold: float = 0.5) -> list[list[int]]:
    tracker = Tracker(threshold)
    return [follow(tracker, seen, time_s) for time_s, seen in scene]


def at(
    x: float, y: float, score: float = 0.9, label: int = 0, size: tuple[float, float] = (40, 80)
) -> Seen:
    """An object whose upper left corner is at x, y."""
    return (x, y, x + size[0], y + size[1], score, label)


def shake(index: int, reach: float = 1.5) -> float:
    """A detector's jitter in -reach..reach, the same in every run: an integer hash, in quarters."""
    value = (index * 2654435761 + 12345) % 2**32
    value = (value ^ (value >> 15)) * 2246822519 % 2**32
    return round(((value >> 13) % 1024 / 511.5 - 1) * reach * 4) / 4


# --- scenes, which the golden file holds too ---


def walk(fps: float = 10.0, seconds: float = 3.0) -> Scene:
    """One object at 120 pixels a second."""
    return [
        (k / fps, [at(20 + 120 * k / fps + shake(k), 50 + shake(k + 500))])
        for k in range(int(seconds * fps))
    ]


def dips() -> Scene:
    """A walk whose score falls under the threshold and comes back."""
    scores = [0.9, 0.8, 0.7, 0.8, 0.9, 0.45, 0.3, 0.2, 0.15, 0.55, 0.9, 0.3, 0.7]
    return [
        (time_s, [(*seen[0][:4], score, 0)])
        for (time_s, seen), score in zip(walk(), scores, strict=False)
    ]


def crossing() -> Scene:
    """Two walk through each other; in the middle only the nearer one is seen."""
    scene: Scene = []
    for k in range(40):
        time_s = k / 10
        left, right = 20 + 100 * time_s, 400 - 100 * time_s
        seen = [at(left + shake(k), 50 + shake(k + 100))]
        if abs(left - right) > 25:
            seen.append(at(right + shake(k + 200), 58 + shake(k + 300)))
        scene.append((time_s, seen if k % 2 else seen[::-1]))
    return scene


def hidden(gap_s: float) -> Scene:
    """A walk behind a pillar for so long."""
    return [(t, [] if 1.0 <= t < 1.0 + gap_s else seen) for t, seen in walk(seconds=gap_s + 3)]


def uneven() -> Scene:
    """A walk of which frames are missing, from none to seven in a row."""
    kept = [k for k in range(60) if (k * k + k // 3) % 7 < 3 or k % 11 == 0]
    scene = walk(20, 3)
    return [scene[k] for k in kept]


def clock_back() -> Scene:
    """The sender's clock jumps an hour back, and on."""
    return [
        (t - 3600 if 8 <= k < 12 else t + 50 if k >= 20 else t, seen)
        for k, (t, seen) in enumerate(walk())
    ]


def classes() -> Scene:
    """A rider and his horse in the same place, and one that changes its class."""
    return [
        (
            k / 10,
            [
                at(50 + 5 * k, 50, 0.8, 0),
                at(52 + 5 * k, 52, 0.9, 1),
                at(300, 50, 0.7, 2 if k < 5 else 3),
            ],
        )
        for k in range(10)
    ]


def phantoms() -> Scene:
    """A thing that reaches the threshold twice, then never; one once; one never."""
    return [
        (
            k * 0.23,
            [
                at(50, 50, 0.5 if k < 2 else 0.3),
                at(200, 50, 0.6 if k == 3 else 0.49),
                at(400, 50, 0.4),
            ],
        )
        for k in range(16)
    ]


def rest() -> Scene:
    """A motion gate that lets nothing through for a minute; the still object was walking before."""
    before = walk(seconds=1)
    last = before[-1][1][0]
    return [*before, (61.0, [last]), (61.1, [last])]


def crowd() -> Scene:
    """Fifteen that overlap and mill about, of two classes, some weak, some unseen."""
    scene: Scene = []
    for k in range(25):
        seen = []
        for n in range(15):
            if (n * 7 + k * 3) % 11 == 0:
                continue
            x = 30 + 26 * n + (3 if n % 2 else -2) * k + shake(1000 * n + k)
            y = 40 + 30 * (n % 3) + shake(7000 + 1000 * n + k)
            score = 0.3 if (n + k) % 6 == 0 else 0.6 + (n % 4) / 10
            seen.append(at(x, y, score, n % 2))
        scene.append((k / 12, seen))
    return scene


def twins() -> Scene:
    """Boxes exactly alike: the first candidate goes with the first object."""
    return [(k / 10, [at(50, 50), at(50, 50), at(50, 50, 0.8)]) for k in range(4)]


SCENES: dict[str, tuple[float, Scene]] = {
    "nothing": (0.5, [(0.0, []), (0.1, [])]),
    "one walks": (0.5, walk()),
    "one walks at a frame a half second": (0.5, walk(2, 4)),
    "its score dips": (0.5, dips()),
    "two cross": (0.5, crossing()),
    "hidden for a second": (0.5, hidden(1.0)),
    "hidden for too long": (0.5, hidden(LIFE_S + 0.5)),
    "missing frames": (0.5, uneven()),
    "the clock goes back": (0.5, clock_back()),
    "classes": (0.5, classes()),
    "phantoms": (0.5, phantoms()),
    "a still minute": (0.5, rest()),
    "a crowd": (0.5, crowd()),
    "twins": (0.5, twins()),
    "a threshold below all": (0.0, dips()),
}


@pytest.mark.parametrize("fps", [2, 3, 5, 10, 25, 60])
def test_one_object_keeps_its_number_at_any_rate_of_frames(fps: int) -> None:
    """At 2 a second it comes 60 pixels further between two frames, 1.5 times its width."""
    scene = walk(fps, 4)
    if fps < 4:  # no overlap to begin with: it starts to walk slowly
        scene = [(0.0, [at(20, 50)]), (0.2, [at(44, 50)]), (0.4, [at(68, 50)])] + [
            (t + 0.4 + 1 / fps, [at(68 + 120 * (t + 1 / fps), 50)]) for t, _ in scene
        ]
    assert run(scene) == [[1]] * len(scene)


def test_a_dip_of_the_score_is_bridged() -> None:
    assert run(dips()) == [[1]] * 13
    assert [ids for ids in run(dips(), 0.6)][:2] == [[1], [1]]


def test_crossing_objects_keep_their_numbers() -> None:
    scene = crossing()
    walks_right, walks_left = set(), set()
    for (time_s, seen), ids in zip(scene, run(scene), strict=True):
        for box, number in zip(seen, ids, strict=True):
            # the one that walks right is near 20 + 100 t
            (
                walks_right if abs(box[0] - 20 - 100 * time_s) < 3 and box[1] < 54 else walks_left
            ).add(number)
    assert (len(walks_right), len(walks_left)) == (1, 1)
    assert walks_right != walks_left


def test_an_object_out_of_sight_is_known_again_within_its_life() -> None:
    shown = [ids for ids in run(hidden(1.0)) if ids]
    assert shown == [[1]] * len(shown)
    shown = [ids for ids in run(hidden(LIFE_S + 0.5)) if ids]
    assert shown == [[1]] * 10 + [[2]] * (len(shown) - 10)


def test_missing_frames_and_clocks_that_jump() -> None:
    assert {tuple(ids) for ids in run(uneven())} == {(1,)}
    assert {tuple(ids) for ids in run(clock_back())} == {(1,)}


def test_what_stood_still_while_nobody_looked_keeps_its_number() -> None:
    assert run(rest())[-2:] == [[1], [1]]


def test_classes_are_told_apart() -> None:
    ids = run(classes())
    assert ids == [[1, 2, 3]] * 5 + [[1, 2, 4]] * 5


def test_weak_candidates_are_shown_as_long_as_the_object_was_strong() -> None:
    ids = np.array(run(phantoms()))
    assert ids[:, 0].tolist() == [1, 1, 1] + [0] * 13  # a step between two strong, a weak one
    assert ids[:, 1].tolist() == [0, 0, 0, 2] + [0] * 12  # once is not confirmed
    assert not ids[:, 2].any()


@pytest.mark.parametrize(("strong_s", "shown_s"), [(0.5, 0.5), (1.5, 1.5), (6.0, LIFE_S)])
def test_weak_candidates_are_shown_for_a_life_at_most(strong_s: float, shown_s: float) -> None:
    scene = [(k / 16, [at(50, 50, 0.9 if k <= 16 * strong_s else 0.3)]) for k in range(160)]
    shown = [k / 16 for k, ids in enumerate(run(scene)) if ids == [1]]
    assert shown == [k / 16 for k in range(int(16 * (strong_s + shown_s)) + 1)]


def test_equals_are_settled_by_index() -> None:
    assert run(twins()) == [[1, 2, 3]] * 4


def test_a_score_equal_to_the_threshold_in_32_bits_is_shown() -> None:
    score = float(np.float32(0.3))  # above 0.3 in 64 bits
    assert score > 0.3
    assert run([(0.0, [at(0, 0, score)])], threshold=0.3) == [[1]]
    assert run([(0.0, [at(0, 0, 0.7)])], threshold=0.7) == [[1]]  # below it in 32


# --- properties ---

boxes = st.tuples(
    st.integers(0, 200), st.integers(0, 100), st.integers(1, 80), st.integers(1, 80),
    st.integers(10, 100), st.integers(0, 2),
).map(lambda b: (b[0], b[1], b[0] + b[2], b[1] + b[3], b[4] / 100, b[5]))  # fmt: skip
streams = st.lists(
    st.tuples(st.sampled_from([0.0, 0.03, 0.1, 0.5, 3.0, -1.0]), st.lists(boxes, max_size=8)),
    max_size=12,
)


@given(streams, st.sampled_from([0.0, 0.3, 0.5, 0.9]))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_numbers_are_unique_and_never_given_again(stream: Scene, threshold: float) -> None:
    tracker, time_s, highest = Tracker(threshold), 0.0, 0
    label_of: dict[int, int] = {}
    for step_s, seen in stream:
        time_s += step_s
        ids = follow(tracker, seen, time_s)
        shown = [number for number in ids if number]
        assert len(set(shown)) == len(shown)
        for number, (*_, score, label) in zip(ids, seen, strict=True):
            is_strong = np.float32(score) >= np.float32(threshold)
            assert number or not is_strong
            assert label_of.setdefault(number, label) == label or not number
            assert is_strong or number <= highest  # weak ones only go on
        fresh = [number for number in shown if number > highest]
        assert fresh == list(range(highest + 1, highest + 1 + len(fresh)))
        highest += len(fresh)


@given(streams)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_the_picture_s_size_does_not_matter(stream: Scene) -> None:
    """A power of two scales float64 exactly."""
    scene = [(k / 10, seen) for k, (_, seen) in enumerate(stream)]
    larger = [(t, [(*(4 * v for v in box[:4]), *box[4:]) for box in seen]) for t, seen in scene]
    assert run(larger) == run(scene)  # type: ignore[arg-type]


@given(st.integers(0, 7), st.integers(0, 7), st.randoms(use_true_random=False), st.booleans())
@settings(max_examples=400, deadline=None, derandomize=True)
def test_assignments_cost_no_more_than_scipy_s(
    rows: int, columns: int, random: Any, has_ties: bool
) -> None:
    draw = (lambda: random.randrange(4) / 4) if has_ties else (lambda: random.uniform(-3, 3))
    costs = np.array([[draw() for _ in range(columns)] for _ in range(rows)]).reshape(rows, columns)
    found = assign(costs)
    used = np.flatnonzero(found >= 0)
    assert len(used) == len(set(found[used].tolist())) == min(rows, columns)
    assert costs[used, found[used]].sum() == pytest.approx(
        costs[linear_sum_assignment(costs)].sum()
    )

    gains = np.maximum(-costs, 0)
    pairs = match_pairs(gains)
    assert pairs == sorted(pairs)
    assert len({row for row, _ in pairs}) == len({column for _, column in pairs}) == len(pairs)
    assert all(gains[pair] > 0 for pair in pairs)
    best = gains[linear_sum_assignment(gains, maximize=True)].sum()
    assert sum(gains[pair] for pair in pairs) == pytest.approx(best)


def test_large_assignments_cost_no_more_than_scipy_s() -> None:
    random = np.random.default_rng(0)
    for shape in ((120, 120), (40, 150), (150, 40)):
        costs = random.random(shape)
        found = assign(costs)
        used = np.flatnonzero(found >= 0)
        expected = costs[linear_sum_assignment(costs)].sum()
        assert costs[used, found[used]].sum() == pytest.approx(expected, abs=1e-9)


def test_the_filter_is_kalman_s() -> None:
    """Against the matrices of the textbook, for place and velocity, at uneven intervals."""
    measured, wandered, pushed = tracking._MEASURED, tracking._WANDERED, tracking._PUSHED
    mean = np.array([10.0, 0.0])
    spread = np.diag([tracking._FIRST_PLACE, tracking._FIRST_VELOCITY])
    track = tracking._Track(1, 0, 10.0, 0.0, 2.0, 2.0)
    observe = np.array([[1.0, 0.0]])
    for step_s, x in ((0.1, 11.0), (0.03, 11.2), (0.5, 17.0), (1.9, 40.0), (0.0, 39.0)):
        move = np.array([[1.0, step_s], [0.0, 1.0]])
        noise = pushed * np.array([[step_s**3 / 3, step_s**2 / 2], [step_s**2 / 2, step_s]])
        noise[0, 0] += wandered * step_s
        mean, spread = move @ mean, move @ spread @ move.T + noise
        track.predict(step_s)
        np.testing.assert_allclose([track.x, track.velocity_x], mean)
        gain = spread @ observe.T / (observe @ spread @ observe.T + measured)
        mean = mean + gain[:, 0] * (x - mean[0])
        spread = (np.eye(2) - gain @ observe) @ spread
        track.correct((x - 1, -1.0, x + 1, 1.0))
        np.testing.assert_allclose([track.x, track.velocity_x], mean)
        kept = [[track.place, track.place_velocity], [track.place_velocity, track.velocity]]
        np.testing.assert_allclose(kept, spread, atol=1e-12)
    assert track.box_xyxy() == pytest.approx((track.x - 1, -1.0, track.x + 1, 1.0))


def test_noise_at_a_threshold_of_nothing_fills_no_memory() -> None:
    random = np.random.default_rng(0)
    tracker = Tracker(0.0)
    for k in range(12):
        low = random.random((300, 2)).astype(np.float32) * 5000
        seen = np.concatenate([low, low + 3], axis=1)
        tracker.update(seen, np.ones(300, np.float32), np.zeros(300, np.int32), k / 30)
    assert len(tracker._tracks) <= tracking.MOST_TRACKS + 300


# --- the golden file ---


def make_golden() -> dict[str, Any]:
    """The contents of tracker.json."""
    assignments = []
    for rows, columns in ((1, 1), (2, 3), (3, 2), (4, 4), (6, 6)):
        for levels in (2, 5, 1000):
            drawn = [(shake(100 * rows + columns + 7 * k, 8) + 8) % 16 for k in range(36)]
            costs = [
                [drawn[r * columns + c] * levels // 16 / levels for c in range(columns)]
                for r in range(rows)
            ]
            assignments.append({"costs": costs, "columns": assign(np.array(costs)).tolist()})
    return {
        "about": "Numbers of objects in streams of candidates, and assignments at the least sum "
        "of costs with -1 for a row that gets no column; of equals the first. Scores are float32, "
        "and so is the threshold before it is compared; all else is float64. An update is "
        "[time in seconds, [x1, y1, x2, y2, score, label] of each candidate, the numbers expected]",
        "assignments": assignments,
        "streams": [
            {
                "name": name,
                "threshold": threshold,
                "updates": [
                    [round(time_s, 6), [[round(value, 4) for value in box] for box in seen], ids]
                    for (time_s, seen), ids in zip(scene, run(scene, threshold), strict=True)
                ],
            }
            for name, (threshold, scene) in SCENES.items()
        ],
    }


def write_golden() -> None:
    text = json.dumps(make_golden(), separators=(",", ":"))
    for mark in ('"assignments"', '"streams"', '{"costs"', '{"name"', "[["):
        text = text.replace(mark, "\n" + mark)
    GOLDEN.write_text(text + "\n", encoding="utf-8")


RECORDED = json.loads(GOLDEN.read_text(encoding="utf-8")) if GOLDEN.exists() else {"streams": []}


@pytest.mark.parametrize("stream", RECORDED["streams"], ids=lambda stream: str(stream["name"]))
def test_golden_numbers(stream: dict[str, Any]) -> None:
    tracker = Tracker(stream["threshold"])
    for time_s, seen, ids in stream["updates"]:
        assert follow(tracker, seen, time_s) == ids


def test_golden_assignments() -> None:
    for case in RECORDED["assignments"]:
        assert assign(np.array(case["costs"])).tolist() == case["columns"]


def test_no_golden_scene_is_left_unchecked() -> None:
    assert json.loads(json.dumps(make_golden())) == RECORDED


# --- a film ---


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 3])
def test_people_in_a_film_are_counted(atto_bundle: Path, shared: Path, every: int) -> None:
    """Two walk through the corridor one after the other, at 10 and at 3.3 frames a second."""
    detector = Detector.load(atto_bundle, threads=2)
    person = detector.labels.index("person")
    tracker = Tracker(0.5)
    sightings: dict[int, list[float]] = {}
    for frame, found in detector.stream(
        shared / "data" / "video" / "one-by-one-person-detection.mp4", threshold=LEAST_SCORE
    ):
        assert frame.time_s is not None
        if frame.time_s > 48:
            break
        if frame.index % every:
            continue
        ids = tracker.update(found.boxes_xyxy, found.scores, found.label_ids, frame.time_s)
        for number in ids[(ids > 0) & (found.label_ids == person)].tolist():
            sightings.setdefault(number, []).append(frame.time_s)
    lasting = [times for times in sightings.values() if times[-1] - times[0] > 2]
    assert len(lasting) == 2, sightings
    first, second = lasting
    assert [first[0], first[-1], second[0], second[-1]] == pytest.approx([7, 19, 23, 44], abs=1)
    others = sum(len(times) for times in sightings.values()) - len(first) - len(second)
    assert others <= 0.03 * (len(first) + len(second)), sightings  # people half in the picture


if __name__ == "__main__":
    write_golden()
