"""The same 100 images with 273 boxes of 20 classes in nine formats that other tools wrote."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

from sightline.data.dataset import Dataset

# Shares of the size with six decimals, in YOLO, are the coarsest: half a millionth of at most
# 500 px, for the centre and half that for the extent, is 0.000375 px.
TOLERANCE_PX = 0.0005
EDGES = ("xmin", "ymin", "xmax", "ymax")
FORMATS = {
    "pascalvoc_format": "voc",
    "imagenet_format": "voc",  # ImageNet's XML is Pascal VOC's
    "coco_format_v1": "coco",
    "coco_format_v2": "coco",
    "cvat_format": "cvat",
    "openimages_format": "open-images",
    "yolo_format": "yolo",
    "labelme_format": "labelme",
    "tfrecord_format": "tfrecord",
}


@pytest.fixture(scope="module")
def expected(shared: Path) -> dict[str, list[tuple[str, list[float]]]]:
    """Image name -> (class, corners) of its boxes in order, read by Python's own XML parser."""
    boxes: dict[str, list[tuple[str, list[float]]]] = {}
    for file in (shared / "data/formats_same100/gts/pascalvoc_format").iterdir():
        root = ElementTree.parse(file).getroot()  # noqa: S314 - test data
        boxes[root.findtext("filename") or ""] = sorted(
            (
                item.findtext("name") or "",
                [float(item.findtext(f"bndbox/{edge}") or "") for edge in EDGES],
            )
            for item in root.iter("object")
        )
    return boxes


@pytest.mark.parametrize("folder", FORMATS)
def test_every_format_gives_the_same(
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    expected: dict[str, list[tuple[str, list[float]]]],
    folder: str,
) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path))  # where a reader unpacks images
    dataset = Dataset.load(shared / "data/formats_same100/gts" / folder)
    assert dataset.format == FORMATS[folder]
    assert len(dataset) == len(expected) == 100
    assert sum(dataset.box_counts.values()) == 273
    assert len(dataset.classes) == 20
    assert set(dataset.classes) == {label for boxes in expected.values() for label, _ in boxes}
    largest = 0.0
    for record in dataset:
        names = [dataset.classes[label] for label in record.label_ids]
        found = sorted(zip(names, record.boxes_xyxy.tolist(), strict=True))
        wanted = expected[record.name.rpartition("/")[2]]
        assert [name for name, _ in found] == [name for name, _ in wanted]
        difference = np.array([b for _, b in found]) - np.array([b for _, b in wanted])
        largest = max(largest, float(np.abs(difference).max(initial=0)))
    assert largest < TOLERANCE_PX
