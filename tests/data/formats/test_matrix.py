"""From every writable format to every other: nothing is lost that both can hold.

What each format holds beyond boxes, classes and splits is the table in docs/data.md, which is
read here.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from sightline.data.dataset import Dataset
from sightline.data.formats import FORMATS, WRITERS
from sightline.data.records import Problem, Record

DOCS = Path(__file__).parents[3] / "docs/data.md"
# The largest change of a corner in px, for images of up to 1000 px: TFRecord keeps shares of the
# size as float32, the others text of as many digits as it takes, or nearly.
PRECISION = {"voc": 0.0, "csv": 0.0, "coco": 1e-9, "createml": 1e-9, "yolo": 1e-5, "tfrecord": 1e-3}
NAMES = ["a.jpg", "two words.jpg", "v1.2.final.jpg", "кенгуру 袋鼠.jpg", "#1%20.jpg", "b,'c'.jpg"]
SHARKS = "formats/roboflow/tests/datasets/sharks-tiny-coco"
CLASSES = ("zebra", "два слова", "unused", "a,b 'c'")  # not in the order of the alphabet


@pytest.fixture(scope="module")
def rich(tmp_path_factory: pytest.TempPathFactory, write_photo: Callable[..., None]) -> Dataset:
    """Six images in three splits: odd names, fractions, boxes on the border, one image empty."""
    root = tmp_path_factory.mktemp("rich")
    rng = np.random.default_rng(0)
    records = []
    for number, name in enumerate(NAMES):
        width, height = 640 - 37 * number, 233 + 51 * number
        write_photo(root / name, width, height, number)
        corners = rng.uniform(0, 1, (number, 2, 2)) * (width, height)  # the first has no box
        boxes_xyxy = np.concatenate([corners.min(1), corners.max(1)], 1)
        if number > 1:
            boxes_xyxy[0] = (0, 0, width, height)
            boxes_xyxy[1, :2] = np.floor(boxes_xyxy[1, :2])
            boxes_xyxy[1, 2:] = np.ceil(boxes_xyxy[1, 2:])
        label_ids = np.array([(0, 1, 3)[(number + box) % 3] for box in range(number)], np.int64)
        sides = boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]
        none = np.zeros(number, bool)
        area = sides[:, 0] * sides[:, 1]
        image = root / name
        records.append(
            Record(name, image, width, height, boxes_xyxy, label_ids, none, area, none, none)
        )
    splits = {"train": (0, 2, 3), "val": (1, 4), "test": (5,)}
    return Dataset(root, "voc", CLASSES, tuple(records), splits, ())


def by_name(dataset: Dataset) -> dict[str, Record]:
    return {record.name.rpartition("/")[2]: record for record in dataset}


def members(dataset: Dataset) -> dict[str, set[str]]:
    return {
        split: {dataset.names[index].rpartition("/")[2] for index in indices}
        for split, indices in dataset.splits.items()
    }


def check_equal(first: Dataset, second: Dataset, precision_px: float) -> None:
    assert second.classes == first.classes
    assert members(second) == members(first)
    ours, theirs = by_name(first), by_name(second)
    assert ours.keys() == theirs.keys()
    for name, record in ours.items():
        other = theirs[name]
        assert (other.width, other.height) == (record.width, record.height)
        assert other.image.read_bytes() == record.image.read_bytes()
        assert other.label_ids.tolist() == record.label_ids.tolist(), name
        assert np.abs(other.boxes_xyxy - record.boxes_xyxy).max(initial=0) <= precision_px, name


@pytest.mark.parametrize("second", WRITERS)
@pytest.mark.parametrize("first", WRITERS)
def test_every_format_to_every_format(
    first: str, second: str, rich: Dataset, tmp_path: Path
) -> None:
    assert not [p for p in rich.save(tmp_path / "a", first) if p.severity != "info"]
    once = Dataset.load(tmp_path / "a")
    assert once.format == first
    check_equal(rich, once, PRECISION[first])
    once.save(tmp_path / "b", second)
    twice = Dataset.load(tmp_path / "b")
    assert twice.format == second
    check_equal(rich, twice, PRECISION[first] + PRECISION[second])


@pytest.mark.parametrize("form", WRITERS)
def test_without_splits(form: str, rich: Dataset, tmp_path: Path) -> None:
    whole = Dataset(rich.root, "voc", rich.classes, rich.records, {}, ())
    whole.save(tmp_path / "a", form)
    check_equal(whole, Dataset.load(tmp_path / "a"), PRECISION[form])


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("name", ["kangaroo", "bccd", SHARKS])
def test_real_sets(form: str, name: str, shared: Path, tmp_path: Path) -> None:
    dataset = Dataset.load(shared / "data" / name, check_images=False)
    dataset.save(tmp_path / "a", form)
    check_equal(dataset, Dataset.load(tmp_path / "a", check_images=False), PRECISION[form])


def documented() -> dict[str, dict[str, str]]:
    """Format key -> column -> cell, of the table in docs/data.md."""
    lines = [line for line in DOCS.read_text().splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    head = next(row for row in rows if row[0] == "format")
    body = [row for row in rows if len(row) == len(head) and re.fullmatch(r"`[a-z-]+`.*", row[0])]
    return {re.findall("`([a-z-]+)`", row[0])[0]: dict(zip(head, row, strict=True)) for row in body}


def test_the_docs_list_every_format() -> None:
    table = documented()
    assert table.keys() == FORMATS.keys()
    assert {form for form, row in table.items() if "write" in row["read, write"]} == WRITERS.keys()


@pytest.mark.parametrize("form", WRITERS)
def test_a_format_holds_what_the_docs_say(form: str, rich: Dataset, tmp_path: Path) -> None:
    """Each flag alone is held or reported as lost, as the table has it."""
    row = documented()[form]
    for flag in ("difficult", "truncated", "crowd"):
        records = list(rich.records)
        marked = np.arange(len(records[3].label_ids)) == 1
        records[3] = Record(**{**vars(records[3]), f"is_{flag}": marked})
        dataset = Dataset(rich.root, "voc", rich.classes, tuple(records), rich.splits, ())
        lost = {problem.code for problem in dataset.save(tmp_path / flag, form)}
        again = by_name(Dataset.load(tmp_path / flag))[NAMES[3]]
        is_held = getattr(again, f"is_{flag}").tolist() == marked.tolist()
        assert is_held == (row[flag] == "yes"), flag
        assert is_held != bool(lost & {f"lost-{flag}", "lost-flags"}), (flag, lost)


def test_lost_is_never_an_error(rich: Dataset, tmp_path: Path) -> None:
    for form in WRITERS:
        lost: tuple[Problem, ...] = rich.save(tmp_path / form, form)
        assert {problem.severity for problem in lost} <= {"info"}
