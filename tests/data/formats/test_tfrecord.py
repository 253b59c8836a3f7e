"""TFRecord: real files with their known boxes, every fault told, and what other tools read."""

from __future__ import annotations

import csv
import io
import os
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import PyRecordReader_New

from sightline.data.dataset import Dataset
from sightline.data.formats import tfrecord
from sightline.data.formats.example import Example, read_example, write_example
from sightline.data.formats.labelmap import write_label_map
from sightline.data.formats.record_file import read_records, write_record
from sightline.data.formats.tfrecord_fields import FIELDS
from sightline.data.staging import name_copies
from sightline.errors import DatasetError, DatasetUnrecognised, SightlineError

Make = Callable[..., Any]
BOX = {
    "image/object/bbox/xmin": [0.25],
    "image/object/bbox/ymin": [0.5],
    "image/object/bbox/xmax": [0.5],
    "image/object/bbox/ymax": [1.0],
}
SAME100 = "data/formats_same100/gts"


def photo(seed: int = 0, form: str = "JPEG", **options: Any) -> bytes:
    """40 x 30 pixels of soft noise."""
    noise = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).resize((40, 30)).save(file, form, **options)
    return file.getvalue()


PHOTO = photo()


def image(name: str = "a.jpg", encoded: bytes = PHOTO, **others: Sequence[Any]) -> Example:
    """One photo with one box of a cat; `others` are further features, "/" written as "__"."""
    texts: dict[str, Sequence[bytes]] = {
        "image/encoded": [encoded],
        "image/filename": [name.encode()],
        "image/object/class/text": [b"cat"],
    }
    floats: dict[str, Sequence[float]] = dict(BOX)
    integers: dict[str, Sequence[int]] = {}
    kinds: dict[type, dict[str, Any]] = {bytes: texts, float: floats, int: integers}
    for word, values in others.items():
        key = f"image/{word.replace('__', '/')}"
        for kind in (texts, floats, integers):
            kind.pop(key, None)
        if values:
            kinds[type(values[0])][key] = values
    return Example(texts, floats, integers)


def write(path: Path, *images: Example | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        for one in images:
            write_record(file, one if isinstance(one, bytes) else write_example(one))
    return path


def load(path: Path) -> Dataset:
    return Dataset.load(path, check_images=False)


def told(dataset: Dataset, *ignored: str) -> list[tuple[str, str, str]]:
    passed = {"no-boxes", "class-unused", "class-few", "class-imbalance", "box-tiny", *ignored}
    return [(p.code, p.file, p.message) for p in dataset.problems if p.code not in passed]


def by_name(dataset: Dataset) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name.rpartition("/")[2]: [
            (dataset.classes[label], *box)
            for label, box in zip(record.label_ids, record.boxes_xyxy.tolist(), strict=True)
        ]
        for name, record in zip(dataset.names, dataset.records, strict=True)
    }


def largest_difference(first: Dataset, second: Dataset) -> float:
    """Of the corners, in px; everything else has to be equal."""
    ours, theirs = by_name(first), by_name(second)
    assert ours.keys() == theirs.keys()
    most = 0.0
    for name, boxes in ours.items():
        pairs = list(zip(sorted(boxes), sorted(theirs[name]), strict=True))
        assert [a[0] for a, _ in pairs] == [b[0] for _, b in pairs]
        most = max(
            [most, *(abs(p - q) for a, b in pairs for p, q in zip(a[1:], b[1:], strict=True))]
        )
    return most


# Real files


