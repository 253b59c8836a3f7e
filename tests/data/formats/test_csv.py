"""CSV: the nine columns by any name and in any encoding, faulty rows, splits, writing."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sightline.data.dataset import Dataset
from sightline.data.formats.contents import Contents, RawImage
from sightline.data.formats.csv import COLUMNS, read_csv
from sightline.data.formats.listing import Listing, list_files
from sightline.errors import DatasetUnrecognised

IMAGES = ("a.jpg", "b.jpg", "é.jpg", "x,y.jpg")
HEADER = ",".join(COLUMNS)
ROWS = [
    ("a.jpg", 40, 30, "cat", 1, 2, 11, 22, ""),
    ("b.jpg", 40, 30, "café", 0.5, 0, 3.25, 4, ""),
    ("a.jpg", 40, 30, "dog", 5, 6, 7, 8, ""),
    ("é.jpg", 40, 30, "", "", "", "", "", ""),
]
BOXES = {
    "a.jpg": [("cat", 1, 2, 11, 22), ("dog", 5, 6, 7, 8)],
    "b.jpg": [("café", 0.5, 0, 3.25, 4)],
    "é.jpg": [],
}


def read_bytes(**files: bytes) -> Contents | str:
    """What is read from files of that content beside `IMAGES`, which nobody opens."""
    with TemporaryDirectory() as folder:
        for name, data in files.items():
            Path(folder, f"{name}.csv").write_bytes(data)
        names = tuple(sorted(f"{name}.csv" for name in files))
        return read_csv(Listing(Path(folder), names, IMAGES))


def read_text(**files: str) -> Contents:
    contents = read_bytes(**{name: text.encode() for name, text in files.items()})
    assert isinstance(contents, Contents), contents
    return contents


def boxes_of(contents: Contents) -> dict[str, list[tuple[object, ...]]]:
    return {raw.image: [(box.label, *box.box_xyxy) for box in raw.boxes] for raw in contents.images}


def faults(contents: Contents) -> list[tuple[str, int | None]]:
    return [(problem.code, problem.line) for problem in contents.problems if problem.line]


def by_image(contents: Contents) -> dict[str, RawImage]:
    return {raw.image: raw for raw in contents.images}


@settings(deadline=None)
@given(
    columns=st.permutations(range(9)),
    kept=st.sampled_from([range(9), range(8), (0, 3, 4, 5, 6, 7)]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1"]),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    has_commas=st.booleans(),
    blank=st.sampled_from(["", "{end}", "{end} {end}"]),
)
def test_order_encoding_separator_and_line_ends_change_nothing(
    columns: list[int],
    kept: range | tuple[int, ...],
    encoding: str,
    separator: str,
    end: str,
    quoting: Any,
    has_commas: bool,
    blank: str,
) -> None:
    columns = [column for column in columns if column in kept]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=separator, lineterminator=end, quoting=quoting)
    for row in (COLUMNS, *ROWS):
        shown = [str(value) for value in row]
        if has_commas:
            shown[4:8] = [value.replace(".", ",") for value in shown[4:8]]
        writer.writerow([shown[column] for column in columns])
    contents = read_bytes(some=(blank.format(end=end) + text.getvalue()).encode(encoding))
    assert isinstance(contents, Contents), contents
    assert boxes_of(contents) == BOXES
    sizes = {raw.said_size for raw in contents.images}
    assert sizes == ({(40.0, 30.0)} if 1 in kept else {None})
    codes = {problem.code for problem in contents.problems}
    assert codes == {"annotation-missing"} | ({"decimal-comma"} if has_commas else set())


@pytest.mark.parametrize(
    "header",
    [
        "filename,width,height,class,xmin,ymin,xmax,ymax",
        "img_fName,img_w,img_h,class_label,bbx_xtl,bbx_ytl,bbx_xbr,bbx_ybr",
        "Image Name, Image Width, Image Height, Label, X_Min, Y_Min, X_Max, Y_Max",
        "image_id,id,class_id,class_name,x_min,y_min,x_max,y_max",
        "path,w,h,category,x1,y1,x2,y2",
        "file,w,h,name,x0,y0,x1,y1",
        "name,w,h,label,left,top,right,bottom",
        '"image","w","h","label","bbox_xmin","bbox_ymin","bbox_xmax","bbox_ymax"',
    ],
)
def test_other_names_of_columns(header: str) -> None:
    contents = read_text(a=f"{header}\na.jpg,40,30,cat,1,2,11,22\n")
    assert boxes_of(contents) == {"a.jpg": [("cat", 1, 2, 11, 22)]}


def test_six_columns_without_a_header() -> None:
    text = "/home/me/a.jpg,1,2,11,22,cat\nC:\\photos\\b.jpg,,,,,\n/home/me/a.jpg,5,6,7,8,dog\n"
    assert boxes_of(read_text(a=text)) == {"a.jpg": BOXES["a.jpg"], "b.jpg": []}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n",
        "filename, cat, dog\na.jpg, 1, 0\n",  # Roboflow's classes of whole images
        "/m/0,Cat\n/m/1,Dog\n",
        "ImageID,LabelName,XMin,YMin,XMax,YMax\na,/m/0,0,0,1,1\n",  # Open Images
        "cat,1,2,11,22,a.jpg\n",
        "a.jpg,1,2,11,22\n",
        "a.jpg,one,2,11,22,cat\n",
    ],
)
def test_csv_files_without_boxes_are_not_taken(text: str) -> None:
    contents = read_bytes(a=text.encode())
    assert isinstance(contents, str)
    assert "none with columns of a file name, a class and four corners" in contents


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("a.jpg,40,30,cat,1,2", "row-damaged"),
        ("a.jpg,40,30,cat,1,2,3,4,,5", "row-damaged"),
        (",40,30,cat,1,2,3,4,", "row-damaged"),
        (f"a.jpg,40,30,cat,1,2,3,4,{'x' * 140_000}", "row-damaged"),
        ("a.jpg,40,30,,1,2,3,4,", "class-empty"),
        ("a.jpg,40,30,cat,,,,,", "box-missing"),
        ("c.jpg,40,30,cat,1,2,3,4,", "image-missing"),
        ("../../etc/b.jpg,40,30,cat,1,2,3,4,", "filename-outside"),
        ("elsewhere/a.jpg,40,30,cat,1,2,3,4,", "image-claimed-twice"),
    ],
)
def test_a_faulty_row_is_reported_with_its_line_and_the_rest_is_kept(row: str, code: str) -> None:
    good = ["a.jpg,40,30,cat,1,2,11,22,", "a.jpg,40,30,dog,5,6,7,8,"]
    contents = read_text(a="\n".join([HEADER, good[0], row, good[1], ""]))
    assert faults(contents) == [(code, 3)]
    assert boxes_of(contents)["a.jpg"] == BOXES["a.jpg"]


def test_corners_that_are_no_numbers(tmp_path: Path, write_photo: Callable[..., None]) -> None:
    write_photo(tmp_path / "a.jpg")
    rows = ["1,2,x,4", "1,2,,4", "nan,2,3,4", "1,2,1e999,4", "1,2,9,8"]
    text = "".join(f"a.jpg,40,30,cat,{row}\n" for row in rows)
    (tmp_path / "a.csv").write_text(f"{HEADER.removesuffix(',source')}\n{text}")
    dataset = Dataset.load(tmp_path)
    assert dataset.records[0].boxes_xyxy.tolist() == [[1, 2, 9, 8]]
    found = [(p.code, p.line) for p in dataset.problems if p.severity == "error"]
    assert found == [("box-not-finite", line) for line in (2, 3, 4, 5)]


def test_nuls_and_an_open_quote_harm_their_own_rows_only() -> None:
    text = f'{HEADER}\na.jpg,40,30,c\0at,1,2,3,4,\nb.jpg,40,30,dog,1,2,3,4,\nb.jpg,40,30,"dog,1\n'
    contents = read_text(a=text)
    assert boxes_of(contents) == {
        "a.jpg": [("c\ufffdat", 1, 2, 3, 4)],
        "b.jpg": [("dog", 1, 2, 3, 4)],
    }
    assert faults(contents) == [("row-damaged", 4)]


def test_blank_rows_are_nothing() -> None:
    contents = read_text(a=f"{HEADER}\n\n,,,,,,,,\n   \na.jpg,40,30,cat,1,2,11,22,\n")
    assert boxes_of(contents) == {"a.jpg": [("cat", 1, 2, 11, 22)]}
    assert faults(contents) == []


@pytest.mark.parametrize("separator", ",;\t")
def test_the_row_that_tells_excel_the_separator(separator: str) -> None:
    rows = f"{HEADER}\na.jpg,40,30,cat,1,2,11,22,\n".replace(",", separator)
    contents = read_text(a=f"sep={separator}\n{rows}")
    assert boxes_of(contents) == {"a.jpg": [("cat", 1, 2, 11, 22)]}
    assert faults(contents) == []


def test_other_columns_are_named() -> None:
    assert "; a.csv has filename, class, x, y, w, h" in str(
        read_bytes(a=b"filename;class;x;y;w;h\na.jpg;cat;1;2;3;4\n")
    )
    assert "has" not in str(read_bytes(a=b"1,2,3\n4,5,6\n"))


def test_a_million_images_that_are_not_there_are_not_a_million_problems() -> None:
    rows = "".join(f"{number}.jpg,40,30,cat,1,2,3,4,\n" * 2 for number in range(1000))
    contents = read_text(a=f"{HEADER}\n{rows}a.jpg,40,30,cat,1,2,3,4,\n")
    missing = [problem for problem in contents.problems if problem.code == "image-missing"]
    assert len(missing) == 21
    assert missing[-1].message == "the same of 980 more"
    assert list(boxes_of(contents)) == ["a.jpg"]


def test_a_name_without_its_ending_means_the_image() -> None:
    assert list(boxes_of(read_text(a=f"{HEADER}\na,40,30,cat,1,2,3,4,\n"))) == ["a.jpg"]


def splits_of(contents: Contents) -> dict[str, tuple[str, ...]]:
    return {raw.image: raw.splits for raw in contents.images}


def test_splits_are_in_the_files_names() -> None:
    a, b = "a.jpg,40,30,cat,1,2,3,4,val", "b.jpg,40,30,cat,1,2,3,4,val"
    contents = read_text(
        train_labels=f"{HEADER}\n{a}\n", test=f"{HEADER}\n{b}\n", valid=f"{HEADER}\n"
    )
    assert splits_of(contents) == {"a.jpg": ("train",), "b.jpg": ("test",)}
    assert contents.splits == ("train", "val", "test")  # an empty one is one, too


def test_splits_are_in_the_folders_names(tmp_path: Path) -> None:
    for folder in ("train", "valid"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.jpg").touch()
        text = f"filename,class,xmin,ymin,xmax,ymax\nx.jpg,{folder},1,2,3,4\n"
        (tmp_path / folder / "_annotations.csv").write_text(text)
    contents = read_csv(list_files(tmp_path))
    assert isinstance(contents, Contents)
    assert splits_of(contents) == {"train/x.jpg": ("train",), "valid/x.jpg": ("val",)}
    assert boxes_of(contents)["valid/x.jpg"] == [("valid", 1, 2, 3, 4)]


@pytest.mark.parametrize(
    ("sources", "splits"),
    [
        (("train", "Validation"), {"a.jpg": ("train",), "b.jpg": ("val",)}),
        (("train", ""), {"a.jpg": ("train",), "b.jpg": ()}),
        (("train", "Flickr"), {"a.jpg": (), "b.jpg": ()}),
        (("training photos", "test"), {"a.jpg": (), "b.jpg": ()}),
    ],
)
def test_splits_are_in_the_source_where_it_holds_nothing_else(
    sources: tuple[str, str], splits: dict[str, tuple[str, ...]]
) -> None:
    rows = [
        f"{name},40,30,cat,1,2,3,4,{source}\n" for name, source in zip("ab", sources, strict=True)
    ]
    assert splits_of(read_text(some=f"{HEADER}\n{''.join(rows)}")) == splits


def test_a_file_of_everything_beside_its_parts_does_not_double_boxes() -> None:
    a1, a2, b = "a.jpg,40,30,cat,1,2,3,4", "a.jpg,40,30,cat,5,6,7,8", "b.jpg,40,30,cat,1,2,3,4"
    contents = read_text(
        all=f"{HEADER}\n{a1}\n{b}\n{a2}\n", train=f"{HEADER}\n{a2}\n{a1}\n", test=f"{HEADER}\n{b}\n"
    )
    assert splits_of(contents) == {"a.jpg": ("train",), "b.jpg": ("test",)}
    assert {name: len(boxes) for name, boxes in boxes_of(contents).items()} == {
        "a.jpg": 2,
        "b.jpg": 1,
    }
    assert faults(contents) == []


def test_files_that_disagree_about_an_image() -> None:
    first, other = "a.jpg,40,30,cat,1,2,3,4", "a.jpg,40,30,dog,1,2,3,4"
    contents = read_text(all=f"{HEADER}\n{first}\n", train=f"{HEADER}\n{other}\n")
    assert boxes_of(contents) == {"a.jpg": [("cat", 1, 2, 3, 4)]}
    assert [(p.code, p.file, p.line) for p in contents.problems if p.line] == [
        ("image-claimed-twice", "train.csv", 2)
    ]


def test_a_csv_of_something_else_is_named() -> None:
    contents = read_text(
        _classes="class,id\ncat,0\n", train=f"{HEADER}\na.jpg,40,30,cat,1,2,3,4,\n"
    )
    assert ("csv-other", "_classes.csv") in [(p.code, p.file) for p in contents.problems]


@given(data=st.binary(max_size=400))
def test_any_bytes(data: bytes) -> None:
    for start in (
        b"",
        HEADER.encode() + b"\n",
        b"\xff\xfe" + HEADER.encode("utf-16-le"),
        b"a.jpg,",
    ):
        read_bytes(a=start + data, train=data)


FIELDS = st.sampled_from(
    ["a.jpg", "b", "../a.jpg", "cat", "1", "2.5", "1,5", "-3", "nan", "", " ", '"', "\0", "\ud800x"]
)


@given(rows=st.lists(st.lists(FIELDS, max_size=11), max_size=8), end=st.sampled_from("\n\r"))
def test_any_fields(rows: list[list[str]], end: str) -> None:
    text = end.join(["file,label,x1,y1,x2,y2,source", *map(",".join, rows)])
    contents = read_bytes(a=text.encode("utf-8", "surrogatepass"))
    assert isinstance(contents, Contents)
    for raw in contents.images:
        assert raw.image in IMAGES
        assert all(box.label for box in raw.boxes)


def test_bccd_is_the_same_as_its_voc(shared: Path, boxes_by_image: Callable[..., Any]) -> None:
    dataset = Dataset.load(shared / "data/bccd/test.csv", check_images=False)
    assert dataset.format == "csv"
    assert list(dataset.splits) == ["test"]
    voc = Dataset.load(shared / "data/bccd/BCCD", check_images=False)
    assert boxes_by_image(dataset) == boxes_by_image(voc)
    assert sum(p.code == "box-empty" for p in dataset.problems) == 2


def test_raccoon_is_the_same_as_its_voc(shared: Path, boxes_by_image: Callable[..., Any]) -> None:
    folder = shared / "data/raccoon"
    dataset = Dataset.load(folder / "data/raccoon_labels.csv", check_images=False)
    voc = Dataset.load(folder, check_images=False)
    assert (dataset.format, voc.format) == ("csv", "voc")
    assert boxes_by_image(dataset) == boxes_by_image(voc)
    contents = read_csv(list_files(folder / "data"))  # with train_labels.csv and test_labels.csv
    assert isinstance(contents, Contents)
    assert len(contents.images) == 200
    assert sum(len(raw.boxes) for raw in contents.images) == 217
    counts = [sum(split in raw.splits for raw in contents.images) for split in contents.splits]
    assert (contents.splits, counts) == (("train", "test"), [160, 40])
    assert contents.problems == ()


def test_mosquitos_of_which_three_are_not_there(shared: Path) -> None:
    dataset = Dataset.load(shared / "data/formats/roboflow/tests/datasets/mosquitos")
    assert dataset.classes == ("culex",)
    assert dataset.records[0].boxes_xyxy.tolist() == [[304, 438, 614, 785]]
    missing = [p.line for p in dataset.problems if p.code == "image-missing"]
    assert missing == [2, 3, 5]


def test_vott(shared: Path) -> None:
    folder = shared / "data/formats/datumaro/tests/assets/vott_csv_dataset/dataset"
    contents = read_csv(list_files(folder))
    assert isinstance(contents, Contents)
    assert boxes_of(contents)["img0003.jpg"] == [
        ("helmet", 6.7, 10.3, 10, 15),
        ("person", 13.7, 20.2, 45.6, 63.6),
    ]
    assert by_image(contents)["img0001.jpg"].splits == ("test",)


def test_no_box_csv_among_others(shared: Path) -> None:
    folder = shared / "data/formats/datumaro/tests/assets/roboflow_dataset/multiclass"
    with pytest.raises(DatasetUnrecognised, match=r"CSV: 2 \.csv, none with columns of a file"):
        Dataset.load(folder)


@pytest.fixture
def written(tmp_path: Path, write_photo: Callable[..., None]) -> Path:
    """What is written from a data set of three images with odd names in two splits."""
    for seed, name in enumerate(['a, "b".jpg', "line\nbreak\r.jpg", "plain.jpg"]):
        write_photo(tmp_path / "in" / name, seed=seed)
    (tmp_path / "in/classes.txt").write_text("zebra\ncat\n")
    rows = [
        ('a, "b".jpg', 40, 30, "cat", 1, 2.5, 11, 0.1 + 22, ""),
        ("line\nbreak\r.jpg", 40, 30, "", "", "", "", "", ""),
        ("plain.jpg", 40, 30, 'a,"b', 0, 0, 40, 30, ""),
    ]
    for name, part in (("train", rows[:2]), ("val", rows[2:])):
        with (tmp_path / f"in/{name}.csv").open("w", newline="") as file:
            csv.writer(file).writerows([COLUMNS, *part])
    lost = Dataset.load(tmp_path / "in").save(tmp_path / "out", "csv")
    assert [(problem.severity, problem.code) for problem in lost] == [("info", "row-empty")]
    return tmp_path / "out"


def test_what_is_written(written: Path) -> None:
    with (written / "train.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    assert rows == [
        list(COLUMNS),
        ['a, "b".jpg', "40", "30", "cat", "1", "2.5", "11", "22.1", "train"],
        ["line\nbreak\r.jpg", "40", "30", "", "", "", "", "", "train"],
    ]
    assert (written / "classes.txt").read_text() == 'zebra\ncat\na,"b\n'
    assert sorted(path.name for path in written.iterdir()) == [
        "classes.txt", "images", "train.csv", "val.csv"
    ]  # fmt: skip


def test_odd_names_read_back(written: Path) -> None:
    dataset = Dataset.load(written)
    assert dataset.names == (
        'images/a, "b".jpg', "images/line\nbreak\r.jpg", "images/plain.jpg"
    )  # fmt: skip
    assert dataset.classes == ("zebra", "cat", 'a,"b')
    assert dataset.splits == {"train": (0, 1), "val": (2,)}
    assert [len(record.label_ids) for record in dataset] == [1, 0, 1]


def test_images_in_no_split_and_flags(
    make_voc: Callable[..., Path], voc_object: Callable[..., str], tmp_path: Path
) -> None:
    flagged = voc_object("cat", 1, 2, 9, 8).replace("<bndbox>", "<difficult>1</difficult><bndbox>")
    root = make_voc({"a.jpg": flagged, "b.jpg": voc_object("cat", 1, 2, 9, 8)})
    (root / "ImageSets/Main").mkdir(parents=True)
    (root / "ImageSets/Main/train.txt").write_text("a\n")
    lost = Dataset.load(root).save(tmp_path / "out", "csv")
    assert [(p.code, p.file) for p in lost] == [("lost-flags", "JPEGImages/a.jpg")]
    again = Dataset.load(tmp_path / "out")
    assert again.splits == {"train": (0,)}
    assert len(again) == 2


def test_splits_by_other_names(written: Path, tmp_path: Path) -> None:
    dataset = Dataset.load(written)
    dataset = replace(dataset, splits={"../a": (0,), "b/A": (1,), "test": (2,)})
    lost = dataset.save(tmp_path / "other", "csv")
    assert [p.code for p in lost] == ["lost-split", "lost-split", "row-empty"]
    again = Dataset.load(tmp_path / "other")
    assert again.names == dataset.names
    assert again.splits == {"test": (2,)}
