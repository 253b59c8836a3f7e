"""The drawn sample: readable as any Pascal VOC folder, whole or absent; a clip that plays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sightline.data.dataset import Dataset
from sightline.data.drawn import QUICKSTART_KINDS
from sightline.data.sample import draw_clip_frames, write_sample, write_sample_clip
from sightline.errors import DatasetError


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn") / "sample"
    return write_sample(folder, train=5, val=3, size=(240, 180), seed=4)


def test_reads_as_a_clean_data_set(sample: Path) -> None:
    dataset = Dataset.load(sample)
    assert dataset.format == "voc"
    assert dataset.classes == tuple(QUICKSTART_KINDS)
    assert [p.code for p in dataset.problems] == ["class-few"]  # it is small
    assert {name: len(indices) for name, indices in dataset.splits.items()} == {
        "train": 5,
        "val": 3,
    }
    for record in dataset:
        assert (record.width, record.height) == (240, 180)
        assert 1 <= len(record.boxes_xyxy) <= 5
        assert np.all(record.boxes_xyxy[:, 2:] <= (240, 180))


def test_the_seed_decides_every_byte(sample: Path, tmp_path: Path) -> None:
    same = write_sample(tmp_path / "same", train=5, val=3, size=(240, 180), seed=4)
    other = write_sample(tmp_path / "other", train=5, val=3, size=(240, 180), seed=5)
    files = sorted(path.relative_to(sample) for path in sample.rglob("*") if path.is_file())
    assert len(files) == 8 + 8 + 2 + 1
    for file in files:
        assert (sample / file).read_bytes() == (same / file).read_bytes(), file
    first = Path("images") / "train-0000.jpg"
    assert (sample / first).read_bytes() != (other / first).read_bytes()


def test_train_and_val_share_no_picture(sample: Path) -> None:
    pictures = [path.read_bytes() for path in (sample / "images").iterdir()]
    assert len(set(pictures)) == len(pictures) == 8


def test_reports_progress(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    write_sample(
        tmp_path / "s", train=2, val=1, size=(64, 64), progress=lambda *done: seen.append(done)
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]


def test_an_interrupted_sample_leaves_nothing(tmp_path: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_sample(tmp_path / "s", train=2, val=1, size=(64, 64), progress=interrupt)
    assert list(tmp_path.iterdir()) == []


def test_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with pytest.raises(DatasetError, match="already there"):
        write_sample(tmp_path / "s", train=1, val=1, size=(64, 64))
    assert list((tmp_path / "s").iterdir()) == []


def test_the_clip_decodes_to_what_was_drawn(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import cv2

    path = write_sample_clip(
        tmp_path / "clips" / "c.webm", seconds=1, fps=10, width=320, height=180
    )
    assert capfd.readouterr().err == ""
    assert [file.name for file in path.parent.iterdir()] == ["c.webm"]
    clip = cv2.VideoCapture(str(path))
    assert clip.get(cv2.CAP_PROP_FPS) == 10
    decoded = []
    while True:
        good, frame = clip.read()
        if not good:
            break
        decoded.append(cv2.cvtColor(frame, cv2.COLOR_BGR2RGB))
    drawn = list(draw_clip_frames(10, 320, 180, 27))
    assert len(decoded) == len(drawn) == 10
    for seen, meant in zip(decoded, drawn, strict=True):
        # VP8 and its colour space cost 3.1 levels here; a frame off by one differs by over 20.
        assert np.abs(seen.astype(int) - meant).mean() < 4


def test_the_clip_moves_smoothly_and_loops() -> None:
    frames = [frame.astype(int) for frame in draw_clip_frames(60, 320, 180, 27)]
    steps = [
        float(np.abs(frame - before).mean())
        for frame, before in zip(frames, [frames[-1], *frames[:-1]], strict=True)
    ]
    assert min(steps) > 0.1, "something always moves"
    # The seam from last to first is a step like any other; a jump would be many times larger.
    assert max(steps) < 3 * float(np.median(steps))
