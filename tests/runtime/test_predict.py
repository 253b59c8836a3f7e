"""Detections for lists of sources, and their annotated copies."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.errors import ImageUnreadable, SightlineError, SourceError, UsageError
from sightline.runtime.detector import Detector
from sightline.runtime.predict import Failure, Prediction, has_frames, predict
from sightline.runtime.sources import read_frames


@pytest.fixture
def detector(tiny_bundle: Path) -> Detector:
    return Detector.load(tiny_bundle)


def lit(width: int = 64, height: int = 48) -> Image.Image:
    """Its upper left quarter is white: "upper" for tiny_bundle."""
    image = np.zeros((height, width, 3), np.uint8)
    image[: height // 2, : width // 2] = 255
    return Image.fromarray(image)


def write_clip(path: Path, *, frames: int, rate: float) -> Path:
    import cv2

    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), rate, (64, 48))
    for _ in range(frames):
        writer.write(np.asarray(lit())[..., ::-1])
    writer.release()
    return path


def test_sources_come_in_order_and_failures_are_named(detector: Detector, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "inner").mkdir(parents=True)
    lit().save(folder / "b.png")
    lit().save(folder / "inner" / "a.jpg")
    (folder / "a.jpg").write_text("text")
    clip = write_clip(tmp_path / "clip.mp4", frames=3, rate=10)
    done = []
    results = list(
        predict(
            detector,
            [folder / "b.png", tmp_path / "absent.jpg", folder, clip],
            progress=lambda now, total: done.append((now, total)),
        )
    )
    failures = {one.name: one.error for one in results if isinstance(one, Failure)}
    assert {name: type(error) for name, error in failures.items()} == {
        str(tmp_path / "absent.jpg"): SourceError,
        str(folder / "a.jpg"): ImageUnreadable,
    }
    names = [one.name for one in results if isinstance(one, Prediction)]
    stills = [folder / "b.png", folder / "b.png", folder / "inner" / "a.jpg"]
    assert names == [*map(str, stills), str(clip), str(clip), str(clip)]
    assert all(one.detections.labels == ["upper"] for one in results if one.name in names)
    assert done == [(number, 5) for number in range(1, 6)]


def test_json_of_a_still_and_of_a_frame(detector: Detector, tmp_path: Path) -> None:
    lit().save(tmp_path / "a.png")
    clip = write_clip(tmp_path / "clip.mp4", frames=2, rate=8)
    still, _, second = (one.to_json() for one in predict(detector, [tmp_path / "a.png", clip]))
    assert list(still) == ["image", "width", "height", "detections"]
    assert (still["image"], still["width"], still["height"]) == (str(tmp_path / "a.png"), 64, 48)
    assert list(still["detections"][0]) == ["label", "score", "box"]
    assert still["detections"][0]["box"] == [0, 0, 32, 24]
    assert list(second) == ["image", "frame", "time_s", "width", "height", "detections"]
    assert (second["frame"], second["time_s"]) == (1, 0.125)


def test_threshold_reaches_the_detector(detector: Detector, tmp_path: Path) -> None:
    lit().save(tmp_path / "a.png")
    (every,) = predict(detector, [tmp_path / "a.png"], threshold=0.0)
    assert len(every.detections) == 4
    with pytest.raises(UsageError):
        list(predict(detector, [tmp_path / "a.png"], threshold=1.5))


def test_annotated_copies_keep_order_and_never_collide(detector: Detector, tmp_path: Path) -> None:
    folder, out = tmp_path / "photos", tmp_path / "out"
    (folder / "inner").mkdir(parents=True)
    for name in ("a.jpg", "inner/a.jpg", "inner/b.gif"):
        lit(400, 300).save(folder / name)
    sources = [folder, folder / "a.jpg", folder / "inner" / "a.jpg"]
    results = list(predict(detector, sources, save=out))
    saved = [one.saved.relative_to(out).as_posix() for one in results]
    assert saved == ["a.jpg", "inner/a.jpg", "inner/b.png", "a-2.jpg", "a-3.jpg"]
    before, after = np.asarray(Image.open(folder / "a.jpg")), np.asarray(Image.open(out / "a.jpg"))
    assert before.shape == after.shape
    assert (abs(before.astype(int) - after) > 64).any()  # drawn on, well above JPEG's loss
    assert not (abs(before.astype(int) - after)[200:] > 64).any()  # and only where the box is


def test_originals_are_never_overwritten(detector: Detector, tmp_path: Path) -> None:
    lit().save(tmp_path / "a.png")
    content = (tmp_path / "a.png").read_bytes()
    with pytest.raises(UsageError, match="overwrite the original"):
        list(predict(detector, [tmp_path / "a.png"], save=tmp_path))
    assert (tmp_path / "a.png").read_bytes() == content
    clip = write_clip(tmp_path / "clip.mp4", frames=2, rate=8)
    content = clip.read_bytes()
    with pytest.raises(UsageError, match="overwrite the original"):
        list(predict(detector, [clip], save=tmp_path))
    assert clip.read_bytes() == content


def test_a_folder_that_cannot_be_written_is_one_clear_error(
    detector: Detector, tmp_path: Path
) -> None:
    lit().save(tmp_path / "a.png")
    (tmp_path / "file").write_text("x")
    with pytest.raises(SightlineError, match="cannot be written"):
        list(predict(detector, [tmp_path / "a.png"], save=tmp_path / "file"))


def test_a_video_is_saved_on_its_own_clock(detector: Detector, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", frames=9, rate=10)
    results = list(predict(detector, [clip], save=tmp_path / "out"))
    assert {one.saved for one in results} == {tmp_path / "out" / "clip.mp4"}
    frames = list(read_frames(tmp_path / "out" / "clip.mp4"))
    assert len(frames) == 9
    assert frames[-1].time_s == pytest.approx(0.8, abs=1e-3)  # ms time stamps
    assert frames[0].image.shape == (48, 64, 3)
    edge = frames[0].image[0, 5].astype(int)  # the box's outline lies over the white quarter
    assert (255 - edge).max() > 32  # well above the codec's loss


def test_closing_early_finishes_the_video(detector: Detector, tmp_path: Path) -> None:
    """As Ctrl-C does with a camera."""
    clip = write_clip(tmp_path / "clip.mp4", frames=9, rate=10)
    with contextlib.closing(predict(detector, [clip], save=tmp_path / "out")) as results:
        for _ in range(4):
            next(results)
    assert len(list(read_frames(tmp_path / "out" / "clip.mp4"))) == 4


def test_videos_and_cameras_have_frames() -> None:
    assert has_frames(["a.jpg", 0])
    assert has_frames([Path("a.webm")])
    assert not has_frames(["a.jpg", "folder"])
