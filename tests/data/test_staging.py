"""Where a new folder cannot be, it is said before work begins, and nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.data.staging import require_free, staged_folder
from sightline.errors import DatasetError


def refuse(destination: Path, why: str) -> None:
    with pytest.raises(DatasetError, match=why) as caught:
        require_free(destination)
    assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match=why), staged_folder(destination):
        pass


def test_what_is_no_new_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "gone")
    refuse(tmp_path, "exists and is not empty; nothing is overwritten")
    refuse(tmp_path / "file", "is a file; name a new folder")
    refuse(tmp_path / "file/a", "file is no folder; name one")
    refuse(tmp_path / "file/a/b", "file is no folder; name one")
    refuse(tmp_path / "link", "is a link to nothing; name a new folder")
    refuse(tmp_path / "link/a", "link is no folder; name one")
    refuse(tmp_path / "a.incomplete-1", "unfinished copy")
    refuse(tmp_path / ("ä" * 118), "too long a name for a folder: 236 bytes, 235")
    refuse(tmp_path / ("x" * 300) / "a", "cannot be written")
    refuse(tmp_path / "nul\0byte", "no name for a new folder")
    refuse(tmp_path / "..", "no name for a new folder")
    refuse(Path(""), "no name for a new folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link"]


def test_the_longest_name(tmp_path: Path) -> None:
    destination = tmp_path / "deep" / ("x" * 235)
    with staged_folder(destination) as folder:
        (folder / "a").write_text("x")
    assert [path.name for path in destination.iterdir()] == ["a"]


def test_an_empty_folder_is_taken_and_a_failure_leaves_it(tmp_path: Path) -> None:
    destination = tmp_path / "new"
    destination.mkdir()
    with pytest.raises(KeyError), staged_folder(destination) as folder:
        (folder / "a").write_text("x")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    with staged_folder(destination) as folder:
        (folder / "b").write_text("x")
    assert [path.name for path in destination.iterdir()] == ["b"]