def test_raccoon_is_as_its_csv(shared: Path) -> None:
    folder = shared / "data/raccoon"
    dataset = load(folder / "data/test.record")
    rows = defaultdict(list)
    with (folder / "data/test_labels.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            corners = (float(row[key]) for key in ("xmin", "ymin", "xmax", "ymax"))
            rows[row["filename"]].append((row["class"], *corners))
    assert len(rows) == len(dataset) == 40
    assert sum(map(len, rows.values())) == sum(dataset.box_counts.values()) == 44
    for name, boxes in by_name(dataset).items():
        for ours, theirs in zip(sorted(boxes), sorted(rows[name]), strict=True):
            # Shares as float32: 2**-25 of up to 1024 px.
            assert ours[1:] == pytest.approx(theirs[1:], rel=0, abs=1024 * 2**-25)
    assert {name: len(indices) for name, indices in dataset.splits.items()} == {"test": 40}
    for record in dataset:
        assert record.image.read_bytes() == (folder / "images" / record.name).read_bytes()


def test_the_same_100_images_as_in_voc(shared: Path) -> None:
    records = load(shared / SAME100 / "tfrecord_format")
    voc = load(shared / SAME100 / "pascalvoc_format")
    assert sum(records.box_counts.values()) == 273
    assert records.classes[:3] == ("person", "cat", "boat")  # by id in the label map
    assert largest_difference(records, voc) <= 500 * 2**-25  # images of 500 px
    alone = load(shared / SAME100 / "tfrecord_format/default.tfrecord")
    assert alone.fingerprint() == records.fingerprint()


def test_pets(shared: Path) -> None:
    dataset = load(shared / "data/tfod_samples/records/pets_examples.record")
    assert (len(dataset), sum(dataset.box_counts.values())) == (10, 10)
    # The label map beside is another data set's; labels 11, 12, ..., 33, 37 give the order.
    assert dataset.classes[0] == "chihuahua"
    assert dataset.classes[-2:] == ("Siamese", "yorkshire_terrier")
    assert [code for code, _, _ in told(dataset)] == ["class-not-in-map"]


def test_datumaro(shared: Path) -> None:
    dataset = load(shared / "data/formats/datumaro/tests/assets/tf_detection_api_dataset")
    assert dataset.classes == tuple(f"label_{number}" for number in range(10))
    assert {name: len(indices) for name, indices in dataset.splits.items()} == {
        "train": 1, "val": 1, "test": 1,
    }  # fmt: skip
    assert by_name(dataset)["1.jpg"] == [("label_2", 0, 4, 4, 12), ("label_3", 0, 4, 4, 8)]
    assert told(dataset) == [
        (
            "class-empty",
            "train.tfrecord",
            "record 1 (byte 0): box 3 has no text, and label 0; left out",
        )
    ]


def test_records_whose_images_are_nowhere(shared: Path) -> None:
    dataset = load(shared / "data/formats/datumaro/tests/assets/roboflow_dataset/tfrecord")
    assert (len(dataset), dataset.classes) == (0, ("label_0", "label_1"))
    assert told(dataset)[0] == (
        "image-missing",
        "train/train.tfrecord",
        "record 1 (byte 0): holds no image, and 'train_001.jpg' is not in the folder",
    )
    assert len(told(dataset)) == 3


# Which files


@pytest.mark.parametrize(
    ("name", "splits"),
    [
        ("train.record", ["train"]),
        ("coco_val.record", ["val"]),
        ("x.tfrecord", []),
        ("X.TFRecord", []),
        ("x.tfrecords", []),
        ("valid/Cats.tfrecord", ["val"]),
        ("coco_train.record-00000-of-00010", ["train"]),
        ("train-00000-of-01024", ["train"]),
        ("test.tfrecord-00003-of-00004", ["test"]),
    ],
)
def test_names_of_record_files(tmp_path: Path, name: str, splits: list[str]) -> None:
    write(tmp_path / name, image())
    dataset = load(tmp_path)
    assert (dataset.format, list(dataset.splits), dataset.names) == ("tfrecord", splits, ("a.jpg",))
    assert dataset.root == tmp_path
    assert by_name(load(tmp_path / name)) == by_name(dataset)


def test_a_file_given_itself_may_be_called_anything(tmp_path: Path) -> None:
    path = write(tmp_path / "cats.data.bin", image())
    assert by_name(load(path)) == {"a.jpg": [("cat", 10, 15, 20, 30)]}
    (tmp_path / "more.bin").touch()
    with pytest.raises(DatasetUnrecognised, match="only other files"):
        load(tmp_path)


def test_shards_are_one_data_set_and_names_are_told_apart(tmp_path: Path) -> None:
    for shard in range(3):
        one = image("a.jpg", photo(shard))
        two = image(f"{shard}/b.jpg", photo(9 + shard))
        write(tmp_path / f"train.record-0000{shard}-of-00003", one, two)
    dataset = load(tmp_path)
    names = ("1_b.jpg", "2_b.jpg", "a-2.jpg", "a-3.jpg", "a.jpg", "b.jpg")
    assert dataset.names == names
    assert dataset.splits == {"train": tuple(range(6))}
    assert {r.image.read_bytes() for r in dataset} == {photo(s) for s in (0, 1, 2, 9, 10, 11)}


def test_a_shard_that_is_not_there_is_told(tmp_path: Path) -> None:
    for shard in (1, 2):
        write(tmp_path / f"train.record-0000{shard}-of-00005", image("a.jpg", photo(shard)))
    write(tmp_path / "val-00000-of-00001", image("b.jpg", photo(9)))
    dataset = load(tmp_path)
    message = "this shard of 5 is not there, nor are 2 more: its images are missing"
    assert told(dataset) == [("shard-missing", "train.record-00000-of-00005", message)]
    # Who names one shard means it.
    assert told(load(tmp_path / "train.record-00001-of-00005")) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"1 file\(s\), no image in them \(not one record\)"),
        (b"no records", r"record 1 \(byte 0\): the file ends within its header"),
        (b"no records, and longer than that", r"the checksum of its length is wrong"),
        (b"\x1f\x8b\x08" + bytes(30), "compressed with gzip; unpack it first"),
    ],
)
def test_what_is_no_record_file(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.record").write_bytes(content)
    for path in (tmp_path, tmp_path / "a.record"):
        with pytest.raises(DatasetUnrecognised, match=message):
            load(path)


def test_records_of_something_else(tmp_path: Path) -> None:
    # A TensorBoard event file is framed alike; other Examples have other fields.
    event = b"\x09" + bytes(8) + b"\x1a\x0dbrain.Event:2"
    other = write_example(Example({"text": [b"a"]}, {}, {"label": [1]}))
    for content, why in [(event, "has neither"), (other, "has neither"), (b"\xff" * 9, "is no tf")]:
        with pytest.raises(DatasetUnrecognised, match=rf"1 of 1 record\(s\) left out; .* {why}"):
            load(write(tmp_path / "a.record", content))


def test_a_folder_of_another_format_with_records_beside(
    make_voc: Make, voc_object: Make, tmp_path: Path
) -> None:
    root = make_voc({"a.jpg": voc_object("dog", 1, 2, 9, 9)})
    write(root / "train.record", image())
    assert load(root).format == "voc"
    assert load(root / "train.record").format == "tfrecord"


# Images


def test_images_are_unpacked_once(tmp_path: Path, data_cache: Path) -> None:
    path = write(tmp_path / "a.record", image())
    (record,) = load(path)
    assert record.image.is_relative_to(data_cache)
    record.image.write_bytes(photo(5))  # would be seen if it were read again
    assert load(path)[0].image.read_bytes() == photo(5)
    write(path, image(encoded=photo(6)), image("b.jpg"))
    again = load(path)
    assert [r.image.read_bytes() for r in again] == [photo(6), PHOTO]
    assert not record.image.exists() or record.image == again[0].image


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("two words.jpg", "two words.jpg"),
        ("имя é.JPEG", "имя é.JPEG"),
        ("v1.2.final.jpg", "v1.2.final.jpg"),
        ("photo", "photo.jpg"),
        ("v1.2", "v1.2.jpg"),
        ("a.png", "a.png"),  # what it is, its bytes say
        ("../../etc/passwd", "passwd.jpg"),
        ("/abs/a.jpg", "a.jpg"),
        ("C:\\photos\\a.jpg", "a.jpg"),
        ("..", "image.jpg"),
        ("a/..", "image.jpg"),
        (".jpg", "jpg.jpg"),
        ("a\0b\n.jpg", "a_b_.jpg"),
        ("x" * 400 + ".jpg", "x" * 180 + ".jpg"),
        ("é" * 400 + ".jpg", "é" * 90 + ".jpg"),
        ("", "cats-00001.jpg"),
    ],
)
def test_names_are_made_safe(tmp_path: Path, said: str, name: str) -> None:
    dataset = load(write(tmp_path / "cats.record", image(said)))
    assert dataset.names == (name,)
    assert dataset[0].image.name == name
    assert dataset[0].image.read_bytes() == PHOTO


