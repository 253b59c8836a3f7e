"""The page of a data set: valid, alone in the world, bounded, and its numbers are the set's."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from sightline.data.dataset import Dataset
from sightline.data.page import write_dataset_page
from sightline.data.records import Problem, Record
from sightline.errors import DatasetError

Make = Callable[..., Any]

VOID = {"meta", "br", "img", "link"}  # HTML elements that have no end; SVG closes its own
SETS = ("kangaroo", "raccoon", "bccd", "coco_val100", "formats/voc_quirks_made")


class Page(HTMLParser):
    """Checks that tags nest, and collects elements with their attributes, and text."""

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

    def find(self, tag: str, **wanted: str) -> list[dict[str, str | None]]:
        """Attributes of those elements that have these values, "_" standing for "class"."""
        wanted = {{"_": "class"}.get(name, name): value for name, value in wanted.items()}
        return [a for t, a in self.tags if t == tag and wanted.items() <= a.items()]


def read_page(dataset: Dataset, path: Path) -> tuple[str, Page]:
    write_dataset_page(dataset, path)
    text = path.read_text(encoding="utf-8")
    return text, Page(text)


@pytest.mark.parametrize("name", SETS)
def test_real_sets(shared: Path, tmp_path: Path, name: str) -> None:
    dataset = Dataset.load(shared / "data" / name)
    text, page = read_page(dataset, tmp_path / "page.html")
    assert len(text) < 3_000_000
    assert f"{len(dataset):,}" in page.text
    for class_name, count in dataset.box_counts.items():
        assert class_name in page.text
        assert f"{count:,}" in page.text
    for (severity, code), count in Counter((p.severity, p.code) for p in dataset.problems).items():
        assert f">{severity}</span> {code} <small>{count:,}</small>" in text
    for problem in dataset.problems:
        if problem.line is not None:
            assert problem.file in page.text
    assert "</script" not in text
    assert str(shared) not in text


def test_the_page_needs_nothing_else(shared: Path, tmp_path: Path) -> None:
    text, page = read_page(Dataset.load(shared / "data/kangaroo"), tmp_path / "page.html")
    assert text.startswith("<!doctype html>")
    policy = page.find("meta", **{"http-equiv": "Content-Security-Policy"})
    assert [a["content"] for a in policy] == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    ]
    ids = {a["id"] for _, a in page.tags if a.get("id")}
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "srcset", "action", "data", "poster", "background"):
                assert value is not None
                assert value.startswith("data:image/jpeg;base64,") or value[1:] in ids
    assert not re.search(r"url\(|@import", text)
    assert list(tmp_path.iterdir()) == [tmp_path / "page.html"]


def test_hostile_names_stay_text(make_voc: Make, voc_object: Make, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>\"'&amp;\u202e"
    written = "&lt;script&gt;alert(1)&lt;/script&gt;&quot;'&amp;amp;\u202e"
    boxes = voc_object(written, 1, 1, 9, 9) + voc_object(written, 5, 5, 900, 9)
    root = make_voc({"a'\" onload=alert(1) &lt;.jpg": boxes})
    dataset = Dataset.load(root)
    assert dataset.classes == (evil,)
    lone = replace(dataset.records[0], name="half \ud800 \x00\x1b[31m")
    problems = (*dataset.problems, Problem("error", "xml-damaged", evil, 3, evil * 2))
    hostile = replace(dataset, records=(lone,), problems=problems, source=tmp_path / evil)
    _, page = read_page(hostile, tmp_path / "page.html")
    assert page.find("script") == []
    assert evil in page.text
    assert evil * 2 in page.text
    assert not any("\x00" in part or "\x1b" in part for part in page.text)
    for _, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)


def test_pictures_show_the_boxes(make_voc: Make, voc_object: Make, tmp_path: Path) -> None:
    objects = voc_object("x", 4, 5, 20, 25) + voc_object("y", 30, 10, 39, 29)
    dataset = Dataset.load(make_voc({"a.jpg": objects, "b.jpg": ""}))
    _, page = read_page(dataset, tmp_path / "page.html")
    assert len(page.find("image")) == 1
    assert len(page.find("use", href="#photo-0")) == 2  # one for each class
    drawn = page.find("rect", x="4.0", y="5.0", width="16.0", height="20.0")
    assert [a.get("class") for a in drawn] == [None, "faint"]
    drawn = page.find("rect", x="30.0", y="10.0", width="9.0", height="19.0")
    assert [a.get("class") for a in drawn] == ["faint", None]


@pytest.mark.parametrize(
    ("corners", "view", "fault"),
    [
        ((30, 20, 60, 29), "0 0 60 30", ("30.0", "20.0", "30.0", "9.0")),
        ((-8, -6, 20, 20), "-8 -6 48 36", ("-8.0", "-6.0", "28.0", "26.0")),
        ((20, 20, 10, 10), "0 0 40 30", ("10.0", "10.0", "10.0", "10.0")),
        ((10, 10, 10, 10), "0 0 40 30", ("9.4", "9.4", "1.2", "1.2")),
        ((1e9, 5, 2e9, 9), "0 0 100.6 30", ("99.4", "5.0", "1.2", "4.0")),
    ],
)
def test_the_box_of_a_problem_is_marked(
    make_voc: Make,
    voc_object: Make,
    tmp_path: Path,
    corners: tuple[float, ...],
    view: str,
    fault: tuple[str, ...],
) -> None:
    dataset = Dataset.load(make_voc({"a.jpg": voc_object("x", *corners)}))
    assert dataset.problems[0].box_xyxy == corners
    _, page = read_page(dataset, tmp_path / "page.html")
    assert len(page.find("svg", viewbox=view, **{"aria-label": "JPEGImages/a.jpg"})) == 1
    marked = page.find("rect", _="fault")
    assert [tuple(a[k] for k in ("x", "y", "width", "height")) for a in marked] == [fault]


def test_two_images_of_one_problem_stand_side_by_side(
    make_voc: Make, voc_object: Make, tmp_path: Path
) -> None:
    dataset = Dataset.load(make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9), "b.jpg": ""}))
    pair = Problem("error", "image-leaks", "b", None, "alike", dataset.names[::-1])
    _, page = read_page(replace(dataset, problems=(pair,)), tmp_path / "page.html")
    assert len(page.find("figure", _="pair")) == 1
    used = [a["href"] for a in page.find("use")]
    assert used == ["#photo-0", "#photo-1", "#photo-0"]  # the sample, then the pair


def test_a_hundred_classes_of_noise_stay_below_three_megabytes(tmp_path: Path) -> None:
    """Noise is what JPEG makes least of: a picture has 60 kB here."""
    noise = np.random.default_rng(0)
    records = []
    for number in range(120):
        path = tmp_path / f"{number}.jpg"
        Image.fromarray(noise.integers(0, 256, (320, 320, 3), np.uint8)).save(path)
        records.append(make_record(path, 320, 320, {number % 100: (10, 10, 60, 60)}))
    classes = tuple(f"class {number} with a rather long name" for number in range(100))
    problems = tuple(
        Problem("warning", code, "a.xml", 1, "x" * 200, (record.name,), (1.0, 1.0, 9.0, 9.0))
        for code in ("box-cut", "box-empty", "box-outside", "size-differs", "box-inverted")
        for record in records * 20
    )
    dataset = Dataset(tmp_path, "voc", classes, tuple(records), {}, problems)
    text, page = read_page(dataset, tmp_path / "page.html")
    assert 1_500_000 < len(text) < 3_000_000
    assert len(page.find("rect", _="fault")) <= 5 * 8
    assert text.count("and 2,350 more; sightline data inspect --json lists them all") == 5


def make_record(
    path: Path, width: int, height: int, boxes: Mapping[int, tuple[float, ...]]
) -> Record:
    none = np.zeros(len(boxes), np.bool_)
    return Record(
        path.name,
        path,
        width,
        height,
        np.array(list(boxes.values()), np.float64).reshape(-1, 4),
        np.array(list(boxes), np.int64),
        none,
        np.ones(len(boxes)),
        none,
        none,
    )


def test_images_that_are_gone_are_left_out(
    make_voc: Make, voc_object: Make, tmp_path: Path
) -> None:
    root = make_voc({name: voc_object("x", 1, 1, 9, 9) for name in ("a.jpg", "b.jpg")})
    dataset = Dataset.load(root)
    (root / "JPEGImages/a.jpg").unlink()
    seen: list[tuple[int, int]] = []
    write_dataset_page(dataset, tmp_path / "page.html", progress=lambda *done: seen.append(done))
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert [a["href"] for a in page.find("use")] == ["#photo-1"]
    assert seen[-1] == (2, 2)


def test_an_empty_data_set(make_voc: Make, tmp_path: Path) -> None:
    root = make_voc({"a.jpg": ""})
    read_page(Dataset.load(root), tmp_path / "page.html")
    (root / "JPEGImages/a.jpg").write_bytes(b"")
    text, _ = read_page(Dataset.load(root), tmp_path / "page.html")
    assert "none usable" in text


def test_a_file_that_cannot_be_written(make_voc: Make, tmp_path: Path) -> None:
    dataset = Dataset.load(make_voc({"a.jpg": ""}))
    with pytest.raises(DatasetError, match=r"page\.html cannot be written"):
        write_dataset_page(dataset, tmp_path / "gone/page.html")
