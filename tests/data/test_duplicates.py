"""Files of equal bytes are grouped, whatever their size and however late they differ."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st

from sightline.data.duplicates import find_identical


@given(
    contents=st.lists(
        st.sampled_from(
            [b"", b"a", b"b", b"a" * 5000, b"b" + b"a" * 4999, b"a" * 4999 + b"b", b"a" * 4096]
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


def test_the_pairs_of_real_sets(shared: Path) -> None:
    paths = sorted((shared / "data/raccoon/images").iterdir())
    pairs = [{paths[index].stem for index in group} for group in find_identical(paths)]
    numbers = [(11, 116), (120, 83), (52, 74), (65, 98)]
    assert sorted(map(sorted, pairs)) == sorted(
        sorted(f"raccoon-{number}" for number in pair) for pair in numbers
    )
