"""Names as people and tools write them."""

from __future__ import annotations

import pytest

from sightline.data.formats.contents import order_splits, split_named_in, tidy_name


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("  raccoon \n", "raccoon"),
        ("hot\t dog", "hot dog"),
        ("a\0b\x9b31m\ud800", "a\ufffdb\ufffd31m\ufffd"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        (" ", ""),
    ],
)
def test_class_names(written: str, name: str) -> None:
    assert tidy_name(written) == name


@pytest.mark.parametrize(
    ("written", "split"),
    [
        ("instances_train2017", "train"),
        ("instances_val100", "val"),
        ("valid", "val"),
        ("_annotations.coco", None),
        ("contest", None),
        ("Test", "test"),
    ],
)
def test_splits_named_in_files_and_folders(written: str, split: str | None) -> None:
    assert split_named_in(written) == split


def test_order_of_splits() -> None:
    assert order_splits(["b", "test", "a", "val", "train", "val"]) == (
        *("train", "val", "test"),
        *("a", "b"),
    )
