"""A drawn sample: a Pascal VOC folder of quickstart's four kinds, and a clip of them moving.

It stands in for photos and a camera where there are none. Both depend on their seed alone.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sightline.boxes import area
from sightline.data.drawn import QUICKSTART_KINDS, DrawnScene, draw_scene
from sightline.data.drawn.background import draw_background
from sightline.data.drawn.object import Light, compose, draw_object
from sightline.data.formats.voc import annotation_text
from sightline.data.records import Record
from sightline.errors import DatasetError, SourceError

Progress = Callable[[int, int], None]
_SIZES = (0.14, 0.7)  # objects against the picture's shorter side: a toy on a desk, not far away
_OBJECTS = (1, 5)
_JPEG_QUALITY = 90


def write_sample(
    destination: Path,
    *,
    train: int = 120,
    val: int = 100,
    size: tuple[int, int] = (480, 360),
    seed: int = 0,
    progress: Progress | None = None,
) -> Path:
    """The folder written: images/, annotations/, ImageSets/Main/{train,val}.txt, classes.txt.

    size: width and height in pixels. progress is called with images done and images to do. The
    folder appears whole or not at all. Raises DatasetError where `destination` already is.
    """
    if destination.exists():
        raise DatasetError(
            f"{destination}: already there, and a drawn sample never overwrites; "
            "delete it or name another folder"
        )
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{destination.name}-", dir=destination.parent))
    try:
        _fill_folder(partial, {"train": train, "val": val}, size, seed, progress)
        partial.chmod(0o755)  # mkdtemp's is for its owner alone
        partial.rename(destination)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return destination


def _fill_folder(
    folder: Path,
    counts: dict[str, int],
    size: tuple[int, int],
    seed: int,
    progress: Progress | None,
) -> None:
    from PIL import Image

    kinds = tuple(QUICKSTART_KINDS)
    lists = folder / "ImageSets" / "Main"
    for part in (folder / "images", folder / "annotations", lists):
        part.mkdir(parents=True)
    (folder / "classes.txt").write_text("".join(f"{kind}\n" for kind in kinds), encoding="utf-8")
    done, total = 0, sum(counts.values())
    for stream, (split, count) in enumerate(counts.items()):
        names = [f"{split}-{index:04d}" for index in range(count)]
        for index, name in enumerate(names):
            rng = np.random.default_rng((seed, stream, index))
            scene = draw_scene(
                rng, kinds, width=size[0], height=size[1], objects=_OBJECTS, sizes=_SIZES
            )
            picture = Image.fromarray(scene.image)
            picture.save(folder / "images" / f"{name}.jpg", quality=_JPEG_QUALITY)
            image = f"images/{name}.jpg"
            text = annotation_text(_record(folder / image, scene), image, kinds)
            path = folder / "annotations" / f"{name}.xml"
            path.write_text(text, encoding="utf-8", newline="\n")
            done += 1
            if progress is not None:
                progress(done, total)
        (lists / f"{split}.txt").write_text("".join(f"{n}\n" for n in names), encoding="utf-8")


def _record(image: Path, scene: DrawnScene) -> Record:
    """The scene's boxes as its annotation says them: whole pixels, as people's tools do."""
    height, width, _ = scene.image.shape
    boxes_xyxy = scene.boxes_xyxy.round().astype(np.float64)
    none = np.zeros(len(boxes_xyxy), bool)
    areas = np.asarray(area(boxes_xyxy), np.float64)
    ids = scene.label_ids
    return Record(image.name, image, width, height, boxes_xyxy, ids, none, areas, none, none)


@dataclass(frozen=True)
class _Actor:
    """One object of the clip: its kind, its look (a seed), and its path as shares of the frame."""

    kind: str
    look: int
    x: float
    y: float
    reach_x: float
    reach_y: float
    size: float
    phase: float


_CAST = (
    _Actor("cone", 11, 0.15, 0.38, 0.06, 0.07, 0.46, 3.4),
    _Actor("teapot", 12, 0.80, 0.34, 0.07, 0.07, 0.44, 0.4),
    _Actor("robot", 0, 0.47, 0.42, 0.12, 0.06, 0.56, 1.7),
    _Actor("duck", 11, 0.27, 0.76, 0.12, 0.05, 0.38, 3.0),
    _Actor("duck", 4, 0.74, 0.80, 0.14, 0.05, 0.29, 0.6),
)
_DAYLIGHT = Light(x=-0.45, y=-0.89, relief=0.45, shadow=0.4, reach=0.06, softness=0.05)


def write_sample_clip(
    path: Path,
    *,
    seconds: float = 8,
    fps: int = 15,
    width: int = 640,
    height: int = 360,
    seed: int = 27,
) -> Path:
    """The WebM (VP8) clip written: the four kinds drift over a drawn ground, in a seamless loop.

    Raises SourceError where this OpenCV cannot encode VP8.
    """
    import cv2

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial.webm")
    fourcc = cv2.VideoWriter.fourcc(*"VP80")
    with _muted_stderr():
        writer = cv2.VideoWriter(str(partial), cv2.CAP_FFMPEG, fourcc, fps, (width, height))
    if not writer.isOpened():
        raise SourceError(
            f"{path}: this OpenCV cannot encode VP8 video; install opencv-python-headless from "
            "the Python package index, whose build can"
        )
    try:
        for frame in draw_clip_frames(round(seconds * fps), width, height, seed):
            writer.write(cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
        writer.release()
        partial.replace(path)
    finally:
        writer.release()
        partial.unlink(missing_ok=True)
    return path


def draw_clip_frames(count: int, width: int, height: int, seed: int) -> Iterator[NDArray[np.uint8]]:
    """The clip's frames, (H, W, 3) uint8 RGB; the one after the last would equal the first."""
    ground = draw_background(np.random.default_rng((seed, 0)), width, height)
    for index in range(count):
        frame = ground.copy()
        for actor in _CAST:
            pose = _pose_at(actor, 2 * math.pi * index / count, width, height)
            look = np.random.default_rng((seed, actor.look))
            draw = QUICKSTART_KINDS[actor.kind]
            compose(frame, draw_object(look, draw, pose, _DAYLIGHT, mottled=False), _DAYLIGHT)
        yield frame


def _pose_at(actor: _Actor, time: float, width: int, height: int) -> NDArray[np.float64]:
    """(3, 3) unit square to pixels, `time` running 0..2π over the clip; whole turns only, so
    that it ends where it began."""
    angle = time + actor.phase
    turn = math.radians(11) * math.sin(2 * angle)
    half = 0.5 * actor.size * height * (1 + 0.14 * math.sin(angle + 1))
    cos, sin = half * math.cos(turn), half * math.sin(turn)
    x = width * (actor.x + actor.reach_x * math.cos(angle))
    y = height * (actor.y + actor.reach_y * math.sin(2 * angle))
    return np.array([(cos, -sin, x), (sin, cos, y), (0.0, 0.0, 1.0)])


@contextmanager
def _muted_stderr() -> Iterator[None]:
    """Silences what OpenCV's C code prints when it opens a WebM writer.

    It says that the tag VP80 is not supported in WebM and then does the right thing: WebM has no
    such tags. There is no setting for it.
    """
    saved, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
        os.close(nowhere)
