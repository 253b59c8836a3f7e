"""The same object's number from frame to frame, by ByteTrack (arXiv 2110.06864).

Boxes, scores and times in, numbers out; knows nothing of pictures. contracts/golden/tracker.json
holds vectors that the browser's tracker gives too, so the order of everything is part of the
contract: float64 arithmetic, tracks by number, candidates by index, of equals the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sightline.boxes import iou_matrix
from sightline.runtime.assignment import match_pairs

Floats = NDArray[np.float64]

# Below the threshold a candidate still goes on with a known object (ByteTrack, section 3); from
# here on they are noise (its published code).
LEAST_SCORE = 0.1
# Least overlap of a track's expected box with its candidate: section 4.1 of ByteTrack, and for
# candidates below the threshold its published code.
LEAST_IOU = 0.2
LEAST_IOU_WEAK = 0.5
# How long an object lives after it last reached the threshold, twice ByteTrack's 30 frames of a
# 30th of a second, since a server often looks at fewer, and people pass behind pillars. Weaker
# candidates do not prolong it, as they do there; they are shown for no longer than the object had
# reached the threshold before: a phantom seen twice at .5 would stay for seconds.
LIFE_S = 2.0
# Of a noisy picture at a low threshold every frame might leave hundreds; a graph gives 300.
MOST_TRACKS = 500

# The Kalman filter of DeepSORT (arXiv 1703.07402, and its published standard deviations: 1/20 of
# the box for places, 1/160 for velocities, each frame) in continuous time, reckoned at 30 frames
# a second, so that frames may come at any interval. All is in units of the box, and so is the
# same for both axes.
_FRAMES_A_S = 30.0
_MEASURED = (1 / 20) ** 2  # variance of a measured place or size
_WANDERED = (1 / 20) ** 2 * _FRAMES_A_S  # variance that places and sizes gain in a second
_PUSHED = (1 / 160) ** 2 * _FRAMES_A_S**3  # variance that velocities gain in a second
_FIRST_PLACE = (2 / 20) ** 2
_FIRST_VELOCITY = (10 / 160 * _FRAMES_A_S) ** 2


@dataclass
class _Track:
    """One object. Its centre moves at a velocity, its size stays; the rest are variances."""

    number: int
    label: int
    x: float
    y: float
    width: float
    height: float
    velocity_x: float = 0.0
    velocity_y: float = 0.0
    place: float = _FIRST_PLACE
    place_velocity: float = 0.0
    velocity: float = _FIRST_VELOCITY
    size: float = _FIRST_PLACE
    waited_s: float = 0.0  # since it last reached the threshold
    credit_s: float = 0.0  # how long weak candidates may be shown
    is_in_sight: bool = True
    is_confirmed: bool = False

    def may_be_weak(self, step_s: float) -> bool:
        """Whether a candidate below the threshold may be it."""
        # Half a step: times are rounded, and after one strong frame is room for a weak one.
        return self.is_in_sight and self.credit_s > step_s / 2 and self.waited_s <= LIFE_S

    def predict(self, step_s: float) -> None:
        """Move on by the velocity: a constant one, pushed by white noise.

        Bar-Shalom, Li and Kirubarajan, Estimation with Applications to Tracking and Navigation
        (2001), section 6.2.2.
        """
        self.waited_s += step_s
        if step_s > LIFE_S:  # nobody looked for so long: where it was is the best guess
            self.velocity_x = self.velocity_y = self.place_velocity = 0.0
            self.place, self.velocity, self.size = _FIRST_PLACE, _FIRST_VELOCITY, _FIRST_PLACE
            return
        self.x += self.velocity_x * step_s
        self.y += self.velocity_y * step_s
        self.place += (
            step_s * (2 * self.place_velocity + step_s * self.velocity)
            + _WANDERED * step_s
            + _PUSHED * step_s**3 / 3
        )
        self.place_velocity += step_s * self.velocity + _PUSHED * step_s * step_s / 2
        self.velocity += _PUSHED * step_s
        self.size += _WANDERED * step_s

    def correct(self, box_xyxy: Sequence[float]) -> None:
        """Take in where it was seen."""
        x, y, width, height = _centred(box_xyxy)
        gain = self.place / (self.place + _MEASURED)
        gain_velocity = self.place_velocity / (self.place + _MEASURED)
        gain_size = self.size / (self.size + _MEASURED)
        off_x, off_y = x - self.x, y - self.y
        self.x += gain * off_x
        self.y += gain * off_y
        self.velocity_x += gain_velocity * off_x
        self.velocity_y += gain_velocity * off_y
        self.width += gain_size * (width - self.width)
        self.height += gain_size * (height - self.height)
        self.velocity -= gain_velocity * self.place_velocity
        self.place_velocity *= 1 - gain
        self.place *= 1 - gain
        self.size *= 1 - gain_size

    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Where it is expected."""
        half_width, half_height = self.width / 2, self.height / 2
        return self.x - half_width, self.y - half_height, self.x + half_width, self.y + half_height


