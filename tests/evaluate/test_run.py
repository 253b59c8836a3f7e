"""A model's numbers on a data set: which images, which classes, and the real model's AP."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.data.dataset import Dataset
from sightline.errors import DatasetEmpty, ModelError
from sightline.evaluate.coco import NUMBERS
from sightline.evaluate.run import evaluate, match_labels, select_images
from sightline.manifest import read_manifest, write_manifest
from sightline.runtime.detector import Detector

SIZE = 96  # of an image; a quarter of it is lit, and labelled


def write_quarters(folder: Path, count: int, *, category_ids: tuple[int, int] = (1, 2)) -> Path:
    """A COCO file with images whose one lit quarter is their one box: what tiny_bundle finds."""
    folder.mkdir()
    images, annotations = [], []
    for number in range(count):
        lower, right = divmod(number % 4, 2)
        half = SIZE // 2
        pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
        pixels[half * lower : half * (lower + 1), half * right : half * (right + 1)] = 255
        pixels[0, 0] = number  # no two files are the same: those would stay in one split
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        images.append(
            {"id": number, "file_name": f"{number:02}.png", "width": SIZE, "height": SIZE}
        )
        annotations.append(
            {"id": number, "image_id": number, "category_id": category_ids[lower], "iscrowd": 0,
             "bbox": [half * right, half * lower, half, half], "area": half * half}
        )  # fmt: skip
    categories = [
        {"id": category_ids[0], "name": "upper"},
        {"id": category_ids[1], "name": "lower"},
    ]
    value = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(value))
    return folder


def test_a_detector_that_is_right_gets_one(tiny_bundle: Path, tmp_path: Path) -> None:
    dataset = Dataset.load(write_quarters(tmp_path / "data", 8))
    done = []
    metrics = evaluate(
        tiny_bundle, dataset, split="all", progress=lambda now, total: done.append((now, total))
    )
    assert metrics.AP == metrics.AR1 == 1.0
    assert (metrics.images, metrics.boxes) == (8, 8)
    assert done == [(number, 8) for number in range(1, 9)]
    assert evaluate(Detector.load(tiny_bundle), dataset, split="all") == metrics


def test_classes_are_matched_by_name_whatever_their_order(
    tiny_bundle: Path, tmp_path: Path
) -> None:
    dataset = Dataset.load(write_quarters(tmp_path / "data", 8, category_ids=(9, 3)))
    assert dataset.classes == ("lower", "upper")
    assert Detector.load(tiny_bundle).labels == ("upper", "lower")
    assert evaluate(tiny_bundle, dataset, split="all").AP == 1.0


def test_a_class_that_the_model_lacks_counts_as_missed(tiny_bundle: Path, tmp_path: Path) -> None:
    labels = ("upper", "beneath")
    write_manifest(tiny_bundle, dataclasses.replace(read_manifest(tiny_bundle), labels=labels))
    dataset = Dataset.load(write_quarters(tmp_path / "data", 8))
    with pytest.warns(UserWarning, match="'lower', which counts as missed; it knows 'upper', 'b"):
        metrics = evaluate(tiny_bundle, dataset, split="all")
    assert metrics.per_class["upper"].AP == 1.0
    assert metrics.per_class["lower"].AP == 0.0
    assert metrics.AP == 0.5


def test_labels_match_by_name() -> None:
    assert match_labels(["a", "b", "c"], ["c", "a", "x"]).tolist() == [1, -1, 0]


def test_data_without_splits_is_split_as_everywhere(tiny_bundle: Path, tmp_path: Path) -> None:
    dataset = Dataset.load(write_quarters(tmp_path / "data", 20))
    assert not dataset.splits
    split = dataset.with_splits()
    assert evaluate(tiny_bundle, dataset).images == len(split.splits["val"]) == 4
    assert evaluate(tiny_bundle, dataset, split="train").images == 16
    with pytest.raises(DatasetEmpty, match="no split 'nope'"):
        evaluate(tiny_bundle, dataset, split="nope")


def test_a_run_uses_the_split_it_recorded(tiny_bundle: Path, tmp_path: Path) -> None:
    dataset = Dataset.load(write_quarters(tmp_path / "data", 20))
    run = tmp_path / "run"
    shutil.copytree(tiny_bundle, run / "best")
    (run / "config.toml").write_text(f'[data]\nfingerprint = "{dataset.fingerprint()}"\n')
    names = {"train": list(dataset.names[:13]), "val": list(dataset.names[13:])}
    (run / "split.json").write_text(json.dumps(names))
    # Photos of four kinds, of which training saw each.
    with pytest.warns(UserWarning, match="of 7 validation images are copies or near-copies"):
        assert evaluate(run, dataset).images == 7
    assert evaluate(run, dataset, split="train").images == 13
    assert evaluate(tiny_bundle, dataset).images == 4  # the same model outside its run
    other = Dataset.load(write_quarters(tmp_path / "other", 24))
    assert evaluate(run, other).images == len(other.with_splits().splits["val"])
    (run / "split.json").write_text("{")
    with pytest.raises(ModelError, match=r"split\.json is damaged"):
        evaluate(run, dataset)


def test_leaks_from_training_are_counted(tiny_bundle: Path, shared: Path) -> None:
    dataset = Dataset.load(shared / "data/kangaroo")
    with pytest.warns(UserWarning, match="^1 of 32 validation images is a copy"):
        select_images(dataset, None, tiny_bundle)
    # Nothing is said (a warning would be an error here) of what training may see, or of all.
    select_images(dataset, "train", tiny_bundle)
    select_images(dataset, "all", tiny_bundle)
    # Nor of the split that is made where there is none.
    select_images(dataclasses.replace(dataset, splits={}), None, tiny_bundle)


def test_images_without_any_box_are_no_evaluation(tiny_bundle: Path, tmp_path: Path) -> None:
    folder = write_quarters(tmp_path / "data", 4)
    value = json.loads((folder / "labels.json").read_text())
    (folder / "labels.json").write_text(json.dumps({**value, "annotations": []}))
    with pytest.raises(DatasetEmpty, match="no box"):
        evaluate(tiny_bundle, Dataset.load(folder), split="all")


def test_coco_model_reaches_the_official_graphs_numbers(coco_bundle: Path, shared: Path) -> None:
    """0.005: half a point of AP. The reference is the official ONNX file's own detections.

    They were cut at score 0.01 and rounded to 0.1 px, which moves AP by about 0.001.
    """
    dataset = Dataset.load(shared / "data" / "coco_val100")
    metrics = evaluate(coco_bundle, dataset)
    reference = {"AP": 0.412, "AP50": 0.567, "APs": 0.177, "APm": 0.355, "APl": 0.611}
    for name, expected in reference.items():
        assert abs(getattr(metrics, name) - expected) < 0.005, name
    assert (metrics.images, metrics.boxes) == (100, 714)
    assert set(metrics.to_json()["per_class"]) == set(dataset.classes)
    assert None not in [getattr(metrics, name) for name in NUMBERS]
