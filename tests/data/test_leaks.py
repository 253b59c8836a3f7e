"""What stands in two splits, or twice, is told with both names and with what differs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from sightline.data.dataset import Dataset
from sightline.data.duplicates import Likeness
from sightline.data.leaks import check_splits, leak_message
from sightline.data.records import Problem, Record

CLASSES = ("cat", "dog")


def record(name: str, *boxes: tuple[int, float, float, float, float]) -> Record:
    """An image of 200 x 100 pixels with (class, x1, y1, x2, y2)."""
    return make_record(name, 200, 100, boxes)


def make_record(
    name: str, width: int, height: int, boxes: Sequence[tuple[int, float, float, float, float]]
) -> Record:
    count = len(boxes)
    return Record(
        name,
        Path(name),
        width,
        height,
        np.array([box[1:] for box in boxes], np.float64).reshape(-1, 4),
        np.array([box[0] for box in boxes], np.int64),
        np.zeros(count, np.bool_),
        np.zeros(count, np.float64),
        np.zeros(count, np.bool_),
        np.zeros(count, np.bool_),
    )


def likeness(
    count: int, identical: Sequence[tuple[int, ...]], near: Sequence[tuple[int, int]] = ()
) -> Likeness:
    kinds = np.arange(count)
    for group in identical:
        kinds[list(group)] = group[0]
    return Likeness(tuple(identical), kinds, kinds[np.array(near, np.int64).reshape(-1, 2)])


def told(found: list[Problem]) -> list[tuple[str, str, str]]:
    return [(problem.severity, problem.code, problem.file) for problem in found]


def test_leaks_and_overlaps_between_splits() -> None:
    records = [record(f"{name}.jpg") for name in "abcde"]
    splits = {"train": (0, 1, 3), "val": (2, 3)}
    found = check_splits(splits, records, CLASSES, likeness(5, [(0, 1, 2)]))
    assert told(found) == [
        ("error", "split-overlap", "d.jpg"),
        ("info", "split-none", "e.jpg"),
        ("warning", "image-repeated", "b.jpg"),
        ("error", "image-leaks", "c.jpg"),
    ]
    assert found[-1].message == "byte for byte the same as a.jpg, across train and val"
    assert found[-1].images == ("c.jpg", "a.jpg")


def test_every_image_that_leaks_is_named() -> None:
    # a of train, b and c of val, d of test; b and c are alike, too.
    records = [record(name) for name in "abcd"]
    splits = {"test": (3,), "train": (0,), "val": (1, 2)}
    found = check_splits(splits, records, CLASSES, likeness(4, [(0, 1, 2)], [(0, 3)]))
    assert told(found) == [
        ("error", "image-leaks", "b"),
        ("error", "image-leaks", "c"),
        ("warning", "image-leaks-nearly", "d"),
    ]
    assert found[-1].message == "shows nearly the same as a, across train and test"


def test_a_copy_is_told_rather_than_what_is_nearly_the_same() -> None:
    records = [record(name) for name in "abc"]
    splits = {"train": (0,), "val": (1,), "test": (2,)}
    found = check_splits(splits, records, CLASSES, likeness(3, [(1, 2)], [(0, 1)]))
    assert [(p.code, p.file, p.images[1]) for p in found] == [
        ("image-leaks-nearly", "b", "a"),
        ("image-leaks", "c", "b"),
    ]


def test_without_splits_what_is_alike_is_a_remark() -> None:
    records = [record(name) for name in "abc"]
    found = check_splits({}, records, CLASSES, likeness(3, [(0, 2)], [(0, 1)]))
    assert told(found) == [("info", "image-alike", "b"), ("warning", "image-repeated", "c")]


@pytest.mark.parametrize(
    ("boxes", "is_copy", "said"),
    [
        ([(0, 20, 10, 60, 50)], True, ""),
        ([(0, 23.9, 10, 60, 51.9)], True, ""),  # almost 2 % of 200 and of 100 pixels
        ([(0, 26, 10, 60, 50)], True, "; their boxes lie up to 3% of the image's size apart"),
        ([(0, 26, 10, 60, 50)], False, ""),
        ([(0, 20, 10, 60, 90)], False, "; their boxes lie up to 40% of the image's size apart"),
        ([], True, "; labelled differently: 0 cat here, 1 there"),
        ([(1, 20, 10, 60, 50)], True, "; labelled differently: 0 cat here, 1 there"),
        (
            [(0, 20, 10, 60, 50), (1, 0, 0, 9, 9)],
            False,
            "; labelled differently: 1 dog here, 0 there",
        ),
    ],
)
def test_differing_boxes_are_named(
    boxes: list[tuple[int, float, float, float, float]], is_copy: bool, said: str
) -> None:
    records = [record("a", (0, 20, 10, 60, 50)), record("b", *boxes)]
    pairs = likeness(2, [(0, 1)]) if is_copy else likeness(2, [], [(0, 1)])
    [problem] = check_splits({}, records, CLASSES, pairs)
    how = "byte for byte the same as a" if is_copy else "shows nearly the same as a"
    assert problem.message == how + said


def test_boxes_are_compared_whatever_their_order_and_the_images_sizes() -> None:
    small = [(0, 10.0, 5.0, 30.0, 25.0), (0, 50.0, 5.0, 60.0, 9.0), (1, 0.0, 0.0, 9.0, 9.0)]
    large = [(label, *(4 * corner for corner in box)) for label, *box in small[::-1]]
    records = [make_record("a", 100, 50, small), make_record("b", 400, 200, large)]  # type: ignore[arg-type]
    [problem] = check_splits({}, records, CLASSES, likeness(2, [], [(0, 1)]))
    assert problem.message == "shows nearly the same as a"


class TestReal:
    def test_kangaroo(self, shared: Path) -> None:
        dataset = Dataset.load(shared / "data/kangaroo")
        leaks = dataset.find_leaks()
        named = {(dataset.names[one], dataset.names[other]) for one, other in leaks.items()}
        assert named == {("images/00101.jpg", "images/00118.jpg")}
        messages = {problem.file: problem.message for problem in dataset.problems}
        assert messages["images/00101.jpg"] == (
            "shows nearly the same as images/00118.jpg, across train and val; labelled "
            "differently: 1 kangaroo here, 2 there"
        )

    def test_the_copies_of_raccoon_are_labelled_differently(self, shared: Path) -> None:
        dataset = Dataset.load(shared / "data/raccoon")
        apart = {
            problem.file: problem.message.partition("; ")[2]
            for problem in dataset.problems
            if problem.code == "image-repeated"
        }
        assert apart == {
            f"images/raccoon-{number}.jpg": f"their boxes lie up to {far} of the image's size apart"
            for number, far in ((116, "4%"), (74, "4%"), (83, "10%"), (98, "7%"))
        }

    def test_bccds_own_split_leaks(self, shared: Path) -> None:
        dataset = Dataset.load(shared / "data/bccd")
        leaks = {p.file[-9:-4]: p.severity for p in dataset.problems if "leaks" in p.code}
        assert leaks == {"00037": "warning", "00391": "warning"}
        assert len(dataset.find_leaks("val")) == 1
        assert dataset.find_leaks("test") == {}  # the other is of val and test
        assert len(dataset.find_leaks("test", of="val")) == 1

    @pytest.mark.parametrize("name", ["coco_val100", "raccoon"])
    def test_a_split_made_here_does_not_leak(self, shared: Path, name: str) -> None:
        dataset = Dataset.load(shared / "data" / name)
        for seed in range(5):
            assert dataset.split(test=0.1, seed=seed).find_leaks() == {}


def test_what_is_said_of_leaks() -> None:
    assert leak_message(3, 32, "val", "photos") == (
        "3 of 32 validation images are copies or near-copies of training images, which flatters "
        "what was trained on them; `sightline data inspect photos` names them, `sightline data "
        "split` makes a split without where enough images differ"
    )
    said = leak_message(1, 9, "test", "photos")
    assert said.startswith("1 of 9 test images is a copy or near-copy of a training image, ")
