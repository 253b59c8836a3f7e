"""What a caller may ask of detection, read from query, form or JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.detections import Detections
from sightline.server.errors import RequestRefused
from sightline.server.options import MAX_COUNT, Options, read_options
from sightline.server.served import ModelStore

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=5,
)
KEYS = st.sampled_from(["model", "threshold", "labels", "max", "track", "motion", "other"])


def test_query_and_json_say_the_same() -> None:
    query = {"threshold": "0.25", "labels": "cat, dog", "max": "5", "track": "1", "motion": "off"}
    value = {"threshold": 0.25, "labels": ["cat", "dog"], "max": 5, "track": True, "motion": False}
    expected = Options(None, 0.25, ("cat", "dog"), 5, track=True, motion=False)
    assert read_options(query) == read_options(value) == expected


def test_what_is_left_out_or_empty_is_the_default() -> None:
    assert read_options({}) == Options()
    empty = {"threshold": "", "labels": "", "max": "", "track": "", "motion": "", "model": ""}
    assert read_options(empty) == Options()
    assert read_options(dict.fromkeys(empty)) == Options()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("threshold", value) for value in ("high", "nan", "1.01", "-0.1", "inf", True, [0.5])),
        *(("max", value) for value in ("0", "1.5", str(MAX_COUNT + 1), "1e400", {})),
        *(("labels", value) for value in (7, [1], {"a": 1})),
        *(("track", value) for value in ("maybe", 2, [True])),
        ("model", 5),
    ],
)
def test_a_value_out_of_range_is_refused_by_name(key: str, value: Any) -> None:
    with pytest.raises(RequestRefused, match=key) as caught:
        read_options({key: value})
    assert caught.value.code == "invalid-request"


@given(values=st.dictionaries(KEYS, json_values))
def test_any_json_is_read_or_refused(values: dict[str, Any]) -> None:
    try:
        options = read_options(values)
    except RequestRefused as error:
        assert error.code == "invalid-request"
        return
    assert options.threshold is None or 0 <= options.threshold <= 1
    assert 1 <= options.max <= MAX_COUNT


def test_labels_and_max_select_the_best() -> None:
    found = Detections(
        np.zeros((4, 4), np.float32),
        np.array([0.9, 0.8, 0.7, 0.6], np.float32),
        np.array([0, 1, 1, 2], np.int32),
        ("cat", "dog", "cow"),
        10,
        10,
    )
    assert Options(labels=("dog", "cow"), max=2).select(found).scores.tolist() == pytest.approx(
        [0.8, 0.7]
    )
    assert len(Options(labels=("bird",)).select(found)) == 0
    assert len(Options().select(found)) == 4


def test_a_model_or_label_that_is_not_there_is_refused(atto: ModelStore) -> None:
    with pytest.raises(RequestRefused, match="deimv2-atto") as caught:
        Options(model="other").check(atto)
    assert caught.value.code == "not-found"
    with pytest.raises(RequestRefused, match="unicorn") as caught:
        Options(labels=("dog", "unicorn")).check(atto)
    assert caught.value.code == "invalid-request"
    assert Options(labels=("dog",)).check(atto) is atto.default


@pytest.mark.parametrize(
    ("key", "meant"), [("treshold", "threshold"), ("label", "labels"), ("tracks", "track")]
)
def test_a_misspelt_option_is_refused(key: str, meant: str) -> None:
    with pytest.raises(RequestRefused, match=f"did you mean {meant}"):
        read_options({key: "1"})


def test_what_is_no_option_is_let_pass() -> None:
    others = ("token", "name", "sdp", "type", "image", "boxes", "binary_data_output", "credit")
    assert read_options(dict.fromkeys(others, "x")) == Options()