def test_names_without_an_ending_get_that_of_their_bytes(tmp_path: Path) -> None:
    forms = ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"]
    images = [image(form.lower(), photo(0, form)) for form in forms]
    dataset = load(write(tmp_path / "a.record", *images, image("none", b"no image")))
    assert dataset.names == ("bmp.bmp", "gif.gif", "jpeg.jpg", "png.png", "tiff.tif", "webp.webp")
    assert told(dataset) == [
        (
            "image-unreadable",
            "none.jpg",
            "is text; JPEG, PNG, WebP, GIF, BMP and TIFF are taken; left out",
        )
    ]


def test_the_source_id_is_a_name_too(tmp_path: Path) -> None:
    one = image("", source_id=[b"000123"])
    assert load(write(tmp_path / "a.record", one)).names == ("000123.jpg",)


def test_an_image_without_bytes_is_the_one_in_the_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images/b.jpg").write_bytes(photo(1))
    outside, alone = image("../b.jpg", b""), image("b", b"")
    write(tmp_path / "a.record", outside)
    dataset = load(tmp_path)
    assert dataset.names == ("images/b.jpg",)
    assert dataset[0].image == tmp_path / "images/b.jpg"
    assert [code for code, _, _ in told(dataset)] == ["filename-outside"]
    assert by_name(load(write(tmp_path / "a.record", alone))) == by_name(dataset)
    # Beside images that have bytes it joins them.
    mixed = load(write(tmp_path / "a.record", image("b.jpg"), alone))
    assert mixed.names == ("b.jpg", "images_b.jpg")
    assert [record.image.read_bytes() for record in mixed] == [PHOTO, photo(1)]


