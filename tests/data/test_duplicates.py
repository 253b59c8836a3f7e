"""Files of equal bytes are grouped, and pictures that show nearly the same; others are not."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageEnhance, ImageFont

from sightline.data.duplicates import Likeness, connect, find_identical, find_likeness
from sightline.data.examine import Look, examine_images
from sightline.data.images import decode_image, read_thumbnail

A = b"a"

REAL = [
    "kangaroo/images",
    "raccoon/images",
    "bccd/BCCD/JPEGImages",
    "coco_val100/images",
    "formats_same100/images",
]
# Judged by eye among all pairs that are anything alike: resized, cut, with a line of text, another
# animal in one corner, a microscope moved a little.
NEAR = {
    "kangaroo/images": {("00101", "00118")},
    "raccoon/images": {
        ("raccoon-50", "raccoon-52"),
        ("raccoon-21", "raccoon-45"),
        ("raccoon-51", "raccoon-85"),
    },
    "bccd/BCCD/JPEGImages": {
        ("BloodImage_00037", "BloodImage_00038"),
        ("BloodImage_00386", "BloodImage_00391"),
    },
    "coco_val100/images": set(),
    "formats_same100/images": set(),
}


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=30)
    return Image.open(buffer)


def with_text(image: Image.Image) -> Image.Image:
    image = image.copy()
    place = (0.05 * image.width, 0.85 * image.height)
    font = ImageFont.load_default(size=max(10, 0.08 * image.height))
    ImageDraw.Draw(image).text(place, "photo no. 2024", fill="white", font=font)
    return image


def cut(image: Image.Image, *edges: float) -> Image.Image:
    """Without so much of the width and height at the left, top, right and bottom."""
    left, top, right, bottom = edges
    width, height = image.size
    return image.crop(
        (int(left * width), int(top * height), int((1 - right) * width), int((1 - bottom) * height))
    )


COPIES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "half as large": lambda image: image.resize((image.width // 2, image.height // 2)),
    "stretched": lambda image: image.resize((image.width, image.width)),
    "JPEG quality 30": recompressed,
    "cut all around": lambda image: cut(image, 0.025, 0.025, 0.025, 0.025),
    "cut at a corner": lambda image: cut(image, 0, 0, 0.05, 0.05),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.6),
    "grey": lambda image: image.convert("L"),
    "with text": with_text,
}


def thumbnails_of(folder: Path) -> dict[str, bytes]:
    paths = sorted(folder.iterdir())
    looks = zip(paths, examine_images(paths, decode=True), strict=True)
    return {path.stem: look.thumbnail for path, look in looks if isinstance(look, Look)}  # type: ignore[misc]


@pytest.fixture(scope="module")
def real(shared: Path) -> dict[str, dict[str, bytes]]:
    """Folder -> stem of the image -> thumbnail."""
    return {folder: thumbnails_of(shared / "data" / folder) for folder in REAL}


def near_pairs(thumbnails: Sequence[bytes | None]) -> set[tuple[int, ...]]:
    """Pairs of images directly alike, those of equal thumbnails included."""
    likeness = find_likeness([], thumbnails)
    pairs = set()
    for index in range(len(thumbnails)):
        alike = likeness.first_alike([index])
        pairs |= {tuple(sorted((index, int(i)))) for i in np.flatnonzero(alike == index)}
    return {pair for pair in pairs if pair[0] != pair[1]}


@given(
    contents=st.lists(
        st.sampled_from(
            [b"", b"a", b"b", A * 70_000, b"b" + A * 69_999, A * 69_999 + b"b", A * 65_536]
        ),
        max_size=12,
    )
)
def test_groups_are_those_of_equal_bytes(contents: list[bytes]) -> None:
    expected: dict[bytes, list[int]] = {}
    for index, data in enumerate(contents):
        expected.setdefault(data, []).append(index)
    with TemporaryDirectory() as folder:
        paths = [Path(folder, str(index)) for index in range(len(contents))]
        for path, data in zip(paths, contents, strict=True):
            path.write_bytes(data)
        assert find_identical(paths) == [group for group in expected.values() if len(group) > 1]


def test_the_copies_of_real_sets(shared: Path) -> None:
    paths = sorted((shared / "data/raccoon/images").iterdir())
    pairs = [{paths[index].stem for index in group} for group in find_identical(paths)]
    numbers = [(11, 116), (120, 83), (52, 74), (65, 98)]
    assert sorted(map(sorted, pairs)) == sorted(
        sorted(f"raccoon-{number}" for number in pair) for pair in numbers
    )


class TestReal:
    def test_what_shows_nearly_the_same_is_found_and_nothing_else(
        self, real: dict[str, dict[str, bytes]]
    ) -> None:
        stems = [(folder, stem) for folder, images in real.items() for stem in images]
        likeness = find_likeness([], [real[folder][stem] for folder, stem in stems])
        for folder, pairs in NEAR.items():
            place = {stem: index for index, (where, stem) in enumerate(stems) if where == folder}
            for one, other in pairs:
                assert likeness.first_alike([place[one]])[place[other]] == place[one]
        found = {tuple(stems[index][0] for index in group) for group in likeness.groups}
        assert all(len(set(folders)) == 1 for folders in found)
        # Six pairs, one of them with two copies of one image, and the copies of four others.
        assert sum(map(len, likeness.groups)) == 2 * 6 + 1 + 2 * 4
        assert len(likeness.groups) == 10

    def test_frames_of_a_video_are_one_group(self, shared: Path) -> None:
        folder = shared / "data/formats/roboflow/tests/datasets/sharks-tiny-coco"
        paths = sorted(
            folder.rglob("*.jpg"), key=lambda path: int(path.name.split("-")[1][:2].strip("_"))
        )
        likeness = find_likeness([], [read_thumbnail(path) for path in paths])
        assert likeness.groups == (tuple(range(3)), tuple(range(3, 10)))

    @pytest.mark.parametrize("how", COPIES)
    def test_a_copy_is_found_and_is_like_no_other(
        self, shared: Path, real: dict[str, dict[str, bytes]], how: str, tmp_path: Path
    ) -> None:
        folders = ["kangaroo/images", "coco_val100/images", "formats_same100/images"]
        before = [real[folder][stem] for folder in folders for stem in sorted(real[folder])[::10]]
        copies = []
        for folder in folders:
            for stem in sorted(real[folder])[::10]:
                copy = COPIES[how](decode_image(shared / "data" / folder / f"{stem}.jpg"))
                copy.save(tmp_path / "copy.jpg", quality=90)
                copies.append(read_thumbnail(tmp_path / "copy.jpg"))
        count = len(before)
        found = near_pairs([*before, *copies])
        assert found == {(index, index + count) for index in range(count)}


def drawn(seed: int) -> bytes:
    """A thumbnail of soft noise, which is like no other."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 6), np.uint8)
    return Image.fromarray(noise).resize((16, 16), Image.Resampling.BICUBIC).tobytes()


