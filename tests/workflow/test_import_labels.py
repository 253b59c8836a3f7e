"""Names from the files that people keep them in."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import ForeignModelError
from sightline.workflow.adapters.labels import COCO, read_names


@pytest.mark.parametrize(
    ("name", "text", "names", "ids"),
    [
        ("n.txt", "\ufeffcat\n\n dog \r\n", ("cat", "dog"), (1, 2)),
        ("n.names", "cat\ndog", ("cat", "dog"), (1, 2)),
        ("n.json", '["cat", "dog"]', ("cat", "dog"), (1, 2)),
        ("n.json", '{"names": ["cat", "dog"]}', ("cat", "dog"), (1, 2)),
        ("n.json", '{"id2label": {"1": "dog", "0": "cat"}}', ("cat", "dog"), (0, 1)),
        ("n.json", '{"categories": [{"id": 3, "name": "cat"}]}', ("cat",), (3,)),
        ("n.yaml", "names:\n  0: cat\n  1: dog\nnc: 2\n", ("cat", "dog"), (0, 1)),
        ("n.yml", "[cat, dog]", ("cat", "dog"), (1, 2)),
        (
            "n.pbtxt",
            "item { id: 7 name: 'd' display_name: 'dog' } item { id: 2 name: 'cat' }",
            ("cat", "dog"),
            (2, 7),
        ),
    ],
)
def test_names_and_ids(
    tmp_path: Path, name: str, text: str, names: tuple[str, ...], ids: tuple[int, ...]
) -> None:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    found = read_names(path)
    assert (found.names, found.ids) == (names, ids)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("n.txt", "\n\n"),
        ("n.json", "[1, 2]"),
        ("n.json", "{"),
        ("n.json", '"cat"'),
        ("n.json", '{"a": "cat"}'),
        ("n.yaml", "a: [b"),
        ("n.yaml", "names: ['']"),
        ("n.pbtxt", "item { id: 1 name: 'cat'"),
        ("n.pbtxt", "item { name: 'cat' }"),
        ("absent.txt", None),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, name: str, text: str | None) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(ForeignModelError, match=name):
        read_names(tmp_path / name)


def test_coco_ids_are_80_of_90() -> None:
    assert len(COCO.ids) == len(COCO.names) == 80
    named = dict(zip(COCO.names, COCO.ids, strict=True))
    # Of instances_val2017.json.
    assert (named["person"], named["stop sign"], named["toothbrush"]) == (1, 13, 90)
    assert (named["tv"], named["refrigerator"], named["book"]) == (72, 82, 84)
