"""Label Studio: fixtures of its converter, who counts where several label, addresses, faults."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Contents, RawImage
from sightline.data.formats.label_studio import read_label_studio
from sightline.data.formats.listing import list_files

Make = Callable[..., Any]

FIXTURES = "data/formats/label_studio/tests/data/test_export_yolo"


@pytest.fixture
def make_tasks(tmp_path: Path, write_photo: Make) -> Make:
    """(document) gives a folder with a.jpg and b.jpg, 40x30, and the document."""

    def make(document: object) -> Path:
        for seed, name in enumerate(("a.jpg", "b.jpg")):
            write_photo(tmp_path / "set" / name, seed=seed)
        (tmp_path / "set/export.json").write_text(json.dumps(document))
        return tmp_path / "set"

    return make


def rect(label: str = "cat", **more: object) -> dict[str, object]:
    """A region from (4, 6) to (24, 15) of an image of 40x30."""
    value = {"x": 10, "y": 20, "width": 50, "height": 30, "rotation": 0, "rectanglelabels": [label]}
    return {
        "type": "rectanglelabels",
        "original_width": 40,
        "original_height": 30,
        "value": {**value, **more},
    }


def region(kind: str, **value: object) -> dict[str, object]:
    return {"type": kind, "original_width": 40, "original_height": 30, "value": value}


def drawn(*results: object, **more: object) -> dict[str, object]:
    return {"id": 1, "result": list(results), "was_cancelled": False, **more}


def task(*annotations: object, image: object = "a.jpg", **more: object) -> dict[str, object]:
    return {"id": 1, "data": {"image": image}, "annotations": list(annotations), **more}


def read(root: Path) -> Contents:
    contents = read_label_studio(list_files(root))
    assert not isinstance(contents, str)
    return contents


def in_pixels(raw: RawImage) -> list[tuple[object, ...]]:
    assert raw.is_normalised
    width, height = raw.said_size or (40, 30)
    return [
        (box.label, *np.round(np.array(box.box_xyxy) * [width, height, width, height], 6).tolist())
        for box in raw.boxes
    ]


def codes(root: Path) -> list[str]:
    return [problem.code for problem in read(root).problems]


class TestFixtures:
    @pytest.fixture
    def load(self, shared: Path, tmp_path: Path, write_photo: Make) -> Make:
        """(name, image name -> its size) gives the fixture beside images of those sizes."""

        def load(name: str, sizes: dict[str, tuple[int, int]]) -> tuple[Dataset, list[Any]]:
            text = (shared / FIXTURES / name).read_text()
            (tmp_path / name).write_text(text)
            for seed, (image, size) in enumerate(sizes.items()):
                write_photo(tmp_path / image, *size, seed=seed)
            return Dataset.load(tmp_path), json.loads(text)

        return load

    def test_of_two_annotations_the_last_saved_counts(self, load: Make) -> None:
        """Counted by eye: task 1 has annotation 2, saved at 21:05:03 after 21:04:40, with one
        box of each class; task 2 has two boxes of "white"."""
        sizes = {"image1.jpg": (2800, 2800), "image2.jpg": (2800, 2800)}
        dataset, tasks = load("data.json", sizes)
        assert dataset.format == "label-studio"
        assert dataset.box_counts == {"parasites": 1, "white": 3}
        first = tasks[0]["annotations"][1]["result"][0]["value"]
        expected = [
            first["x"],
            first["y"],
            first["x"] + first["width"],
            first["y"] + first["height"],
        ]
        assert dataset.records[0].boxes_xyxy[0] == pytest.approx(np.array(expected) * 28, abs=1e-9)
        assert "annotation-several" in [problem.code for problem in dataset.problems]

    def test_turned_boxes(self, load: Make) -> None:
        """25 results by eye, 24 "Butterfly" and one "butterfly", none of rotation 0. Corners by
        complex numbers: the top left one stays, what turns clockwise is in pixels."""
        sizes = {"image1.jpg": (597, 768), "image2.jpg": (433, 768), "image3.jpg": (716, 768)}
        dataset, tasks = load("data_obb.json", sizes)
        assert dataset.box_counts == {"Butterfly": 24, "butterfly": 1}
        for record, task in zip(dataset.records, tasks, strict=True):
            expected = []
            for result in task["annotations"][0]["result"]:
                value = result["value"]
                assert value["rotation"] != 0
                unit = np.exp(1j * np.radians(value["rotation"]))
                x, width = (value[key] * record.width / 100 for key in ("x", "width"))
                y, height = (value[key] * record.height / 100 for key in ("y", "height"))
                corners = x + 1j * y + unit * np.array([0, width, 1j * height, width + 1j * height])
                low = np.maximum((corners.real.min(), corners.imag.min()), 0)
                high = np.minimum((corners.real.max(), corners.imag.max()), sizes[record.name])
                expected.append([*low, *high])
            assert record.boxes_xyxy == pytest.approx(np.array(expected), abs=1e-9)
        [note] = [p for p in dataset.problems if p.code == "outline-boxed"]
        assert note.message == "25 rotated box(es) taken as the upright box around each"

    def test_a_polygon(self, load: Make) -> None:
        """The least and largest of its 37 points, by eye: 60 and 90.46 %, 14.88 and 83.75 %."""
        dataset, _ = load("data_polygons.json", {"image2.jpg": (640, 426)})
        [record] = dataset.records
        expected = [60, 14.87603750457735, 90.45871559633028, 83.7465564738292]
        pixels = np.array(expected) / 100 * [640, 426, 640, 426]
        assert record.boxes_xyxy[0] == pytest.approx(pixels, abs=1e-9)
        assert dataset.classes == ("Airplane",)

    def test_the_upload_names_the_image(self, load: Make) -> None:
        dataset, _ = load("data_polygons.json", {"000000000025.jpg": (640, 426)})
        assert dataset.names == ("000000000025.jpg",)


BOX = ("cat", 4, 6, 24, 15)


@pytest.mark.parametrize(
    "document",
    [
        [task(drawn(rect()))],
        task(drawn(rect())),  # one task a file, as a storage gets it
        drawn(rect(), task={"id": 1, "data": {"image": "a.jpg"}}),  # one annotation a file
        [{"id": 1, "data": {"image": "a.jpg"}, "completions": [{"id": 1001, "result": [rect()]}]}],
    ],
)
def test_exports_of_any_age(make_tasks: Make, document: object) -> None:
    contents = read(make_tasks(document))
    assert [in_pixels(raw) for raw in contents.images] == [[BOX]]
    assert contents.images[0].said_size == (40, 30)
    assert contents.problems == ()


def test_json_min(make_tasks: Make) -> None:
    """Regions are flat there, without ids; a shape and its label still are one region."""
    value = {"x": 10, "y": 20, "width": 50, "height": 30, "rotation": 0}
    size = {"original_width": 40, "original_height": 30}
    more = {"annotator": 1, "annotation_id": 1, "lead_time": 3.5}
    entries = [
        {
            "image": "/data/upload/1/0123abcd-a.jpg",
            "id": 7,
            "weather": "sunny",
            "label": [{**value, "rectanglelabels": ["cat"], **size}],
            "shape": [{**value, "x": 20, **size}],
            "name": [{**value, "x": 20, "labels": ["dog"], **size}],
            "paint": [{"format": "rle", "rle": [1, 2], "brushlabels": ["cat"], **size}],
            **more,
        },
        {"image": "b.jpg", "id": 8, **more},
    ]
    contents = read(make_tasks(entries))
    first, second = contents.images
    assert in_pixels(first) == [BOX, ("dog", 8, 6, 28, 15)]
    assert second.boxes == ()
    assert [p.message for p in contents.problems] == ["not boxes; left out: 1 paint"]


def test_json_min_of_several_people(make_tasks: Make) -> None:
    def entry(label: str, saved: str) -> dict[str, object]:
        box = {"x": 10, "y": 20, "width": 50, "height": 30, "rectanglelabels": [label]}
        more = {"annotator": 1, "annotation_id": 1, "updated_at": saved}
        return {"image": "a.jpg", "id": 7, "label": [box], **more}

    document = [entry("dog", "2024-05-02T00:00:00Z"), entry("cat", "2024-05-01T00:00:00Z")]
    [raw] = read(make_tasks(document)).images
    assert [box.label for box in raw.boxes] == ["dog"]


@pytest.mark.parametrize(
    ("result", "box"),
    [
        (
            region("polygonlabels", points=[[10, 20], [60, 20], [30, 50]], polygonlabels=["cat"]),
            BOX,
        ),
        (
            region(
                "ellipselabels",
                x=35, y=35, radiusX=25, radiusY=15, rotation=0, ellipselabels=["cat"],
            ),
            BOX,
        ),
        # Turned by 90 about (4, 6): 20 wide to the right becomes 20 down, 9 down becomes left.
        (rect(rotation=90), ("cat", -5, 6, 4, 26)),
        (rect(rotation=-270), ("cat", -5, 6, 4, 26)),
        (rect(rotation=360), BOX),
        # 8 and 6 px of radius, by eye: turned by 90 they change places.
        (
            region(
                "ellipselabels",
                x=50, y=50, radiusX=20, radiusY=20, rotation=90, ellipselabels=["cat"],
            ),
            ("cat", 14, 7, 26, 23),
        ),
    ],
)  # fmt: skip
def test_shapes_become_boxes(
    make_tasks: Make, result: dict[str, Any], box: tuple[object, ...]
) -> None:
    root = make_tasks([task(drawn(result))])
    assert in_pixels(read(root).images[0]) == [box]
    assert codes(root) == ([] if result == rect(rotation=360) else ["outline-boxed"])


def test_a_shape_and_its_label_as_separate_results(make_tasks: Make) -> None:
    value = {"x": 10, "y": 20, "width": 50, "height": 30, "rotation": 0}
    results = [
        {**region("rectangle", **value), "id": "r1"},
        {**region("labels", **value, labels=["cat"]), "id": "r1"},
        {**region("textarea", **value, text=["hello"]), "id": "r1"},
        {"type": "relation", "from_id": "r1", "to_id": "r2", "direction": "right"},
    ]
    root = make_tasks([task(drawn(*results))])
    assert in_pixels(read(root).images[0]) == [BOX]
    assert codes(root) == []


def test_a_region_of_two_labels_is_two_boxes(make_tasks: Make) -> None:
    [raw] = read(make_tasks([task(drawn(rect(rectanglelabels=["cat", " big  dog"])))])).images
    assert in_pixels(raw) == [BOX, ("big dog", *BOX[1:])]


def test_what_has_no_area_is_counted(make_tasks: Make) -> None:
    others = [
        region("brushlabels", format="rle", rle=[1, 2], brushlabels=["cat"]),
        region("keypointlabels", x=1, y=2, width=0.3, keypointlabels=["nose"]),
        region("keypointlabels", x=4, y=2, width=0.3, keypointlabels=["ear"]),
        region("choices", choices=["sunny"]),
    ]
    contents = read(make_tasks([task(drawn(rect(), *others))]))
    assert in_pixels(contents.images[0]) == [BOX]
    [problem] = contents.problems
    assert problem.code == "shape-left-out"
    assert problem.message.endswith("left out: 1 brushlabels, 1 choices, 2 keypointlabels")


@pytest.mark.parametrize(
    ("annotations", "labels"),
    [
        # The last in the file, where none says when it was saved.
        ([drawn(rect("a")), drawn(rect("b"))], ["b"]),
        ([drawn(rect("a")), drawn(rect("b"), was_cancelled=True)], ["a"]),
        ([drawn(rect("a")), drawn(rect("b"), skipped=True)], ["a"]),
        ([drawn(rect("a"), ground_truth=True), drawn(rect("b"))], ["a"]),
        (
            [
                drawn(rect("a"), created_at="2024-05-01", updated_at="2024-05-03"),
                drawn(rect("b"), created_at="2024-05-02"),
            ],
            ["a"],
        ),
        ([drawn(rect("a")), drawn()], []),  # saved last, and nothing is on it
    ],
)
def test_whose_boxes_count(make_tasks: Make, annotations: list[Any], labels: list[str]) -> None:
    document = [task(*annotations, predictions=[{"result": [rect("guess")]}])]
    [raw] = read(make_tasks(document)).images
    assert [box.label for box in raw.boxes] == labels


def test_tasks_that_nobody_labelled_are_no_negatives(make_tasks: Make) -> None:
    empty = task(drawn(), image="b.jpg")
    assert [raw.image for raw in read(make_tasks([empty])).images] == ["b.jpg"]
    for unlabelled in (task(), task(drawn(rect(), was_cancelled=True))):
        root = make_tasks([unlabelled, empty])
        assert [raw.image for raw in read(root).images] == ["b.jpg"]
        assert codes(root) == ["annotation-missing"]


@pytest.mark.parametrize(
    "address",
    [
        "a.jpg",
        "/data/upload/1/a.jpg",
        "/data/upload/1/1a2b3c4d-a.jpg",
        "/data/local-files/?d=photos%2Fdeep%2Fa.jpg",
        "http://localhost:8080/data/local-files/?d=photos/a.jpg",
        "s3://bucket/folder/a.jpg",
        "https://example.org/a.jpg?X-Signature=abc/def&x=b.jpg",
        "C:\\photos\\a.jpg",
        "../../a.jpg",
        "/data/upload/1/a",
    ],
)
def test_addresses(make_tasks: Make, address: str) -> None:
    contents = read(make_tasks([task(drawn(rect()), image=address)]))
    assert [raw.image for raw in contents.images] == ["a.jpg"]
    assert contents.problems == ()


def test_names_as_they_are_encoded(tmp_path: Path, write_photo: Make) -> None:
    names = {"кот 1.jpg": "/data/upload/1/0a0a0a0a-%D0%BA%D0%BE%D1%82%201.jpg"}
    names |= {"50%.jpg": "s3://bucket/50%.jpg", "0123abcd-x.jpg": "/data/upload/1/0123abcd-x.jpg"}
    for name in names:
        write_photo(tmp_path / name)
    document = [task(drawn(rect()), image=address) for address in names.values()]
    (tmp_path / "export.json").write_text(json.dumps(document))
    contents = read(tmp_path)
    assert {raw.image for raw in contents.images} == names.keys()
    assert contents.problems == ()


@pytest.mark.parametrize(
    "data",
    [
        {"photo": "https://example.org/a.jpg", "note": "b"},
        {"id": "b", "url": "/data/upload/1/1a2b3c4d-a.jpg"},
    ],
)
def test_other_names_of_the_field(make_tasks: Make, data: dict[str, str]) -> None:
    document = [{"id": 1, "data": data, "annotations": [drawn(rect())]}]
    assert [raw.image for raw in read(make_tasks(document)).images] == ["a.jpg"]


def test_two_tasks_of_one_image(make_tasks: Make) -> None:
    root = make_tasks([task(drawn(rect())), task(drawn(rect("dog")))])
    assert in_pixels(read(root).images[0]) == [BOX]
    assert codes(root) == ["image-claimed-twice"]


@pytest.mark.parametrize(
    ("faulty", "code"),
    [
        (task(drawn(rect()), image="c.jpg"), "image-missing"),
        (task(drawn(rect()), image=None), "image-missing"),
        (task(drawn(rect()), image=["a.jpg"]), "image-missing"),
        (task(drawn(rect()), image="data:image/png;base64,a.jpg"), "image-missing"),
        (5, "entry-damaged"),
        ({"data": {"image": "a.jpg"}, "annotations": 5}, "entry-damaged"),
        (task("x"), "entry-damaged"),
        (task({"id": 1}), "entry-damaged"),
        (task(drawn("x")), "entry-damaged"),
        (task(drawn(region("rectanglelabels", rectanglelabels=["a"]))), "shape-left-out"),
        (task(drawn({"type": "rectanglelabels"})), "entry-damaged"),
        (task(drawn(rect(rectanglelabels=[]))), "class-empty"),
        (task(drawn(rect(rectanglelabels=["a", 5]))), "class-empty"),
        (task(drawn(rect(rectanglelabels=None))), "class-empty"),
        (task(drawn({**rect(rotation=9), "original_width": 0})), "box-missing"),
        (task(drawn(region("polygonlabels", points=[[1, 2]]))), "box-missing"),
        (task(drawn(rect(width=None))), "box-not-finite"),
        (task(drawn(rect(x=10**400))), "box-not-finite"),
        (task(drawn(rect(rotation="x"))), "box-not-finite"),
        (task(drawn(rect(width=-3))), "box-inverted"),
        (task(drawn(rect(width=0))), "box-empty"),
        (task(drawn(rect(x=80))), "box-cut"),
    ],
)
def test_a_fault_is_reported_and_the_rest_is_kept(
    make_tasks: Make, faulty: object, code: str
) -> None:
    dataset = Dataset.load(make_tasks([task(drawn(rect("dog")), image="b.jpg"), faulty]))
    assert code in [problem.code for problem in dataset.problems]
    assert dataset.box_counts["dog"] == 1


def test_problems_have_the_line_of_their_task(make_tasks: Make) -> None:
    root = make_tasks([])
    document = [task(drawn(rect("dog")), image="b.jpg"), task(drawn(rect(rectanglelabels=[])))]
    text = "[\n" + ",\n".join(map(json.dumps, document)) + "\n]"
    (root / "export.json").write_text(text)
    assert [(p.code, p.line) for p in read(root).problems] == [("class-empty", 3)]


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        [{"image": "a.jpg", "annotations": []}],  # CreateML
        {"images": [], "annotations": [], "categories": []},  # COCO
        [1, 2],
    ],
)
def test_other_json_is_not_label_studio(make_tasks: Make, document: object) -> None:
    assert isinstance(read_label_studio(list_files(make_tasks(document))), str)


DOCUMENT = [
    task(
        drawn(
            rect(),
            {**region("rectangle", x=1, y=2, width=3, height=4), "id": "r1"},
            {**region("labels", x=1, y=2, width=3, height=4, labels=["cat", "dog"]), "id": "r1"},
            region("polygonlabels", points=[[1, 2], [3, 4], [0, 9]], polygonlabels=["cat"]),
        ),
        predictions=[],
    ),
    task(drawn(rect()), image="/data/upload/1/1a2b3c4d-b.jpg"),
]


def find_boxes(document: object) -> tuple[list[tuple[Any, ...]], set[str]] | None:
    """The boxes in such a file beside a.jpg and b.jpg, and what is told of it."""
    with TemporaryDirectory() as folder:
        for name in ("a.jpg", "b.jpg"):
            Path(folder, name).touch()
        Path(folder, "a.json").write_text(json.dumps(document))
        contents = read_label_studio(list_files(Path(folder)))
    if isinstance(contents, str):
        return None
    boxes = [(box.label, *box.box_xyxy) for raw in contents.images for box in raw.boxes]
    return boxes, {problem.message for problem in contents.problems}


@settings(deadline=None)
@given(data=st.data())
def test_any_value_in_any_place(changed: Make, data: st.DataObject) -> None:
    """Nothing is raised, and boxes do not change silently where a value is of another kind."""
    document, is_of_its_kind = data.draw(changed(DOCUMENT))
    before, after = find_boxes(DOCUMENT), find_boxes(document)
    assert before is not None
    if after is not None and not is_of_its_kind and after[0] != before[0]:
        finite = all(math.isfinite(edge) for box in after[0] for edge in box[1:])
        assert after[1] - before[1] or not finite  # what is not finite, the checks tell
