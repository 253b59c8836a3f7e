"""Validation pictures with what the model found beside what is labelled, as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import TypeVar

import numpy as np

from sightline.data.dataset import Dataset
from sightline.data.images import decode_image
from sightline.data.records import Record
from sightline.detections import Detections
from sightline.errors import ImageError
from sightline.evaluate.coco import AREA_RANGES
from sightline.evaluate.matching import ImageDetections, match_detections, truth_of
from sightline.evaluate.run import match_labels, renumber_labels
from sightline.page import PhotoBox, boxed_photo, thumbnail_uri
from sightline.runtime.detector import Detector

Item = TypeVar("Item")

MOST_CHECKED = 24  # images looked at: about a second of work
SHOWN = 4  # of each kind
THUMBNAIL_PX = 480


@dataclass(frozen=True)
class Example:
    """One validation image, judged at the model's display threshold and IoU 0.5.

    thumbnail: a data: URI.
    """

    name: str
    record: Record
    found: Detections
    thumbnail: str
    objects: int
    hits: int
    false_alarms: int

    @property
    def mistakes(self) -> int:
        """Objects missed plus boxes where there is no object."""
        return self.objects - self.hits + self.false_alarms


def check_examples(detector: Detector, dataset: Dataset, split: Sequence[str]) -> list[Example]:
    """Up to 24 of the split's images, evenly spread; those that are gone or broken are left out.

    split: names as in the run's split.json.
    """
    place = {name: index for index, name in enumerate(dataset.names)}
    known = [name for name in split if name in place]
    to_dataset = match_labels(detector.labels, dataset.classes)
    examples = []
    for name in _spread(known, MOST_CHECKED):
        record = dataset.records[place[name]]
        try:
            picture = decode_image(record.image)
        except ImageError:  # gone or changed since; the page says how many are shown
            continue
        found = detector(picture)
        judged = _judge(record, renumber_labels(found, to_dataset), len(dataset.classes))
        examples.append(Example(name, record, found, thumbnail_uri(picture, THUMBNAIL_PX), *judged))
    return examples


def choose_examples(examples: Sequence[Example]) -> tuple[list[Example], list[Example]]:
    """Up to four evenly spread images, then up to four others with the most mistakes."""
    typical = _spread(examples, SHOWN)
    others = [one for one in examples if one.mistakes and one not in typical]
    return typical, sorted(others, key=lambda one: -one.mistakes)[:SHOWN]


def example_figure(example: Example, classes: Sequence[str], number: str) -> str:
    """A <figure>: the prediction beside the same picture with its labels.

    number: unique in the page.
    """
    record, found = example.record, example.found
    photo = (
        f'<image id="photo-{number}" width="{record.width}" height="{record.height}" '
        f'preserveAspectRatio="none" href="{example.thumbnail}"/>'
    )
    order = {name: index for index, name in enumerate(classes)}
    predicted = [
        PhotoBox(one.box_xyxy, order.get(one.label, len(order)), f"{one.label} {one.score:.0%}")
        for one in found
    ]
    labelled = [
        PhotoBox((x1, y1, x2, y2), label_id, classes[label_id])
        for (x1, y1, x2, y2), label_id in zip(
            record.boxes_xyxy.tolist(), record.label_ids.tolist(), strict=True
        )
    ]
    view = (0, 0, record.width, record.height)
    verdict = f"{example.hits} of {example.objects} found"
    if example.false_alarms:
        plural = "s" if example.false_alarms > 1 else ""
        verdict += f", {example.false_alarms} false alarm{plural}"
    state = "bad" if example.mistakes else "good"
    return (
        '<figure class="example"><div class="pair">'
        '<div><span class="side">Prediction</span>'
        + boxed_photo(photo, predicted, view=view, title="Prediction")
        + '</div><div><span class="side">Labelled</span>'
        + boxed_photo(f'<use href="#photo-{number}"/>', labelled, view=view, title="Labelled")
        + f'</div></div><figcaption><span class="name">{escape(example.name)}</span>'
        f'<span class="verdict {state}">{verdict}</span></figcaption></figure>'
    )


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most `most` of the items, the first and the last among them, evenly apart."""
    rows = np.linspace(0, len(items) - 1, min(most, len(items))).round()
    return [items[int(row)] for row in rows]


def _judge(record: Record, found: ImageDetections, classes: int) -> tuple[int, int, int]:
    """Objects, hits and false alarms of one image."""
    matches = match_detections(
        [truth_of(record)], [found], classes,
        iou_thresholds=np.array([0.5]), area_ranges=AREA_RANGES[:1], max_detections=1000,
    )  # fmt: skip
    is_hit, is_ignored = matches.is_hit[0, 0], matches.is_ignored[0, 0]
    hits = int((is_hit & ~is_ignored).sum())
    return int(matches.positives[0].sum()), hits, int((~is_hit & ~is_ignored).sum())