def test_a_name_that_two_images_have_is_told(tmp_path: Path) -> None:
    for number, folder in enumerate(("one", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "b.jpg").write_bytes(photo(number))
    dataset = load(write(tmp_path / "a.record", image("b.jpg", b"")))
    assert [record.image for record in dataset] == [tmp_path / "one" / "b.jpg"]
    assert "image-ambiguous" in {code for code, _, _ in told(dataset)}


def test_an_image_in_two_splits(tmp_path: Path) -> None:
    write(tmp_path / "train.record", image(), image("b.jpg", photo(1)))
    write(tmp_path / "val.record", image())
    dataset = load(tmp_path)
    assert dataset.names == ("a.jpg", "b.jpg")
    assert dataset.splits == {"train": (0, 1), "val": (0,)}
    other = image(object__class__text=[b"dog"])
    write(tmp_path / "val.record", other)
    dataset = load(tmp_path)
    assert dataset.splits == {"train": (0, 1), "val": ()}
    assert told(dataset) == [
        (
            "image-claimed-twice",
            "val.record",
            "record 1 (byte 0): a.jpg stands before, in train.record; the boxes there are kept",
        )
    ]


def test_the_same_name_for_other_bytes_is_another_image(tmp_path: Path) -> None:
    write(tmp_path / "train.record", image())
    write(tmp_path / "val.record", image(encoded=photo(1)))
    dataset = load(tmp_path)
    assert dataset.names == ("a-2.jpg", "a.jpg")
    assert dataset.splits == {"train": (1,), "val": (0,)}


# Classes


def test_the_label_map_orders_and_names_the_classes(tmp_path: Path) -> None:
    text = "item { id: 7 name: 'n1' display_name: 'Cat' } item { id: 2 name: 'dog' }"
    (tmp_path / "labelmap.pbtxt").write_text(f"item {{ id: 9 name: 'never' }} {text}")
    for said in ("n1", "Cat", ""):
        one = image(object__class__text=[said.encode()], object__class__label=[7])
        dataset = load(write(tmp_path / "a.record", one))
        assert dataset.classes == ("dog", "Cat", "never")
        assert by_name(dataset) == {"a.jpg": [("Cat", 10, 15, 20, 30)]}
        assert told(dataset) == []
        assert load(tmp_path / "a.record").classes == dataset.classes


def test_text_and_label_that_mean_different_classes(tmp_path: Path) -> None:
    (tmp_path / "labelmap.pbtxt").write_text(write_label_map(["cat", "dog"]))
    two = {key: values * 2 for key, values in BOX.items()}
    one = image(object__class__text=[b"cat", b"bird"], object__class__label=[2, 3])
    one = replace(one, floats={**two, "image/object/bbox/xmin": [0.0, 0.1]})
    dataset = load(write(tmp_path / "a.record", one))
    assert dataset.classes == ("cat", "dog", "bird")
    assert dataset.box_counts == {"cat": 1, "dog": 0, "bird": 1}
    assert told(dataset) == [
        (
            "class-not-in-map",
            "labelmap.pbtxt",
            "has no item for 'bird' of the records: taken as classes",
        ),
        (
            "class-contradicts",
            "labelmap.pbtxt",
            "1 box(es) of the records have a label that means another class than their text "
            "(first 'cat' with label 2, 'dog'); the text counts",
        ),
    ]


def test_labels_order_the_classes_where_there_is_no_map(tmp_path: Path) -> None:
    images = [
        image(
            f"{text}.jpg",
            photo(number),
            object__class__text=[text.encode()],
            object__class__label=[number],
        )
        for number, text in ((3, "ant"), (1, "cat"), (2, "bee"))
    ]
    last = image("z.jpg", photo(9), object__class__text=[b"ape"])
    dataset = load(write(tmp_path / "a.record", last, *images))
    assert dataset.classes == ("cat", "bee", "ant", "ape")


def test_numbers_are_names_where_nothing_else_is(tmp_path: Path) -> None:
    one = image(object__class__text=[], object__class__label=[0])
    two = image("b.jpg", photo(1), object__class__text=[], object__class__label=[12])
    dataset = load(write(tmp_path / "a.record", one, two))
    assert dataset.classes == ("0", "12")
    message = "no label map (.pbtxt) beside it: classes are called by their numbers"
    assert told(dataset) == [
        ("labelmap-missing", "a.record", message),
    ]


def test_which_label_map(tmp_path: Path) -> None:
    one = image(object__class__text=[], object__class__label=[1])
    write(tmp_path / "train/a.record", one)
    (tmp_path / "graph.pbtxt").write_text('node { name: "input" op: "Placeholder" }')
    (tmp_path / "annotations").mkdir()
    (tmp_path / "annotations/map.pbtxt").write_text(write_label_map(["far"]))
    assert load(tmp_path).classes == ("far",)
    (tmp_path / "a.pbtxt").write_text(write_label_map(["above"]))
    assert load(tmp_path).classes == ("above",)
    (tmp_path / "train/x.pbtxt").write_text(write_label_map(["beside"]))
    assert load(tmp_path).classes == ("beside",)
    (tmp_path / "train/y_label_map.pbtxt").write_text(write_label_map(["called so"]))
    dataset = load(tmp_path)
    assert dataset.classes == ("called so",)
    assert told(dataset) == [
        (
            "labelmap-several",
            "train/y_label_map.pbtxt",
            "is the label map that is used, not train/x.pbtxt",
        )
    ]


def test_a_damaged_label_map_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "labelmap.pbtxt").write_text("item { id: 1 name: 'dog' }\nitem { id: 2 name: cat\n")
    write(tmp_path / "a.record", image())
    dataset = load(tmp_path)
    assert [(p.code, p.file, p.line) for p in dataset.problems if p.severity == "error"] == [
        ("labelmap-damaged", "labelmap.pbtxt", 3)
    ]
    (tmp_path / "labelmap.pbtxt").write_bytes(b"item {\xff\xfe\0")
    assert load(tmp_path).classes == ("cat",)


