"""CVAT XML: images and videos, several files, shapes that are no boxes, damage."""

from __future__ import annotations

import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Contents
from sightline.data.formats.cvat import read_cvat
from sightline.data.formats.listing import list_files
from sightline.errors import DatasetError, DatasetUnrecognised

Make = Callable[..., Any]
META = (
    "<meta><task><labels><label><name>dog</name><attributes><attribute><name>age</name>"
    "</attribute></attributes></label><label><name>cat</name></label></labels></task></meta>"
)
BOX = '<box label="cat" occluded="0" xtl="10" ytl="8" xbr="30" ybr="12"/>'


@pytest.fixture
def make_cvat(tmp_path: Path, write_photo: Make) -> Callable[..., Path]:
    """(text inside <annotations>, names of images) gives a folder, images of 40x30 px."""

    def make(inside: str, *images: str, file: str = "annotations.xml") -> Path:
        for seed, name in enumerate(images):
            write_photo(tmp_path / name, seed=seed)
        path = tmp_path / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'<?xml version="1.0"?>\n<annotations>\n{inside}</annotations>\n')
        return tmp_path

    return make


def image(name: str, shapes: str = "", more: str = "") -> str:
    return f'<image id="0" name="{name}" width="40" height="30" {more}>\n{shapes}</image>\n'


def told(dataset: Dataset) -> list[tuple[str, int | None]]:
    kinds = ("class-unused", "no-boxes", "class-few", "class-imbalance", "box-tiny")
    return [(p.code, p.line) for p in dataset.problems if p.code not in kinds]


def test_the_same_boxes_as_voc(shared: Path) -> None:
    folder = shared / "data/formats_same100/gts"
    cvat = Dataset.load(folder / "cvat_format", check_images=False)
    voc = Dataset.load(folder / "pascalvoc_format", check_images=False)
    assert cvat.format == "cvat"
    assert cvat.classes[:3] == ("person", "cat", "boat")  # as the labels stand, not by name
    assert sum(cvat.box_counts.values()) == 273
    assert list(cvat.names) == list(voc.names)
    for ours, theirs in zip(cvat, voc, strict=True):
        assert sorted(ours.boxes_xyxy.tolist()) == sorted(theirs.boxes_xyxy.tolist())


def test_a_project_with_subsets(shared: Path) -> None:
    folder = shared / "data/formats/datumaro/tests/assets/cvat_dataset/for_images"
    dataset = Dataset.load(folder / "export_project")
    assert dataset.classes == ("label1", "label2")
    assert dataset.splits == {"train": (2, 3), "val": (4, 5), "test": (0, 1)}
    assert [record.name.split("/")[1] for record in dataset] == [
        *("Test", "Test", "Train", "Train", "Validation", "Validation")
    ]
    # a box, then the polygon (1, 2) (3, 4) (6, 5)
    assert [record.boxes_xyxy.tolist() for record in dataset] == [
        [[0, 2, 4, 4]],
        [[1, 2, 6, 5]],
    ] * 3
    notes = {problem.code: problem.message for problem in dataset.problems}
    assert notes["outline-boxed"].startswith("3 polygon(s)")
    assert notes["shape-left-out"] == "not boxes; left out: 3 points, 3 polyline"
    alone = Dataset.load(folder / "export_task/train.xml")
    assert alone.splits == {"train": (0, 1)}  # by the name of the file


def test_a_video(shared: Path) -> None:
    folder = shared / "data/formats/datumaro/tests/assets/cvat_dataset/for_video"
    dataset = Dataset.load(folder)
    assert dataset.classes == ("klhg", "z U k", "II")
    # frame 13: the object is outside; 16: likewise; 19 has neither a shape nor an image
    assert {record.name: record.boxes_xyxy.tolist() for record in dataset} == {
        "images/frame_000010.png": [[3, 4, 10, 5]],
        "images/frame_000013.png": [],
        "images/frame_000016.png": [],
    }
    assert ("image-missing", None) not in told(dataset)