class Tracker:
    """One stream's objects. Not for several threads at once.

    A candidate that reaches the threshold is shown at once: a new object has its number at first
    sight, and is confirmed when it is seen so again. Candidates below the threshold are shown
    only where they go on with a confirmed object that was shown in the update before, for as long
    as it had reached the threshold, LIFE_S at most. Objects keep their class. Numbers count from
    1 and are never given twice.
    """

    def __init__(self, threshold: float) -> None:
        """threshold: the score from which an object is shown."""
        self.threshold = threshold
        self._tracks: list[_Track] = []  # by number
        self._count = 0
        self._time_s: float | None = None

    def update(
        self,
        boxes_xyxy: NDArray[np.float32],
        scores: NDArray[np.float32],
        label_ids: NDArray[np.int32],
        time_s: float,
    ) -> NDArray[np.int32]:
        """(N,) int32: each candidate's number, from 1; 0 for one that is not to be shown.

        Candidates: those of at least LEAST_SCORE, or of the threshold where that is lower, in
        pixels. time_s: of the frame, by any clock; one that goes back stands still for a frame.
        """
        step_s = 0.0 if self._time_s is None else max(0.0, time_s - self._time_s)
        self._time_s = time_s
        for track in self._tracks:
            track.predict(step_s)
        boxes = np.asarray(boxes_xyxy, np.float64).reshape(-1, 4)
        numbers = np.zeros(len(boxes), np.int32)
        is_strong = scores >= np.float32(self.threshold)
        strong, weak = np.flatnonzero(is_strong).tolist(), np.flatnonzero(~is_strong).tolist()
        seen: dict[int, int] = {}  # candidates by the number of their track

        def match(tracks: list[_Track], candidates: list[int], least_iou: float) -> None:
            pairs = _match(tracks, boxes[candidates], label_ids[candidates], least_iou)
            for row, column in pairs:
                seen[tracks[row].number] = candidates[column]

        match([track for track in self._tracks if track.is_confirmed], strong, LEAST_IOU)
        left = sorted(set(strong) - set(seen.values()))
        match([track for track in self._tracks if not track.is_confirmed], left, LEAST_IOU)
        going_on = [track for track in self._tracks if track.may_be_weak(step_s)]
        match([track for track in going_on if track.number not in seen], weak, LEAST_IOU_WEAK)
        self._keep(boxes, is_strong, seen, step_s)
        for index in sorted(set(strong) - set(seen.values())):
            self._count += 1
            x, y, width, height = _centred(boxes[index].tolist())
            track = _Track(self._count, int(label_ids[index]), x, y, width, height)
            self._tracks.append(track)
            seen[track.number] = index
        for number, index in seen.items():
            numbers[index] = number
        return numbers

    def _keep(
        self, boxes: Floats, is_strong: NDArray[np.bool_], seen: dict[int, int], step_s: float
    ) -> None:
        """Correct what was seen; forget what was not for too long."""
        for track in self._tracks:
            index = seen.get(track.number)
            track.is_in_sight = index is not None
            if index is None:
                continue
            track.correct(boxes[index].tolist())
            if is_strong[index]:
                track.waited_s, track.is_confirmed = 0.0, True
                track.credit_s = min(LIFE_S, track.credit_s + step_s)
            else:
                track.credit_s -= step_s
        kept = [track for track in self._tracks if track.waited_s <= LIFE_S]
        kept.sort(key=lambda track: (track.waited_s, track.number))
        self._tracks = sorted(kept[:MOST_TRACKS], key=lambda track: track.number)


def _match(
    tracks: list[_Track], boxes_xyxy: Floats, label_ids: NDArray[np.int32], least_iou: float
) -> list[tuple[int, int]]:
    """Pairs of (track, candidate) of one class with the greatest sum of IoU."""
    if not tracks or not len(boxes_xyxy):
        return []
    expected = np.array([track.box_xyxy() for track in tracks])
    overlaps = np.asarray(iou_matrix(expected, boxes_xyxy), np.float64)
    labels = np.array([track.label for track in tracks])
    overlaps[(labels[:, None] != label_ids[None, :]) | ~(overlaps >= least_iou)] = 0.0
    return match_pairs(overlaps)


def _centred(box_xyxy: Sequence[float]) -> tuple[float, float, float, float]:
    """Centre x and y, width and height."""
    x1, y1, x2, y2 = box_xyxy
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1