# Boxes, and faults in them


def test_flags_and_area(tmp_path: Path) -> None:
    for key, flag in [
        ("difficult", "is_difficult"),
        ("truncated", "is_truncated"),
        ("group_of", "is_crowd"),
        ("is_crowd", "is_crowd"),
    ]:
        (record,) = load(write(tmp_path / "a.record", image(**{f"object__{key}": [1]})))
        flags = {
            name for name in ("is_difficult", "is_truncated", "is_crowd") if getattr(record, name)
        }
        assert flags == {flag}
    (record,) = load(write(tmp_path / "a.record", image(object__area=[50.0])))
    assert record.area.tolist() == [50]
    (record,) = load(write(tmp_path / "a.record", image(object__area=[float("nan")])))
    assert record.area.tolist() == [150]


def test_lists_of_unequal_length(tmp_path: Path) -> None:
    one = image(object__bbox__xmin=[0.25, 0.1], object__difficult=[1, 0, 0])
    dataset = load(write(tmp_path / "a.record", one))
    assert by_name(dataset) == {"a.jpg": [("cat", 10, 15, 20, 30)]}
    assert told(dataset) == [
        (
            "entry-damaged",
            "a.record",
            "record 1 (byte 0): 1 box(es) are whole and read, but image/object/bbox/xmin has 2, "
            "image/object/difficult has 3 values",
        )
    ]
    none = image(object__bbox__xmin=[])
    dataset = load(write(tmp_path / "a.record", none))
    assert dataset[0].label_ids.tolist() == []
    assert "0 box(es) are whole" in told(dataset)[0][2]