class TestShapes:
    def box_of(self, make_cvat: Make, shape: str) -> list[float]:
        (record,) = Dataset.load(make_cvat(META + image("a.jpg", shape), "a.jpg"))
        (box,) = record.boxes_xyxy.tolist()
        return list(box)

    def test_a_box_and_its_line(self, make_cvat: Make) -> None:
        root = make_cvat(META + "\n" + image("a.jpg", f"\n{BOX}\n{BOX}\n"), "a.jpg")
        dataset = Dataset.load(root)
        assert dataset.records[0].boxes_xyxy.tolist() == [[10, 8, 30, 12]]
        assert dataset.classes == ("dog", "cat")
        assert told(dataset) == [("box-repeated", 7)]

    @pytest.mark.parametrize(
        ("turned", "expected"),
        [
            ("0.00", (10, 8, 30, 12)),
            ("360", (10, 8, 30, 12)),
            ("90", (18, 0, 22, 20)),
            ("270.00", (18, 0, 22, 20)),
            # 20 x 4 turned by 30 degrees is 20 cos 30 + 4 sin 30 wide, 20 sin 30 + 4 cos 30 high
            ("30", (20 - 9.66025, 10 - 6.73205, 20 + 9.66025, 10 + 6.73205)),
        ],
    )
    def test_a_turned_box(self, make_cvat: Make, turned: str, expected: tuple[float, ...]) -> None:
        found = self.box_of(make_cvat, BOX.replace("/>", f' rotation="{turned}"/>'))
        assert found == pytest.approx(expected, abs=1e-5)  # the digits written here

    def test_outlines(self, make_cvat: Make) -> None:
        polygon = '<polygon label="cat" points="1.5,2;30,4.25;6,25"/>'
        assert self.box_of(make_cvat, polygon) == [1.5, 2, 30, 25]
        mask = '<mask label="cat" rle="3, 5" left="3" top="4" width="10" height="6"/>'
        assert self.box_of(make_cvat, mask) == [3, 4, 13, 10]
        ellipse = '<ellipse label="cat" cx="20" cy="15" rx="10" ry="5"/>'
        assert self.box_of(make_cvat, ellipse) == [10, 10, 30, 20]
        # at 45 degrees both halves are sqrt((10^2 + 5^2) / 2)
        half = math.sqrt(62.5)
        turned = self.box_of(make_cvat, ellipse.replace("/>", ' rotation="45"/>'))
        assert turned == pytest.approx([20 - half, 15 - half, 20 + half, 15 + half])

    def test_what_is_no_box_is_counted(self, make_cvat: Make) -> None:
        shapes = '<points label="cat" points="1,1"/><skeleton label="dog"><points label="x" '
        shapes += 'points="1,1"/></skeleton><tag label="cat"/><points label="cat" points="2,2"/>'
        dataset = Dataset.load(make_cvat(META + image("a.jpg", shapes), "a.jpg"))
        assert len(dataset) == 1
        (note,) = (p for p in dataset.problems if p.code == "shape-left-out")
        assert note.message == "not boxes; left out: 2 points, 1 skeleton"

    @pytest.mark.parametrize(
        ("shape", "code"),
        [
            (BOX.replace("10", "ten"), "box-not-finite"),
            (BOX.replace('xtl="10"', ""), "box-not-finite"),
            (BOX.replace("/>", ' rotation="x"/>'), "box-not-finite"),
            (BOX.replace("/>", ' rotation="inf"/>'), "box-not-finite"),
            (BOX.replace("cat", " "), "class-empty"),
            ('<polygon label="cat"/>', "box-not-finite"),
            ('<polygon label="cat" points="1,2;3"/>', "box-not-finite"),
            ('<ellipse label="cat" cx="1" cy="nan" rx="1" ry="1"/>', "box-not-finite"),
            ('<mask label="cat" rle="1"/>', "box-not-finite"),
        ],
    )
    def test_damaged_ones_are_told_with_their_line(
        self, make_cvat: Make, shape: str, code: str
    ) -> None:
        dataset = Dataset.load(make_cvat(META + image("a.jpg", shape), "a.jpg"))
        assert dataset.records[0].boxes_xyxy.tolist() == []
        assert (code, 4) in told(dataset)


