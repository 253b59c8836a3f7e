"""The report: valid, alone in the world, and its numbers are the run's."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.data.dataset import Dataset
from sightline.evaluate.run import evaluate
from sightline.manifest import read_manifest, write_manifest
from sightline.runtime.detector import Detector
from sightline.train.examples import check_examples, choose_examples
from sightline.train.report import write_report
from sightline.train.run import Run

SIZE = 96
LINE_1 = "line series-1"
VOID = {"meta", "br", "img", "link"}  # HTML elements that have no end; SVG closes its own


class Page(HTMLParser):
    """Checks that tags nest, and collects attributes, data values and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self) -> list[float]:
        """Every number that stands in a <data> element."""
        return [float(a["value"]) for tag, a in self.tags if tag == "data" and a["value"]]

    def count(self, tag: str, class_name: str) -> int:
        return sum(t == tag and class_name in (a.get("class") or "").split() for t, a in self.tags)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten dark images with one lit quarter each: eight labelled rightly, two in the wrong half."""
    folder = tmp_path / "lit & <dark>"
    folder.mkdir()
    half = SIZE // 2
    images, annotations = [], []
    for number in range(10):
        lower, right = divmod(number % 4, 2)
        pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
        pixels[half * lower : half * (lower + 1), half * right : half * (right + 1)] = 255
        pixels[0, 0] = number
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
        labelled = lower if number < 8 else 1 - lower
        images.append(
            {"id": number, "file_name": f"{number:02}.png", "width": SIZE, "height": SIZE}
        )
        annotations.append(
            {"id": number, "image_id": number, "category_id": labelled + 1, "iscrowd": 0,
             "bbox": [half * right, half * lower, half, half], "area": half * half}
        )  # fmt: skip
    categories = [{"id": 1, "name": "upper"}, {"id": 2, "name": "lower"}]
    value = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "labels.json").write_text(json.dumps(value))
    return folder


@pytest.fixture
def run(data: Path, tiny_bundle: Path, tmp_path: Path) -> Run:
    """A run folder as training leaves it, with a bundle that knows bright quarters."""
    dataset = Dataset.load(data)
    folder = tmp_path / "run"
    shutil.copytree(tiny_bundle, folder / "best")
    metrics = evaluate(tiny_bundle, dataset, split="all").to_json()
    manifest = replace(
        read_manifest(tiny_bundle),
        name="quarters <script>alert(1)</script>",
        metrics={"val": metrics},
        training={"best_step": 20},
        base={"name": "deimv2-atto", "license": "Apache-2.0"},
        parity=(
            {"runtime": "onnxruntime", "images": 8, "matched": 8, "unmatched": 0,
             "max_score_drift": 1e-5, "max_box_drift_px": 0.001, "mean_box_drift_px": 0.0},
        ),
    )  # fmt: skip
    write_manifest(folder / "best", manifest)
    path = str(data).replace("\\", "\\\\")
    (folder / "config.toml").write_text(
        f'[train]\nmodel = "deimv2-atto"\nbatch = 8\n[derived]\nlearning_rate = 5e-4\n'
        f'train_norms = false\n[data]\npath = "{path}"\nformat = "coco"\nfingerprint = "ab"\n'
    )
    (folder / "split.json").write_text(json.dumps({"train": [], "val": list(dataset.names)}))
    write_history(folder, metrics)
    return Run(folder)


def write_history(folder: Path, metrics: dict[str, Any]) -> None:
    lines = []
    for step in [*range(1, 15), *range(11, 21)]:  # stopped after 14, resumed from 10
        total = 40.0 - step
        lines.append(
            {"step": step, "epoch": step / 10, "seconds": step * 1.5, "learning_rate": 1e-3 / step,
             "loss": {"localisation": total / 2, "classification": total / 2, "total": total}}
        )  # fmt: skip
        if step % 10 == 0:
            found = {**metrics, "AP": metrics["AP"] * step / 20}
            lines.append(
                {"step": step, "epoch": step / 10, "seconds": step * 1.5, "validation": found,
                 "best": True}
            )  # fmt: skip
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


def read_page(run: Run) -> tuple[str, Page]:
    write_report(run)
    text = run.report.read_text(encoding="utf-8")
    return text, Page(text)


def test_the_page_needs_nothing_else(run: Run) -> None:
    text, page = read_page(run)
    assert text.startswith("<!doctype html>")
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "poster", "background"):
                assert value is not None
                assert value.startswith(("#", "data:image/jpeg;base64,")), value[:60]
    assert not re.search(r"https?:|url\(|@import", text)
    assert [path.name for path in run.folder.glob(".*")] == []


def test_names_are_text_not_markup(run: Run) -> None:
    _, page = read_page(run)
    assert "quarters <script>alert(1)</script>" in page.text
    assert any("lit & <dark>" in part for part in page.text)


def test_its_numbers_are_the_run_s(run: Run) -> None:
    _, page = read_page(run)
    best = [line["validation"] for line in run.history if "validation" in line][-1]
    values = page.values()
    assert values[:3] == [best["AP"], best["AP50"], best["AR100"]]
    assert values[3:7] == [0.5, 2, 10, 0]  # threshold; no NMS; classes, images, training images
    for numbers in best["per_class"].values():
        assert numbers["AP"] in values
        assert numbers["AP50"] in values
    shown = " ".join(page.text)
    assert f"{best['AP']:.3f}" in shown
    assert "20 steps (2.0 epochs) in 30 s; best after step 20" in shown
    assert best["APs"] is None
    assert "–" in page.text


def test_charts_show_the_history_once(run: Run) -> None:
    """Steps that a resumed run repeated count once, and each validation has its mark."""
    text, page = read_page(run)
    validations = {line["step"]: line for line in run.history if "validation" in line}
    for step, line in validations.items():
        for name in ("AP", "AP50", "AR1", "AR10", "AR100"):
            assert f"<title>{name} {line['validation'][name]:.3f} at {step}</title>" in text
    assert page.count("circle", "mark") == 5 * len(validations)
    assert page.count("svg", "chart") == 4
    assert page.count("path", "line") == 2 + 3 + 2 * 3 + 1
    rate = [a["d"] or "" for t, a in page.tags if t == "path" and a.get("class") == LINE_1][-1]
    assert rate.count("L") == 20 - 1  # twenty steps


def test_pictures_show_what_was_found_beside_the_labels(run: Run) -> None:
    _, page = read_page(run)
    assert page.count("figure", "example") == 4 + 1  # of the two mistakes one is among the four
    photos = [attributes for tag, attributes in page.tags if tag == "image"]
    again = [attributes["href"] for tag, attributes in page.tags if tag == "use"]
    assert [f"#{photo['id']}" for photo in photos] == again
    boxes = [attributes for tag, attributes in page.tags if tag == "rect"]
    assert len(boxes) == 2 * len(photos)  # one found and one labelled in each
    for found, labelled in zip(boxes[::2], boxes[1::2], strict=True):
        for edge in ("x", "y", "width", "height"):
            assert found[edge] == labelled[edge]
    assert page.text.count("1 of 1 found") == 3
    assert page.text.count("0 of 1 found, 1 false alarm") == 2


def test_mistakes_are_counted_and_come_first(run: Run, data: Path) -> None:
    dataset = Dataset.load(data)
    examples = check_examples(Detector.load(run.best), dataset, dataset.names)
    assert [one.name for one in examples if one.mistakes] == ["08.png", "09.png"]
    assert {(one.objects, one.hits, one.false_alarms) for one in examples} == {(1, 1, 0), (1, 0, 1)}
    typical, wrong = choose_examples(examples)
    assert [one.name for one in typical] == ["00.png", "03.png", "06.png", "09.png"]
    assert [one.name for one in wrong] == ["08.png"]
    assert choose_examples([]) == ([], [])


def test_without_the_images_the_page_says_so(run: Run, data: Path) -> None:
    shutil.rmtree(data)
    _, page = read_page(run)
    assert page.count("figure", "example") == 0
    assert any("no longer at" in part for part in page.text)


def test_a_broken_image_is_left_out(run: Run, data: Path) -> None:
    (data / "00.png").write_bytes(b"no image")
    _, page = read_page(run)
    assert page.count("figure", "example") > 0
    assert "00.png" not in page.text


def test_a_run_stopped_before_its_first_step(run: Run) -> None:
    validations = [line for line in run.history if "validation" in line][:1]
    (run.folder / "metrics.jsonl").write_text(json.dumps(validations[0]) + "\n")
    _, page = read_page(run)
    assert page.count("svg", "chart") == 4