def test_lists_of_the_wrong_type(tmp_path: Path) -> None:
    one = image(object__bbox__xmax=[b"0.5"], object__class__label=[b"1"], source_id=[5])
    dataset = load(write(tmp_path / "a.record", one))
    assert [message.partition(": ")[2] for _, _, message in told(dataset)] == [
        "image/object/bbox/xmax holds texts, not numbers; ignored",
        "image/object/class/label holds texts, not numbers; ignored",
        "image/source_id holds numbers, not texts; ignored",
        "0 box(es) are whole and read, but image/object/bbox/xmin has 1, image/object/bbox/ymin "
        "has 1, image/object/bbox/ymax has 1, image/object/class/text has 1 values",
    ]
    # Whole numbers where fractions should be are numbers all the same.
    whole = image(object__bbox__xmin=[0], object__class__label=[1.0], height=[30.0], width=[40])
    dataset = load(write(tmp_path / "a.record", whole))
    assert by_name(dataset) == {"a.jpg": [("cat", 0, 15, 20, 30)]}
    assert told(dataset) == []


@pytest.mark.parametrize(
    ("edge", "code"),
    [
        (float("nan"), "box-not-finite"),
        (3.0, "box-cut"),
        (0.25, "box-empty"),
        (0.1, "box-inverted"),
    ],
)
def test_boxes_are_checked_as_those_of_other_formats(
    tmp_path: Path, edge: float, code: str
) -> None:
    dataset = load(write(tmp_path / "a.record", image(object__bbox__xmax=[edge])))
    assert [found for found, _, _ in told(dataset)] == [code]
    assert all("a.jpg" in message for _, _, message in told(dataset))


def test_boxes_without_a_class_are_told_once_a_record(tmp_path: Path) -> None:
    three = {key: values * 3 for key, values in BOX.items()}
    one = replace(image(object__class__text=[b"cat", b"", b" "]), floats=three)
    dataset = load(write(tmp_path / "a.record", one))
    assert by_name(dataset) == {"a.jpg": [("cat", 10, 15, 20, 30)]}
    assert told(dataset) == [
        (
            "class-empty",
            "a.record",
            "record 1 (byte 0): box 2 has neither text nor label, 1 more likewise; left out",
        )
    ]


def test_names_without_end_are_cut(tmp_path: Path) -> None:
    one = image("a" * 10**6 + ".jpg", b"", object__class__text=[b"b" * 10**6])
    dataset = load(
        write(tmp_path / "a.record", one, image("c.jpg", object__class__text=[b"c" * 10**6]))
    )
    assert dataset.classes == ("b" * 1000, "c" * 1000)
    assert max(len(message) for _, _, message in told(dataset)) < 1100


def test_a_size_that_is_not_the_images(tmp_path: Path) -> None:
    dataset = load(write(tmp_path / "a.record", image(width=[80], height=[60])))
    assert [code for code, _, _ in told(dataset)] == ["size-differs"]
    assert by_name(dataset) == {"a.jpg": [("cat", 10, 15, 20, 30)]}  # shares of what it is


def test_a_damaged_record_costs_itself_alone(tmp_path: Path) -> None:
    images = [image(f"{number}.jpg", photo(number)) for number in range(4)]
    path = write(tmp_path / "a.record", *images[:2], b"\x0a\xff", b"", *images[2:])
    starts = [start for start, _ in read_records(path)]
    data = bytearray(path.read_bytes())
    data[starts[1] + 300] ^= 1
    path.write_bytes(data)
    dataset = load(path)
    assert dataset.names == ("0.jpg", "2.jpg", "3.jpg")
    assert told(dataset) == [
        (
            "record-damaged",
            "a.record",
            f"record 2 (byte {starts[1]}): its checksum is wrong; left out",
        ),
        (
            "entry-damaged",
            "a.record",
            f"2 of 6 record(s) left out; record 3 (byte {starts[2]}) is no tf.train.Example: "
            "the number at byte 1 has no end",
        ),
    ]
    os.truncate(path, starts[4] + 50)
    dataset = load(path)
    assert dataset.names == ("0.jpg",)
    assert told(dataset)[1][2].startswith(f"record 5 (byte {starts[4]}): it has ")


