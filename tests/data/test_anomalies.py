"""What is known to be wrong with the real data sets, by their SOURCES.md, is found."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.data.dataset import Dataset

Expected = set[tuple[str, str, str]]

SHARKS = "formats/roboflow/tests/datasets"
ZERO_AREA = (338, 343)  # of BCCD: boxes without area

# Data set -> every problem of these kinds: severity, code, file.
ANOMALIES: dict[str, Expected] = {
    "kangaroo": {
        ("error", "image-unreadable", "images/00090.jpg"),
        ("info", "orientation-odd", "images/00103.jpg"),
        ("warning", "image-repeated", "images/00033.jpg"),
    },
    "raccoon": {
        *(("info", "image-grey", f"images/raccoon-{n}.jpg") for n in (150, 152, 161)),
        *(("warning", "image-repeated", f"images/raccoon-{n}.jpg") for n in (116, 83, 74, 98)),
    },
    "bccd": {
        ("warning", "class-imbalance", "."),
        *(("warning", "box-empty", f"BCCD/Annotations/BloodImage_00{n}.xml") for n in ZERO_AREA),
    },
    "bccd/test.csv": {
        ("warning", "class-imbalance", "."),
        ("warning", "box-empty", "test.csv"),
    },
    "coco_val100": {
        ("warning", "class-unused", "."),
        ("warning", "class-imbalance", "."),
        ("info", "image-grey", "images/000000007888.jpg"),
    },
    f"{SHARKS}/sharks-tiny-coco": {
        ("info", "category-group", "test/_annotations.coco.json"),
        ("info", "box-cut", "train/_annotations.coco.json"),
    },
    f"{SHARKS}/mosquitos": {("warning", "image-missing", "mosquitos.csv")},
    "formats/label_studio/tests/data/test_import_yolo_data": {
        ("warning", "image-missing", f"labels/img_{n}.txt") for n in (2, 3, 4)
    },
    "formats_same100/gts/openimages_format": {
        ("warning", "decimal-comma", "all_bounding_boxes.csv")
    },
    # The anomaly of these is that nothing is wrong with their boxes.
    "formats_same100/gts/pascalvoc_format": set(),
    f"{SHARKS}/sharks-tiny-createml": set(),
    "raccoon/data/test.record": set(),
}
WATCHED = {code for problems in ANOMALIES.values() for _, code, _ in problems} - {
    "class-imbalance"  # of small sets nearly always
}


@pytest.mark.parametrize("name", ANOMALIES)
def test_each_is_found_and_no_other(shared: Path, name: str) -> None:
    dataset = Dataset.load(shared / "data" / name)
    found = {(p.severity, p.code, p.file) for p in dataset.problems}
    assert found >= ANOMALIES[name]
    watched = {problem for problem in found if problem[1] in WATCHED}
    assert watched <= ANOMALIES[name]


def test_polygons_among_yolos_rows(shared: Path) -> None:
    dataset = Dataset.load(shared / "data" / SHARKS / "sharks-tiny-yolov9")
    notes = [p.message for p in dataset.problems if p.code == "outline-boxed"]
    assert sum(int(note.split()[0]) for note in notes) == 17


def test_the_classes_of_coco_val100_without_a_box(shared: Path) -> None:
    dataset = Dataset.load(shared / "data/coco_val100", check_images=False)
    unused = [p.message for p in dataset.problems if p.code == "class-unused"]
    assert len(unused) == 8
    assert not any("meant" in message for message in unused)