def nudged(thumbnail: bytes, seed: int) -> bytes:
    levels = np.frombuffer(thumbnail, np.uint8).astype(np.int64)
    noise = np.random.default_rng(seed).integers(-6, 7, 256)
    return np.clip(levels + noise, 0, 255).astype(np.uint8).tobytes()


def on_a_table(left: int, top: int, seed: int) -> bytes:
    """A plain table in the light of a lamp, which hangs elsewhere each time, and one dark thing."""
    lamp = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:16j, -1:1:16j] - lamp.uniform(-0.1, 0.1, (2, 1, 1))
    levels = 180 - 60 * (x**2 + y**2) + lamp.normal(0, 1, (16, 16))
    levels[top : top + 3, left : left + 3] -= 80
    return levels.clip(0, 255).astype(np.uint8).tobytes()


class TestLikeness:
    def test_what_lies_on_a_table_makes_the_picture_and_not_the_lamp(self) -> None:
        places = [(2, 2), (2, 10), (10, 2), (10, 10), (6, 7)]
        tables = [on_a_table(*place, seed) for seed, place in enumerate(places * 4)]
        same = {(a, b) for a in range(20) for b in range(a + 1, 20) if (b - a) % 5 == 0}
        assert near_pairs(tables) == same

    @given(
        kinds=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), max_size=30),
        shuffle=st.randoms(),
    )
    def test_it_does_not_depend_on_the_order(
        self, kinds: list[tuple[int, int]], shuffle: object
    ) -> None:
        thumbnails = [nudged(drawn(kind), noise) for kind, noise in kinds]
        order = list(range(len(kinds)))
        shuffle.shuffle(order)  # type: ignore[attr-defined]
        turned = near_pairs([thumbnails[index] for index in order])
        before = near_pairs(thumbnails)
        assert {tuple(sorted((order[a], order[b]))) for a, b in turned} == before
        expected = {
            (a, b) for a in range(len(kinds)) for b in range(a) if kinds[a][0] == kinds[b][0]
        }
        assert before == {tuple(sorted(pair)) for pair in expected}

    @given(flat=st.lists(st.integers(0, 255), max_size=40))
    def test_pictures_of_nothing_are_not_alike(self, flat: list[int]) -> None:
        thumbnails = [bytes([level]) * 256 for level in flat]
        assert find_likeness([], thumbnails).groups == ()

    def test_copies_are_alike_whatever_they_show(self) -> None:
        likeness = find_likeness([(0, 2), (1, 3)], [None, b"", None, bytes(256), drawn(0)])
        assert likeness.groups == ((0, 2), (1, 3))
        assert likeness.copies([2, 3]) == {0: 2, 2: 2, 1: 3, 3: 3}
        assert likeness.first_alike([2, 4]).tolist() == [2, 5, 2, 5, 4]

    def test_copies_are_preferred_and_groups_chain(self) -> None:
        one = drawn(1)
        likeness = find_likeness([(1, 3)], [nudged(one, 0), one, drawn(2), one, nudged(one, 1)])
        assert likeness.groups == ((0, 1, 3, 4),)
        assert likeness.copies([0, 1, 2, 3]) == {1: 1, 3: 1}
        assert likeness.first_alike([0, 1, 2, 3]).tolist() == [0, 0, 2, 0, 0]

    def test_a_thousand_views_of_one_scene_are_one_group(self) -> None:
        scene = drawn(3)
        likeness = find_likeness([], [*(nudged(scene, seed) for seed in range(1000)), drawn(4)])
        assert likeness.groups == (tuple(range(1000)),)
        assert len(likeness.near) <= 16 * 1000

    def test_nothing(self) -> None:
        for thumbnails in ([], [None, None], [drawn(0)]):
            likeness = find_likeness([], thumbnails)
            assert isinstance(likeness, Likeness)
            assert likeness.groups == ()
            assert likeness.copies(range(len(thumbnails))) == {}


@given(pairs=st.lists(st.tuples(st.integers(0, 29), st.integers(0, 29)), max_size=40))
def test_connecting_finds_the_parts_of_a_graph(pairs: list[tuple[int, int]]) -> None:
    parts = [{number} for number in range(30)]
    for a, b in pairs:
        joined = next(part for part in parts if a in part) | next(p for p in parts if b in p)
        parts = [part for part in parts if not part & joined] + [joined]
    expected = {number: min(part) for part in parts for number in part}
    found = connect(np.array(pairs, np.int64).reshape(-1, 2), 30)
    assert dict(enumerate(found.tolist())) == expected
