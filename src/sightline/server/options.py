"""What a caller may ask of detection, the same on every path: query, form field or JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import numpy as np

from sightline.detections import Detections
from sightline.server.errors import RequestRefused
from sightline.server.served import ModelStore, ServedModel

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off", ""})
MAX_COUNT = 300
_KEYS = ("model", "threshold", "labels", "max", "track", "motion")


@dataclass(frozen=True)
class Options:
    """model: its name, None for the default. threshold: None for the model's own.

    labels: only these classes; None for all. max: at most so many, the best first. track: number
    objects from frame to frame. motion: look only at frames that differ from the last one.
    """

    model: str | None = None
    threshold: float | None = None
    labels: tuple[str, ...] | None = None
    max: int = MAX_COUNT
    track: bool = False
    motion: bool = False

    def check(self, store: ModelStore) -> ServedModel:
        """The model they are for. Raises RequestRefused for a model or label it does not have."""
        model = store.get_runnable(self.model)
        unknown = [label for label in self.labels or () if label not in model.manifest.labels]
        if unknown:
            raise RequestRefused(
                "invalid-request",
                f"labels: {model.name} does not know {', '.join(unknown)[:200]}; its labels "
                "stand in /v1/models.",
            )
        return model

    def threshold_for(self, model: ServedModel) -> float:
        return model.manifest.score_threshold if self.threshold is None else self.threshold

    def select(self, found: Detections) -> Detections:
        """Those of the labels asked for, at most `max`."""
        if self.labels is not None:
            wanted = [i for i, name in enumerate(found.class_names) if name in self.labels]
            found = found[np.isin(found.label_ids, wanted)]
        return found if len(found) <= self.max else found[: self.max]


def read_options(values: Mapping[str, Any]) -> Options:
    """Options from query parameters, form fields or JSON; these may hold other things as well.

    Raises RequestRefused (invalid-request) naming the field, or the option that a misspelt one
    is near to.
    """
    for key in values:
        near = get_close_matches(key, _KEYS, n=1) if key not in _KEYS else []
        if near:
            raise RequestRefused("invalid-request", f"{key[:40]}: did you mean {near[0]}?")
    labels = values.get("labels")
    if isinstance(labels, str):
        labels = [part.strip() for part in labels.split(",") if part.strip()]
    if labels is not None and not (
        isinstance(labels, list) and all(isinstance(label, str) for label in labels)
    ):
        raise _invalid("labels", "class names, separated by commas")
    model = values.get("model") or None
    if model is not None and not isinstance(model, str):
        raise _invalid("model", "a model's name")
    return Options(
        model,
        _number(values, "threshold", 0.0, 1.0),
        tuple(labels) if labels else None,
        _whole(values, "max", 1, MAX_COUNT) or MAX_COUNT,
        _truth(values, "track"),
        _truth(values, "motion"),
    )


def _number(values: Mapping[str, Any], key: str, low: float, high: float) -> float | None:
    value = values.get(key)
    if value is None or value == "":
        return None
    try:
        number = float(value) if isinstance(value, str | int | float) else None
    except (ValueError, OverflowError):
        number = None
    if number is None or isinstance(value, bool) or not low <= number <= high:
        raise _invalid(key, f"a number in {low:g}..{high:g}")
    return number


def _whole(values: Mapping[str, Any], key: str, low: int, high: int) -> int | None:
    number = _number(values, key, low, high)
    if number is not None and number != int(number):
        raise _invalid(key, f"a whole number in {low}..{high}")
    return None if number is None else int(number)


def _truth(values: Mapping[str, Any], key: str) -> bool:
    value = values.get(key)
    text = "" if value is None else str(value).lower()
    if text not in _TRUE | _FALSE:
        raise _invalid(key, "1 or 0")
    return text in _TRUE


def _invalid(key: str, expected: str) -> RequestRefused:
    return RequestRefused("invalid-request", f"{key}: {expected} is expected")
