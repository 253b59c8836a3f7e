"""Which files a folder has, and which image a name means."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.formats.image_names import folder_of, name_of, stem_of
from sightline.data.formats.listing import Listing, list_files

NAMES = st.text("ab.é /", min_size=1, max_size=12).map(lambda name: str(PurePosixPath(name)))


def touch(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


@given(name=NAMES.filter(lambda name: name.strip("./")))
def test_parts_of_a_name(name: str) -> None:
    path = PurePosixPath(name.lstrip("/"))
    assert name_of(str(path)) == path.name
    assert folder_of(str(path)) == ("" if len(path.parts) == 1 else str(path.parent))
    if path.name.strip("."):
        assert path.name.startswith(stem_of(str(path)))
        assert "." not in path.name.removeprefix(stem_of(str(path)))[1:]


class TestWalking:
    def test_files_are_sorted_hidden_ones_left_out(self, tmp_path: Path) -> None:
        touch(tmp_path, "b.xml", "a/c.JPG", "a/.d.jpg", ".e/f.jpg", "__MACOSX/g.jpg", "a.xml")
        listing = list_files(tmp_path)
        assert listing.annotations == ("a.xml", "b.xml")
        assert listing.images == ("a/c.JPG",)

    def test_links_are_followed_once(self, tmp_path: Path) -> None:
        touch(tmp_path / "elsewhere", "x.jpg")
        touch(tmp_path / "set", "a.xml")
        (tmp_path / "set/images").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "set/more").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
        (tmp_path / "elsewhere/loop").symlink_to(tmp_path / "set", target_is_directory=True)
        assert list_files(tmp_path / "set").images == ("images/x.jpg",)

    def test_a_link_to_nothing_is_listed(self, tmp_path: Path) -> None:
        (tmp_path / "a.jpg").symlink_to(tmp_path / "gone.jpg")
        assert list_files(tmp_path).images == ("a.jpg",)

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
    def test_a_named_pipe_is_not(self, tmp_path: Path) -> None:
        """Opening one waits for somebody to write into it."""
        os.mkfifo(tmp_path / "a.xml")
        os.mkfifo(tmp_path / "b.jpg")
        listing = list_files(tmp_path)
        assert (listing.annotations, listing.images) == ((), ())


class TestFinding:
    def find(self, images: tuple[str, ...], name: str, annotation: str = "x.xml") -> str | None:
        found = Listing(Path("/set"), (annotation,), images).find_images(name, annotation)
        return found[0] if found else None

    @pytest.mark.parametrize(
        "name",
        ["a.jpg", "A.JPG", "C:\\photos\\a.jpg", "/home/me/a.jpg", "../../a.jpg", "b/a.jpg"],
    )
    def test_folders_of_other_machines_do_not_matter(self, name: str) -> None:
        assert self.find(("images/a.jpg", "images/b.jpg"), name) == "images/a.jpg"

    def test_folders_choose_between_equal_names(self) -> None:
        images = ("images/train/a.jpg", "images/val/a.jpg", "val/a.jpg")
        assert self.find(images, "D:\\set\\train\\a.jpg") == "images/train/a.jpg"
        assert self.find(images, "a.jpg", "labels/train/a.xml") == "images/train/a.jpg"
        assert self.find(images, "a.jpg", "val/a.xml") == "val/a.jpg"  # beside it

    @pytest.mark.parametrize("name", ["", "/", "images/", "..", "a", "c.jpg", "a.jpg/x", "\0"])
    def test_no_such_image(self, name: str) -> None:
        assert self.find(("images/a.jpg",), name) is None

    def test_by_the_name_without_its_ending(self) -> None:
        listing = Listing(Path("/set"), (), ("v1.2.final.png", "b/c.jpg"))
        assert listing.find_stems("v1.2.final", "x.xml") == ["v1.2.final.png"]
        assert listing.find_stems("v1.2", "x.xml") == []

    def test_paths_stay_where_they_are(self) -> None:
        listing = Listing(Path("/set/annots"), (), ("../images/a.jpg",))
        assert listing.image_path("../images/a.jpg") == Path("/set/images/a.jpg")
        unpacked = Listing(Path("/set"), (), ("a.jpg",), image_root=Path("/cache/1"))
        assert unpacked.image_path("a.jpg") == Path("/cache/1/a.jpg")
        assert unpacked.path("x/a.xml") == Path("/set/x/a.xml")