class TestImages:
    def test_without_a_shape_there_is_nothing_on_it(self, make_cvat: Make) -> None:
        inside = META + image("x/a.jpg", BOX) + image("b.jpg")
        dataset = Dataset.load(make_cvat(inside, "x/a.jpg", "b.jpg", "c.jpg"))
        assert {r.name: len(r.label_ids) for r in dataset} == {"b.jpg": 0, "x/a.jpg": 1}

    def test_missing_and_repeated_ones(self, make_cvat: Make) -> None:
        root = make_cvat(image("a.jpg", BOX) + image("gone.jpg") + image("a.jpg"), "a.jpg")
        dataset = Dataset.load(root)
        assert dataset.box_counts == {"cat": 1}
        assert told(dataset) == [("image-missing", 5), ("image-claimed-twice", 7)]

    def test_a_subset_of_any_name_is_a_split(self, make_cvat: Make) -> None:
        names = {"a": "../x", "b": "Validation", "c": "default", "d": "fold 1"}
        inside = "".join(image(f"{n}.jpg", BOX, f'subset="{s}"') for n, s in names.items())
        dataset = Dataset.load(make_cvat(inside, *(f"{name}.jpg" for name in names)))
        assert dataset.splits == {"val": (1,), "___x": (0,), "fold_1": (3,)}

    def test_several_files_join_their_labels(self, make_cvat: Make) -> None:
        other = META.replace("dog", "bird")
        make_cvat(META + image("a.jpg", BOX), "a.jpg", file="train.xml")
        root = make_cvat(
            other + image("b.jpg", BOX.replace("cat", "bird")), "a.jpg", "b.jpg", file="val.xml"
        )
        dataset = Dataset.load(root)
        assert dataset.classes == ("dog", "cat", "bird")
        assert dataset.splits == {"train": (0,), "val": (1,)}

    def test_size_that_differs(self, make_cvat: Make) -> None:
        root = make_cvat(image("a.jpg", BOX).replace("40", "41"), "a.jpg")
        assert told(Dataset.load(root)) == [("size-differs", 3)]


class TestVideos:
    TRACK = (
        '<track id="0" label="cat">\n<box frame="{}" outside="0" keyframe="1" '
        'xtl="1" ytl="2" xbr="9" ybr="8"/></track>'
    )

    def test_frames_of_the_task_without_a_shape_have_nothing_on_them(self, make_cvat: Make) -> None:
        task = "<meta><task><start_frame>2</start_frame><stop_frame>8</stop_frame>"
        task += "<frame_filter>step=3</frame_filter></task></meta>"
        frames = [f"images/frame_{number:06d}.png" for number in range(10)]
        dataset = Dataset.load(make_cvat(task + self.TRACK.format(5), *frames))
        assert {r.name: len(r.label_ids) for r in dataset} == {
            frames[2]: 0,
            frames[5]: 1,
            frames[8]: 0,
        }

    def test_images_and_tracks_in_one_file(self, make_cvat: Make) -> None:
        inside = image("a.jpg", BOX) + self.TRACK.format(3)
        dataset = Dataset.load(make_cvat(inside, "a.jpg", "frame_000003.png"))
        assert [len(record.label_ids) for record in dataset] == [1, 1]

    def test_frames_without_images_are_told_once(self, make_cvat: Make) -> None:
        tracks = self.TRACK.format(0) + self.TRACK.format(1) + self.TRACK.format(2)
        dataset = Dataset.load(make_cvat(tracks, "frame_000001.jpg"))
        assert len(dataset) == 1
        (problem,) = (p for p in dataset.problems if p.code == "image-missing")
        assert problem.message.startswith(
            "the images of 2 frames are not there, first frame_000000"
        )

    def test_a_video_does_not_take_the_frames_of_another(self, make_cvat: Make) -> None:
        frames = ["b/images/frame_000000.jpg", "c/images/frame_000000.jpg"]
        for label, folder in (("cat", "a"), ("dog", "b"), ("bird", "c")):
            track = self.TRACK.format(0).replace("cat", label)
            root = make_cvat(track, *frames, file=f"{folder}/annotations.xml")
        dataset = Dataset.load(root)
        assert {r.name: dataset.classes[r.label_ids[0]] for r in dataset} == {
            frames[0]: "dog",
            frames[1]: "bird",
        }
        missing = [p.file for p in dataset.problems if p.code == "image-missing"]
        assert missing == ["a/annotations.xml"]

    @pytest.mark.parametrize("frame", ["", "x", "-1", "9" * 30])
    def test_a_shape_of_no_frame(self, make_cvat: Make, frame: str) -> None:
        root = make_cvat(self.TRACK.format(frame) + self.TRACK.format(0), "frame_000000.jpg")
        dataset = Dataset.load(root)
        assert told(dataset) == [("entry-damaged", 4)]
        assert dataset.box_counts == {"cat": 1}


