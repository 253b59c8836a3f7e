"""Which image a written name means where several are called alike."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.formats.contents import Reading
from sightline.data.formats.image_names import folder_of, name_of
from sightline.data.formats.listing import Listing

FOLDERS = st.lists(st.sampled_from(["a", "b", "1", "2", "images", "train", "val"]), max_size=3)
PATHS = st.builds(lambda folders, name: "/".join((*folders, name)), FOLDERS, st.sampled_from("xy"))
SETS = st.lists(PATHS, min_size=1, max_size=12, unique=True).map(sorted)


def find(images: list[str], name: str, annotation: str) -> list[str]:
    return Listing(Path("/set"), (annotation,), tuple(images)).find_images(name, annotation)


@given(images=SETS, data=st.data())
def test_a_path_from_the_top_finds_its_image_alone(images: list[str], data: st.DataObject) -> None:
    image = data.draw(st.sampled_from(images))
    for said in (image, f"./{image}", image.replace("/", "\\")):
        assert find(images, said, "all.json") == [image]


@given(images=SETS, data=st.data())
def test_a_name_beside_its_image_finds_it(images: list[str], data: st.DataObject) -> None:
    image = data.draw(st.sampled_from(images))
    assert find(images, name_of(image), f"{folder_of(image)}/{name_of(image)}.xml".lstrip("/")) == [
        image
    ]


@given(images=SETS, said=PATHS, annotation=PATHS)
def test_only_images_of_that_name_are_found(images: list[str], said: str, annotation: str) -> None:
    found = find(images, said, annotation)
    alike = [image for image in images if name_of(image) == name_of(said)]
    assert set(found) <= set(alike)
    assert bool(found) == bool(alike)


@pytest.mark.parametrize(
    ("images", "said", "annotation", "image"),
    [
        # The order of folders counts, and all of them.
        ("images/1/2/0.jpg images/2/1/0.jpg", "2/1/0.jpg", "a.json", "images/2/1/0.jpg"),
        ("images/1/2/0.jpg images/2/1/0.jpg", "/home/me/1/2/0.jpg", "a.json", "images/1/2/0.jpg"),
        ("x/2/1/0.jpg 1/0.jpg", "C:\\2\\1\\0.jpg", "a.json", "x/2/1/0.jpg"),
        # The split that the file speaks of.
        ("images/train/1.jpg images/val/1.jpg", "1.jpg", "annotations/v_val2017.json", "*val*"),
        ("train2017/1.jpg val2017/1.jpg", "1.jpg", "annotations/instances_val2017.json", "val2*"),
        ("train/1.jpg val/1.jpg", "1.jpg", "annotations/val.csv", "val/1.jpg"),
        ("train/1.jpg valid/1.jpg", "1.jpg", "val/all.csv", "valid/1.jpg"),
        ("train/sub/1.jpg val/sub/1.jpg val/1.jpg", "sub/1.jpg", "val.json", "val/sub/1.jpg"),
        # An annotation of one image has its name: it speaks of no split.
        ("images/train/val.jpg images/val/val.jpg", "val.jpg", "xml/train/val.xml", "*train*"),
        # Folders like the annotation's.
        ("images/1.jpg images/a/1.jpg", "1.jpg", "xml/a/1.xml", "images/a/1.jpg"),
        ("images/1.jpg images/a/1.jpg", "1.jpg", "xml/1.xml", "images/1.jpg"),
        ("a/images/1.jpg b/images/1.jpg", "1.jpg", "b/annotations/1.xml", "b/images/1.jpg"),
        ("a/pics/1.jpg b/pics/1.jpg", "1.jpg", "b/annotations/1.xml", "b/pics/1.jpg"),
        # Folders that nobody speaks of.
        ("images/backup/z.jpg images/z.jpg", "z.jpg", "annotations/i.json", "images/z.jpg"),
        ("images/z.jpg z.jpg", "z.jpg", "annotations/i.json", "z.jpg"),
        # Letters' case, then the case of folders.
        ("a/Z.JPG b/Z.JPG", "B/z.jpg", "i.json", "b/Z.JPG"),
        ("a/z.jpg a/Z.jpg", "Z.jpg", "i.json", "a/Z.jpg"),
        # A backslash may be a part of the name.
        ("images/b\\c.jpg images/c.jpg", "b\\c.jpg", "i.json", "images/b\\c.jpg"),
        ("images/c.jpg", "b\\c.jpg", "i.json", "images/c.jpg"),
    ],
)
def test_what_decides(images: str, said: str, annotation: str, image: str) -> None:
    (found,) = find(sorted(images.split()), said, annotation)
    assert fnmatchcase(found, image) or found == image


def test_what_nothing_decides_is_told() -> None:
    images = ("images/a/1.jpg", "images/b/1.jpg", "images/c/1.jpg", "p/2.png", "q/2.png")
    reading = Reading(Listing(Path("/set"), ("xml/1.xml",), images))
    for _ in range(2):  # and told once
        assert reading.find_image("1.jpg", "xml/1.xml", 3) == "images/a/1.jpg"
    assert reading.find_stem("2", "xml/2.xml", None) == "p/2.png"
    assert [(p.code, p.severity, p.file, p.line) for p in reading.problems] == [
        ("image-ambiguous", "warning", "xml/1.xml", 3),
        ("image-ambiguous", "warning", "xml/2.xml", None),
    ]
    assert "images/a/1.jpg" in reading.problems[0].message
    assert "q/2.png" in reading.problems[1].message


def test_a_path_without_end_is_looked_up_at_once() -> None:
    assert find(["a/1.jpg", "b/1.jpg"], "x/" * 300_000 + "b/1.jpg", "i.json") == ["b/1.jpg"]
