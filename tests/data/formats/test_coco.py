"""COCO: real layouts, Roboflow's group category, and every malformed entry reported."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO

from sightline.data.dataset import Dataset
from sightline.data.formats.coco import read_coco
from sightline.data.formats.contents import Contents
from sightline.data.formats.listing import Listing, list_files
from sightline.errors import DatasetUnrecognised

Make = Callable[..., Any]


@pytest.fixture
def make_coco(tmp_path: Path, write_photo: Make) -> Make:
    """(annotations, images=..., categories=...) gives a folder with a.jpg and b.jpg, 40x30."""

    def make(annotations: list[Any], **more: list[Any]) -> Path:
        for seed, name in enumerate(("a", "b")):
            write_photo(tmp_path / "set/images" / f"{name}.jpg", seed=seed)
        document = {
            "images": [
                {"id": 1, "file_name": "a.jpg", "width": 40, "height": 30},
                {"id": 2, "file_name": "b.jpg", "width": 40, "height": 30},
            ],
            "categories": [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}],
            "annotations": annotations,
            **more,
        }
        path = tmp_path / "set/instances.json"
        path.write_text(json.dumps(document))
        return tmp_path / "set"

    return make


def entry(**more: object) -> dict[str, object]:
    return {"id": 1, "image_id": 1, "category_id": 3, "bbox": [1, 2, 10, 20], **more}


def test_boxes_classes_crowds_areas_and_negatives(make_coco: Make) -> None:
    dataset = Dataset.load(
        make_coco([entry(area=150.5, iscrowd=1), entry(category_id=7, bbox=[0.5, 0, 3, 4])])
    )
    assert dataset.classes == ("cat", "dog")  # by id
    record, empty = dataset.records
    assert record.boxes_xyxy.tolist() == [[1, 2, 11, 22], [0.5, 0, 3.5, 4]]
    assert record.label_ids.tolist() == [0, 1]
    assert record.is_crowd.tolist() == [True, False]
    assert record.area.tolist() == [150.5, 12]
    assert empty.boxes_xyxy.shape == (0, 4)
    assert [p.code for p in dataset.problems] == ["class-few"]


@pytest.mark.parametrize(
    ("annotation", "code"),
    [
        (entry(image_id=9), "image-unknown"),
        (entry(image_id=None), "image-unknown"),
        (entry(category_id=4), "category-unknown"),
        (entry(category_id="3"), "category-unknown"),
        (entry(bbox=[1, 2, 3]), "box-missing"),
        (entry(bbox=None), "box-missing"),
        (entry(bbox=["1", 2, "3.0", 4]), "number-quoted"),
        (entry(bbox=[None, 2, 3, 4]), "box-not-finite"),
        (entry(bbox=[1, 2, 10**400, 4]), "box-not-finite"),
        (entry(bbox=[1, 2, 0, 4]), "box-empty"),
        (entry(bbox=[-4, 2, 9, 4]), "box-cut"),
        (entry(bbox=[5, 5, -3, -3]), "box-inverted"),
        ("text", "image-unknown"),
    ],
)
def test_a_faulty_annotation_is_reported_and_the_rest_is_kept(
    make_coco: Make, annotation: object, code: str
) -> None:
    good = entry(image_id=2, category_id=7)
    dataset = Dataset.load(make_coco([annotation, good], categories=CATEGORIES))
    assert code in [problem.code for problem in dataset.problems]
    assert dataset.box_counts["dog"] == 1


CATEGORIES = [{"id": 7, "name": "dog"}, {"id": 3, "name": "cat"}]


@pytest.mark.parametrize(
    ("key", "entries", "code"),
    [
        (
            "images",
            [{"id": 1, "file_name": "a.jpg"}, {"id": 1, "file_name": "b.jpg"}],
            "id-repeated",
        ),
        ("images", [{"id": 1, "file_name": "a.jpg"}, {"id": 2}], "image-damaged"),
        (
            "images",
            [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "c.jpg"}],
            "image-missing",
        ),
        ("images", [{"id": 1, "file_name": "../../a.jpg"}], "filename-outside"),
        (
            "images",
            [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "images/a.jpg"}],
            "image-claimed-twice",
        ),
        ("categories", [*CATEGORIES, {"id": 3, "name": "cow"}], "id-repeated"),
        ("categories", [*CATEGORIES, {"id": 4, "name": "cat"}], "category-repeated"),
        ("categories", [*CATEGORIES, {"id": 4, "name": " "}], "category-damaged"),
        ("categories", [*CATEGORIES, 5], "category-damaged"),
        ("categories", [*CATEGORIES, {"id": 4, "name": "cow"}], "class-unused"),
    ],
)
def test_faulty_images_and_categories(
    make_coco: Make, key: str, entries: list[Any], code: str
) -> None:
    dataset = Dataset.load(make_coco([entry()], **{key: entries}))
    assert code in [problem.code for problem in dataset.problems]
    assert dataset.box_counts["cat"] == 1


def test_a_category_that_groups_others_is_a_class_only_with_boxes(make_coco: Make) -> None:
    categories = [
        {"id": 0, "name": "animals", "supercategory": "none"},
        {"id": 3, "name": "cat", "supercategory": "animals"},
    ]
    dataset = Dataset.load(make_coco([entry()], categories=categories))
    assert dataset.classes == ("cat",)
    dataset = Dataset.load(make_coco([entry(), entry(category_id=0)], categories=categories))
    assert dataset.classes == ("animals", "cat")


def test_damaged_json_has_its_line(make_coco: Make, tmp_path: Path) -> None:
    root = make_coco([entry()])
    text = (root / "instances.json").read_text()
    (root / "instances.json").write_text("\n\n" + text[:-5])
    with pytest.raises(DatasetUnrecognised, match=r"instances\.json: no readable JSON: .* line 3"):
        Dataset.load(root)
    (root / "instances_train.json").write_text(text)
    problem = Dataset.load(root).problems[0]
    assert (problem.code, problem.file, problem.line) == ("json-damaged", "instances.json", 3)


def test_problems_and_boxes_name_their_line(make_coco: Make) -> None:
    root = make_coco([])
    lines = [
        '{"categories": [{"id": 3, "name": "cat"},',
        '{"id": 3, "name": "cow"}],',
        '"images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2,',
        '"file_name": "c.jpg"},',
        '{"id": 1, "file_name": "b.jpg"}],',
        '"annotations": [',
        json.dumps(entry()) + ",",
        json.dumps(entry(image_id=7)) + ",",
        json.dumps(entry(bbox=[1, 2, 90, 3])) + ",",
        json.dumps(entry(bbox=[1])) + "]}",
    ]
    (root / "instances.json").write_text("\n".join(lines))
    found = {problem.code: problem.line for problem in Dataset.load(root).problems}
    assert (found["id-repeated"], found["image-missing"], found["image-unknown"]) == (5, 3, 8)
    assert (found["box-cut"], found["box-missing"]) == (9, 10)


def test_a_polygon_without_a_box_becomes_one(make_coco: Make) -> None:
    triangles = [[1, 2, 10, 2, 5, 8], [20, 5.5, 22, 3, 21, 9]]
    outlines = [
        entry(bbox=None, segmentation=triangles),
        entry(bbox=[], segmentation=triangles[:1], category_id=7),
        entry(bbox=None, segmentation={"counts": "abc", "size": [30, 40]}),
        entry(bbox=None, segmentation=[[1, "x", 3, 4]]),
        entry(bbox=[0, 0, 4, 4], segmentation=triangles),
    ]
    dataset = Dataset.load(make_coco(outlines))
    assert dataset.records[0].boxes_xyxy.tolist() == [[1, 2, 22, 9], [1, 2, 10, 8], [0, 0, 4, 4]]
    assert sorted(problem.code for problem in dataset.problems) == [
        "box-missing",
        "box-not-finite",
        "class-few",
        "outline-boxed",  # those taken as boxes, and those beside boxes
        "outline-boxed",
    ]


def test_ids_of_any_kind(make_coco: Make) -> None:
    dataset = Dataset.load(
        make_coco(
            [entry(image_id="x/1", category_id="c"), entry(image_id=2.0, category_id=1)],
            images=[{"id": "x/1", "file_name": "photos\\a.jpg"}, {"id": 2, "file_name": "b.jpg"}],
            categories=[{"id": "c", "name": "cat"}, {"id": 1, "name": "dog"}],
        )
    )
    assert [p.code for p in dataset.problems] == ["class-few"]
    assert dataset.classes == ("dog", "cat")
    assert [record.label_ids.tolist() for record in dataset] == [[1], [0]]


def test_flags_however_they_are_written(make_coco: Make) -> None:
    flags = [
        {"difficult": True, "truncated": 0},
        {"difficult": 1.0, "occluded": "yes"},
        {"difficult": "no", "truncated": True},
        ["difficult"],
        None,
    ]
    boxes = [entry(bbox=[x, 2, 3, 4], attributes=flag) for x, flag in enumerate(flags)]
    (record, _) = Dataset.load(make_coco(boxes)).records
    assert record.is_difficult.tolist() == [True, True, False, False, False]
    assert record.is_truncated.tolist() == [False, False, True, False, False]


def test_nan_costs_one_box_only(make_coco: Make) -> None:
    dataset = Dataset.load(make_coco([entry(bbox=[float("nan"), 2, 3, 4]), entry(area=np.inf)]))
    assert [problem.code for problem in dataset.problems] == [
        "box-not-finite",
        "class-unused",
        "class-few",
    ]
    assert dataset.records[0].area.tolist() == [200]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ('[{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4], "score": 0.5}]', "detections"),
        (
            '{"images": [], "annotations": [{"image_id": 1, "caption": "a"}], "categories": []}',
            "holds captions, no boxes",
        ),
        ('{"images": {}, "annotations": [], "categories": []}', "lists images, annotations"),
        ('{"images": []}', "none of 1 .json file is COCO"),
    ],
)
def test_files_that_are_no_boxes_say_what_they_are(make_coco: Make, text: str, why: str) -> None:
    root = make_coco([])
    (root / "instances.json").write_text(text)
    with pytest.raises(DatasetUnrecognised, match=why):
        Dataset.load(root)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)
IDS = st.sampled_from([0, 1, "1", 1.5, True, None, 10**400]) | JSON


def entries(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(JSON | st.fixed_dictionaries({}, optional=fields), max_size=5) | JSON


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    document=st.fixed_dictionaries(
        {
            "images": entries(id=IDS, file_name=st.just("a.jpg") | JSON, width=JSON, height=JSON),
            "categories": entries(id=IDS, name=st.just("cat") | JSON, supercategory=JSON),
            "annotations": entries(
                id=JSON,
                image_id=IDS,
                category_id=IDS,
                bbox=JSON,
                segmentation=JSON,
                area=JSON,
                iscrowd=JSON,
                attributes=JSON | st.dictionaries(st.sampled_from(["difficult"]), JSON),
            ),
        }
    )
)
def test_any_json_where_entries_should_be(tmp_path: Path, document: Any) -> None:
    (tmp_path / "a.json").write_text(json.dumps(document))
    found = read_coco(Listing(tmp_path, ("a.json",), ("a.jpg",)))
    assert isinstance(found, Contents | str)


@pytest.mark.parametrize("version", ["coco_format_v1", "coco_format_v2"])
def test_the_same_boxes_as_in_pascal_voc(shared: Path, boxes_by_image: Make, version: str) -> None:
    folder = shared / "data/formats_same100/gts"
    dataset = Dataset.load(folder / version, check_images=False)
    voc = Dataset.load(folder / "pascalvoc_format", check_images=False)
    assert sum(dataset.box_counts.values()) == 273
    assert boxes_by_image(dataset) == boxes_by_image(voc)


@pytest.mark.parametrize(
    "layout", ["coco_dataset/coco", "coco_dataset/mmdet_coco", "roboflow_dataset/coco"]
)
def test_layouts_of_other_tools(shared: Path, layout: str) -> None:
    dataset = Dataset.load(shared / "data/formats/datumaro/tests/assets" / layout)
    assert list(dataset.splits) == ["train", "val"]
    assert all(dataset.splits.values())


def test_one_split_file_of_several(shared: Path) -> None:
    folder = shared / "data/formats/datumaro/tests/assets/coco_dataset/coco"
    dataset = Dataset.load(folder / "annotations/instances_train.json")
    assert list(dataset.splits) == ["train"]
    assert dataset.names == ("images/train/a.jpg",)


def test_an_image_that_both_splits_list(make_coco: Make) -> None:
    root = make_coco([entry()])
    text = (root / "instances.json").read_text()
    for split in ("train", "val", "val_again"):
        (root / f"instances_{split}.json").write_text(text)
    (root / "instances.json").unlink()
    dataset = Dataset.load(root)
    assert dataset.splits == {"train": (0, 1), "val": (0, 1)}
    assert [p.code for p in dataset.problems if p.severity == "error"] == ["split-overlap"] * 2
    assert [p.code for p in dataset.problems].count("image-claimed-twice") == 2


def test_splits_of_any_name_are_written_and_their_names_told(
    make_coco: Make, tmp_path: Path
) -> None:
    dataset = Dataset.load(make_coco([entry()]))
    dataset = replace(dataset, splits={"../fold 1": (0,), "val": (1,), "fold_1": ()})
    lost = dataset.save(tmp_path / "out", "coco")
    assert [(problem.code, problem.file) for problem in lost] == [
        ("lost-split", "annotations/instances____fold_1.json"),
        ("lost-split", "annotations/instances_fold_1.json"),
    ]
    again = Dataset.load(tmp_path / "out")
    assert again.names == ("images/a.jpg", "images/b.jpg")
    assert again.splits == {"val": (1,)}


def test_problems_of_written_files_name_the_line_of_the_entry(
    make_coco: Make, tmp_path: Path
) -> None:
    Dataset.load(make_coco([entry(), entry(bbox=[2, 2, 4, 4])])).save(tmp_path / "out", "coco")
    path = tmp_path / "out/annotations/instances.json"
    path.write_text(path.read_text().replace("[2, 2, 4, 4]", "[2, 2, -4, 4]"))
    found = {problem.code: problem.line for problem in Dataset.load(tmp_path / "out").problems}
    assert "[2, 2, -4, 4]" in path.read_text().splitlines()[(found["box-inverted"] or 0) - 1]


def test_pycocotools_reads_what_is_written(shared: Path, tmp_path: Path) -> None:
    dataset = Dataset.load(shared / "data/coco_val100")
    assert dataset.save(tmp_path / "out", "coco") == ()
    written = COCO(str(tmp_path / "out/annotations/instances_val.json"))
    source = COCO(str(shared / "data/coco_val100/instances_val100.json"))
    names = {cat["id"]: cat["name"] for cat in written.loadCats(written.getCatIds())}

    def boxes(coco: COCO, names: dict[int, str]) -> list[tuple[object, ...]]:
        return sorted(
            (
                coco.imgs[a["image_id"]]["file_name"],
                names[a["category_id"]],
                *a["bbox"],
                a["iscrowd"],
                a["area"],
            )
            for a in coco.anns.values()
        )

    own = {cat["id"]: cat["name"] for cat in source.loadCats(source.getCatIds())}
    assert boxes(written, names) == boxes(source, own)


def test_images_that_no_file_lists_are_told(make_coco: Make, write_photo: Make) -> None:
    root = make_coco([entry()])
    write_photo(root / "images/c.jpg")
    contents = read_coco(list_files(root))
    assert isinstance(contents, Contents)
    assert [(p.code, p.file) for p in contents.problems] == [("annotation-missing", "images/c.jpg")]
    alone = read_coco(list_files(root / "instances.json"))
    assert isinstance(alone, Contents)
    assert alone.problems == ()


def test_what_stands_beside_boxes_is_counted_and_not_kept(make_coco: Make) -> None:
    triangle = [[1, 2, 11, 2, 11, 22]]
    some = [
        entry(segmentation=triangle, keypoints=[1, 2, 2]),
        entry(segmentation={"counts": "a", "size": [3, 4]}, bbox=[5, 5, 9, 9]),
        entry(
            segmentation=triangle, bbox=[4, 5, 9, 9], area="x"
        ),  # of another kind than it should be
        entry(segmentation=[], keypoints=[], bbox=[5, 6, 9, 9]),
        entry(segmentation=None, bbox=[5, 7, 9, 9]),
    ]
    contents = read_coco(list_files(make_coco(some)))
    assert isinstance(contents, Contents)
    (problem,) = contents.problems
    assert (problem.code, problem.severity) == ("outline-boxed", "info")
    assert "3 segmentation(s) and 1 set(s) of keypoints" in problem.message


def test_a_box_of_zeros_is_none_where_a_polygon_is(make_coco: Make) -> None:
    polygon = entry(bbox=[0, 0, 0, 0], segmentation=[[1, 2, 11, 2, 11, 22]])
    contents = read_coco(list_files(make_coco([polygon, entry(bbox=[0, 0, 0, 0])])))
    assert isinstance(contents, Contents)
    assert [box.box_xyxy for box in contents.images[0].boxes] == [(1, 2, 11, 22), (0, 0, 0, 0)]


def test_only_files_that_repeat_the_boxes_are_passed_over(make_coco: Make) -> None:
    root = make_coco([entry()])
    document = json.loads((root / "instances.json").read_text())
    (root / "person_keypoints_train.json").write_text(json.dumps(document))
    document["images"].pop(0)
    document["annotations"] = [entry(image_id=2, bbox=[3, 3, 4, 4])]
    (root / "batch2.json").write_text(json.dumps(document))
    (root / "instances.json").write_text(
        json.dumps({**document, "images": [{"id": 1, "file_name": "a.jpg"}], "annotations": []})
    )
    contents = read_coco(list_files(root))
    assert isinstance(contents, Contents)
    assert [len(raw.boxes) for raw in contents.images] == [0, 1]
    assert [(p.code, p.severity, p.file) for p in contents.problems] == [
        ("coco-other", "info", "person_keypoints_train.json")
    ]
    (root / "instances.json").unlink()
    (root / "batch2.json").unlink()
    alone = read_coco(list_files(root))
    assert isinstance(alone, Contents)
    assert [len(raw.boxes) for raw in alone.images] == [1, 0]


def test_numbers_written_as_text(make_coco: Make) -> None:
    some = [
        entry(bbox=["1", "2.5", 10, "20"]),
        entry(bbox=["5", 5, 4, 4]),
        entry(bbox=["x", 1, 2, 3]),
    ]
    contents = read_coco(list_files(make_coco(some)))
    assert isinstance(contents, Contents)
    boxes = [box.box_xyxy for box in contents.images[0].boxes]
    assert boxes[:2] == [(1, 2.5, 11, 22.5), (5, 5, 9, 9)]
    assert np.isnan(boxes[2][0])
    (problem,) = contents.problems
    assert (problem.code, problem.severity) == ("number-quoted", "warning")
    assert "3 bbox(es), ['1', '2.5', 10, '20'] first" in problem.message
