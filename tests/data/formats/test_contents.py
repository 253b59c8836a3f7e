"""Names as people and tools write them."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.data.formats.contents import Reading, order_splits, tidy_name
from sightline.data.formats.image_names import split_named_in
from sightline.data.formats.listing import Listing


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


def missing(images: list[str], annotated: list[str], **more: bool) -> list[tuple[str, str]]:
    reading = Reading(Listing(Path("/set"), (), tuple(images), **more))
    reading.report_unannotated(annotated)
    assert {(p.severity, p.code) for p in reading.problems} <= {("warning", "annotation-missing")}
    return [(p.file, p.message) for p in reading.problems]


class TestUnannotated:
    def test_twenty_are_named_and_the_others_counted(self) -> None:
        images = [f"images/{n:03}.jpg" for n in range(122)]
        found = missing(images, images[:2])
        assert [file for file, _ in found] == images[2:23]
        assert "the same of 100 image(s)" in found[-1][1]
        assert len(missing(images[:22], images[:2])) == 20

    @pytest.mark.parametrize(
        ("image", "counts"),
        [
            ("set/images/a/2.jpg", True),
            ("set/images/b/2.jpg", True),
            ("set/images/val/2.jpg", False),  # of a split that was not read
            ("set/masks/2.png", False),
            ("2.png", False),
        ],
    )
    def test_only_what_lies_among_annotated_images(self, image: str, counts: bool) -> None:
        annotated = "set/images/a/1.jpg"
        assert len(missing(sorted([annotated, image]), [annotated])) == counts

    def test_one_file_may_leave_the_others_to_other_files(self) -> None:
        assert missing(["a.jpg", "b.jpg"], ["a.jpg"], is_whole=False) == []