VALUES = (
    st.lists(st.binary(max_size=8) | st.just(PHOTO), max_size=3),
    st.lists(st.floats(width=32), max_size=3),
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
)


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    chosen=st.dictionaries(st.sampled_from(sorted(FIELDS)), st.integers(0, 2), max_size=8),
    data=st.data(),
)
def test_any_features_give_sound_boxes_or_problems(
    tmp_path: Path, chosen: Mapping[str, int], data: st.DataObject
) -> None:
    base = image()
    kinds: list[dict[str, Any]] = [dict(base.texts), dict(base.floats), dict(base.integers)]
    for key, kind in chosen.items():
        for others in kinds:
            others.pop(key, None)
        kinds[kind][key] = data.draw(VALUES[kind])
    good = image("good.jpg", photo(1))
    path = tmp_path / "a.record"
    path.unlink(missing_ok=True)
    dataset = load(write(path, Example(*kinds), good))
    assert by_name(dataset)["good.jpg"] == [("cat", 10, 15, 20, 30)]
    for record in dataset:
        edges = record.boxes_xyxy
        assert np.isfinite(edges).all() and (edges[:, :2] < edges[:, 2:]).all()
        assert (edges >= 0).all() and (edges <= (40, 30) * 2).all()


@settings(
    deadline=None, max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(places=st.lists(st.tuples(st.floats(0, 1), st.binary(min_size=1, max_size=4)), max_size=3))
def test_any_damage_is_read_or_refused(tmp_path: Path, places: list[tuple[float, bytes]]) -> None:
    inside = bytearray(write_example(image(encoded=PHOTO[:20])))
    for place, new in places:
        start = int(place * len(inside))
        inside[start : start + len(new)] = new
    path = tmp_path / "a.record"
    path.unlink(missing_ok=True)
    dataset = load(write(path, image("good.jpg"), bytes(inside)))
    assert "good.jpg" in dataset.names


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(content=st.binary(max_size=300), text=st.text(max_size=100))
def test_any_bytes_raise_our_own_errors_alone(tmp_path: Path, content: bytes, text: str) -> None:
    (tmp_path / "a.record").unlink(missing_ok=True)
    (tmp_path / "a.record").write_bytes(content)
    with pytest.raises(SightlineError):
        load(tmp_path)
    (tmp_path / "b.pbtxt").write_text(f"item {{ {text}", "utf-8", errors="replace")
    write(tmp_path / "a.record", image())
    assert by_name(load(tmp_path)).keys() == {"a.jpg"}


def test_many_records_of_one_name_are_told_apart_in_linear_time() -> None:
    # Were all numbers tried again for each, this would take as many minutes as it takes seconds.
    assert len(set(name_copies(["a.jpg"] * 50_000))) == 50_000


# Writing


@pytest.fixture
def three(tmp_path: Path, make_voc: Make, voc_object: Make) -> Dataset:
    root = make_voc(
        {
            "a.jpg": voc_object("cat", 1, 2.5, 20, 21),
            "b.jpg": "",
            "c.jpg": voc_object("dog", 0, 0, 40, 30),
        }
    )
    return load(root)


def read_as_tensorflow_would(path: Path) -> list[Example]:
    """The Examples that TensorBoard's reader finds, which checks the checksums itself."""
    reader, found = PyRecordReader_New(str(path)), []
    while True:
        try:
            reader.GetNext()
        except Exception:  # its own kind of OutOfRangeError
            return found
        found.append(read_example(memoryview(reader.record()), _Every()))


class _Every(Sequence[str]):
    def __contains__(self, key: object) -> bool:
        return True

    def __len__(self) -> int:
        return 0

    def __getitem__(self, index: Any) -> Any:
        raise IndexError


def test_fields_are_those_of_the_apis_own_samples(
    three: Dataset, tmp_path: Path, shared: Path
) -> None:
    three.save(tmp_path / "out", "tfrecord")
    (theirs, *_) = read_as_tensorflow_would(
        shared / "data/tfod_samples/records/pets_examples.record"
    )
    (ours, *_) = read_as_tensorflow_would(tmp_path / "out/data.record")
    assert {*theirs.texts} - {*ours.texts} == {"image/object/view"}  # nobody's training uses it
    assert ours.texts.keys() <= theirs.texts.keys()
    assert ours.floats.keys() == theirs.floats.keys()
    assert {*ours.integers} - {*theirs.integers} == {"image/object/group_of"}
    assert theirs.integers.keys() <= ours.integers.keys()
    assert ours.texts["image/format"] == [b"jpeg"] == theirs.texts["image/format"]
    assert ours.texts["image/encoded"] == [three[0].image.read_bytes()]
    assert (tmp_path / "out/labelmap.pbtxt").read_text() == write_label_map(["cat", "dog"])


def test_splits_are_files_and_what_is_in_none_has_its_own(three: Dataset, tmp_path: Path) -> None:
    split = replace(three, splits={"train": (0, 1), "val": (1,), "test": ()})
    assert split.save(tmp_path / "out", "tfrecord") == ()
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "data.record", "labelmap.pbtxt", "test.record", "train.record", "val.record",
    ]  # fmt: skip
    again = load(tmp_path / "out")
    assert again.splits == {"train": (0, 1), "val": (1,), "test": ()}
    assert again.names == ("a.jpg", "b.jpg", "c.jpg")
    assert largest_difference(three, again) <= 40 * 2**-25