class TestFiles:
    def test_what_is_no_cvat(self, make_voc: Make, make_cvat: Make, tmp_path: Path) -> None:
        voc = make_voc({"a.jpg": ""})
        assert read_cvat(list_files(voc)) == ("CVAT XML: no .xml with <annotations> as its root")
        make_cvat("<annotation/>", file="x/annotations.xml")
        answer = read_cvat(list_files(tmp_path / "x"))
        assert answer == "CVAT XML: <annotations> without <meta>, <image> or <track>"

    def test_voc_beside_cvat_is_refused(
        self, make_voc: Make, make_cvat: Make, voc_object: Make
    ) -> None:
        make_voc({"a.jpg": voc_object("x", 1, 1, 9, 9)})
        root = make_cvat(image("a.jpg", BOX))
        with pytest.raises(DatasetUnrecognised, match="Pascal VOC and CVAT XML"):
            Dataset.load(root)
        assert Dataset.load(root / "annotations.xml").format == "cvat"

    def test_a_damaged_file_gives_nothing(self, make_cvat: Make) -> None:
        root = make_cvat(image("a.jpg", BOX), "a.jpg", "b.jpg")
        text = (root / "annotations.xml").read_text().replace("a.jpg", "b.jpg")
        # A shape without a label, told only if the rest of the file can be read.
        cut = text.replace('label="cat"', 'label=""')[: -len("</annotations>\n")]
        (root / "other.xml").write_text(cut)
        dataset = Dataset.load(root)
        assert dataset.names == ("a.jpg",)
        assert told(dataset) == [("xml-damaged", 5)]
        (root / "annotations.xml").unlink()
        with pytest.raises(DatasetUnrecognised, match=r"other\.xml: no readable XML"):
            Dataset.load(root)

    def test_entities_are_refused(self, tmp_path: Path) -> None:
        bomb = '<!DOCTYPE annotations [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
        (tmp_path / "a.xml").write_text(f"{bomb}<annotations><meta>&b;</meta></annotations>")
        with pytest.raises(DatasetUnrecognised, match="entities, which are not expanded"):
            Dataset.load(tmp_path)

    def test_a_large_file_is_not_held_in_memory(self, make_cvat: Make) -> None:
        mask = f'<mask label="cat" rle="{"12, " * 50_000}" left="1" top="1" width="5" height="5"/>'
        listing = list_files(make_cvat(image("a.jpg", mask * 100), "a.jpg"))
        assert listing.path("annotations.xml").stat().st_size > 20_000_000
        tracemalloc.start()
        try:
            contents = read_cvat(listing)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert isinstance(contents, Contents)
        assert len(contents.images[0].boxes) == 100
        assert peak_bytes < 8 * 2**20  # a few chunks of 1 MiB and masks of 200 kB


@settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_any_damage(make_cvat: Make, data: st.DataObject) -> None:
    """A piece of a sound file replaced by any text: boxes within the image, or our own error."""
    shapes = BOX + '<polygon label="dog" points="1,2;30,4;6,25"/><mask label="cat" left="1" '
    shapes += 'top="2" width="3" height="4"/><ellipse label="dog" cx="5" cy="5" rx="2" ry="3"/>'
    inside = META + image("a.jpg", shapes) + TestVideos.TRACK.format(0)
    root = make_cvat(inside, "a.jpg", "frame_000000.jpg")
    path = root / "annotations.xml"
    text = path.read_text()
    start = data.draw(st.integers(0, len(text)))
    stop = data.draw(st.integers(start, min(start + 30, len(text))))
    put = data.draw(st.text("<>/\"'=&;.,-019eaxn ", max_size=8))
    path.write_text(text[:start] + put + text[stop:])
    try:
        dataset = Dataset.load(root, check_images=False)
    except DatasetError:
        return
    for record in dataset:
        assert (record.boxes_xyxy >= 0).all()
        assert (record.boxes_xyxy <= (40, 30, 40, 30)).all()