def test_splits_that_no_name_speaks_of(three: Dataset, tmp_path: Path) -> None:
    odd = replace(three, splits={"data": (0,), "fold": (1,)})
    lost = odd.save(tmp_path / "out", "tfrecord")
    assert [(p.code, p.file) for p in lost] == [
        ("lost-split", "data.record"), ("lost-split", "fold.record"),
    ]  # fmt: skip
    again = load(tmp_path / "out")
    assert (len(again), again.splits) == (3, {})


def test_shards(three: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = max(record.image.stat().st_size for record in three)
    monkeypatch.setattr(tfrecord, "_SHARD_BYTES", size)
    three.save(tmp_path / "out", "tfrecord")
    files = sorted(path.name for path in (tmp_path / "out").glob("*.record*"))
    assert files == [f"data.record-0000{number}-of-00003" for number in range(3)]
    assert [len(read_as_tensorflow_would(tmp_path / "out" / file)) for file in files] == [1, 1, 1]
    assert largest_difference(three, load(tmp_path / "out")) <= 40 * 2**-25


@given(
    width=st.integers(1, 65_535),
    edges=st.tuples(st.floats(0, 1), st.floats(0, 1)),
)
def test_the_precision_that_is_said(width: int, edges: tuple[float, float]) -> None:
    for share in edges:
        edge = share * width
        again = float(np.float32(edge / width)) * width
        assert abs(again - edge) <= width * 2**-25 * (1 + 2**-20)


def test_what_tensorflow_would_not_read(three: Dataset, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    for record, content in zip(
        three, [photo(1, exif=exif.tobytes()), photo(2, "WEBP"), photo(3, "PNG")], strict=True
    ):
        record.image.write_bytes(content)
    turned = load(three.root)
    lost = turned.save(tmp_path / "out", "tfrecord")
    assert [(p.severity, p.code, p.file) for p in lost] == [
        ("info", "lost-upright", "JPEGImages/a.jpg"),
        ("info", "lost-format", "JPEGImages/b.jpg"),
    ]
    again = load(tmp_path / "out")
    assert [(r.width, r.height) for r in again] == [(30, 40), (40, 30), (40, 30)]
    assert largest_difference(turned, again) <= 40 * 2**-25
    assert [r.image.read_bytes() for r in again] == [r.image.read_bytes() for r in turned]


def test_nothing_is_left_of_what_could_not_be_written(three: Dataset, tmp_path: Path) -> None:
    three[1].image.unlink()
    with pytest.raises(DatasetError):
        three.save(tmp_path / "out", "tfrecord")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith("out")]
