"""CVAT XML 1.1: one file a task or project, shapes in pixels; images or the frames of a video.

A file may have any size: it is read as events, never as a tree. Polygons, masks, ellipses and
turned boxes become the upright boxes around them; what has no area (points, polylines) and cuboids
are left out. The split is the image's subset, else the task's, else what the file's name or its
folder's speaks of. Classes keep the order of the labels. A damaged file is left out as a whole: a
track that stands behind the damage may belong to any frame before.

An <image> without a shape has nothing on it. In a video the frame 7 is the image frame_000007, as
CVAT names it; CVAT writes the boxes between two keyframes out, so none are made up here. A frame
of the task that no track shows has nothing on it, if its image is there.
"""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from sightline.data.formats.contents import (
    Contents,
    RawBox,
    RawImage,
    Reading,
    bounding_box,
    order_splits,
    tidy_name,
)
from sightline.data.formats.image_names import (
    folder_of,
    name_of,
    split_named_in,
    stem_of,
    without_ending,
)
from sightline.data.formats.listing import Listing
from sightline.data.formats.shapes import Point, Tally, turned_corners
from sightline.data.formats.xmltree import XmlDamaged, read_events

# A folder of one XML file an image is no CVAT: that so many files say so is enough.
_MOST_SNIFFED = 100
_ROOT = re.compile(rb"<([A-Za-z_][\w.:-]*)")
_FRAME = re.compile(r"frame_(\d{6,18})")
_SIZE = ("original_size/width", "original_size/height")
_FACTS = ("subset", "start_frame", "stop_frame", "frame_filter", *_SIZE)
_STEP = re.compile(r"step\s*=\s*(\d{1,18})")


@dataclass(slots=True)
class _Image:
    """An <image>, with the boxes of its shapes."""

    name: str
    subset: str
    size: tuple[float, float] | None
    line: int
    boxes: list[RawBox] = field(default_factory=list)


@dataclass
class _Task:
    """One file: its images, or its frames with the boxes that tracks have there.

    facts: what <task> says of `_FACTS`.
    """

    reading: Reading
    file: str
    classes: list[str] = field(default_factory=list)
    facts: dict[str, str] = field(default_factory=dict)
    images: list[_Image] = field(default_factory=list)
    frames: dict[int, list[RawBox]] = field(default_factory=lambda: defaultdict(list))
    tally: Tally = field(default_factory=Tally)
    is_cvat: bool = False
    path: list[str] = field(default_factory=list)
    track: str = ""

    def start(self, tag: str, attributes: dict[str, str], line: int) -> None:
        self.path.append(tag)
        depth = len(self.path)
        if depth == 2:
            self.is_cvat |= self.path[0] == "annotations" and tag in ("meta", "image", "track")
            if tag == "image":
                size = (_number(attributes.get("width")), _number(attributes.get("height")))
                name, subset = attributes.get("name", ""), attributes.get("subset", "")
                is_size = all(0 < side < math.inf for side in size)
                self.images.append(_Image(name, subset, size if is_size else None, line))
            elif tag == "track":
                self.track = attributes.get("label", "")
        elif depth == 3 and self.path[1] == "image":
            label = attributes.get("label", "")
            if box := self._read_shape(tag, attributes, label, line):
                self.images[-1].boxes.append(box)
        elif depth == 3 and self.path[1] == "track":
            self._read_tracked(tag, attributes, line)

    def end(self, tag: str, text: str) -> None:
        if self.path[1:2] == ["meta"]:
            if self.path[-3:] == ["labels", "label", "name"]:
                if name := tidy_name(text):
                    self.classes.append(name)
            elif self.path[2:3] == ["task"] and (fact := "/".join(self.path[3:])) in _FACTS:
                self.facts[fact] = text
        self.path.pop()

    def _read_tracked(self, tag: str, attributes: dict[str, str], line: int) -> None:
        """A shape of a track belongs to the frame it names; outside: the object is not there."""
        if not re.fullmatch(r"\d{1,18}", attributes.get("frame", "")):
            message = f"<{tag}> of a track without the number of its frame; left out"
            self.reading.report("warning", "entry-damaged", self.file, line, message)
            return
        boxes = self.frames[int(attributes["frame"])]
        if attributes.get("outside") == "1":
            return
        if box := self._read_shape(tag, attributes, self.track, line):
            boxes.append(box)

    def _read_shape(
        self, tag: str, attributes: dict[str, str], written: str, line: int
    ) -> RawBox | None:
        if tag not in ("box", "polygon", "ellipse", "mask"):
            if tag != "tag":  # it labels the image as a whole
                self.tally.leave_out(tag)
            return None
        label = tidy_name(written)
        if not label:
            message = f"{tag} without a label; left out"
            self.reading.report("warning", "class-empty", self.file, line, message)
            return None
        if tag == "polygon":
            self.tally.polygons += 1
            return RawBox(label, bounding_box(_points(attributes.get("points", ""))), line)
        if tag == "mask":
            self.tally.polygons += 1
            left, top, width, height = _numbers(attributes, "left", "top", "width", "height")
            return RawBox(label, (left, top, left + width, top + height), line)
        turned = _number(attributes.get("rotation", "0"))
        if tag == "ellipse":
            self.tally.ellipses += 1
            return RawBox(label, _around_ellipse(attributes, turned), line)
        x1, y1, x2, y2 = _numbers(attributes, "xtl", "ytl", "xbr", "ybr")
        if turned % 360 == 0:
            return RawBox(label, (x1, y1, x2, y2), line)
        self.tally.rotated += 1
        centre, right, bottom = ((x1 + x2) / 2, (y1 + y2) / 2), (x2 - x1) / 2, (y2 - y1) / 2
        corners = turned_corners(centre, -right, -bottom, right, bottom, turned)
        return RawBox(label, bounding_box(corners), line)

    def split_of(self, subset: str) -> str | None:
        """The split that a subset, or else the task, the file or its folder, stands for."""
        said = subset or self.facts.get("subset", "")
        if said and said.lower() != "default":
            return split_named_in(said) or re.sub("[^A-Za-z0-9_-]", "_", said)
        folder = name_of(folder_of(self.file))
        return split_named_in(stem_of(self.file)) or split_named_in(folder)

    def video_size(self) -> tuple[float, float] | None:
        """(width, height) of the video, where the file tells it."""
        width, height = (_number(self.facts.get(fact)) for fact in _SIZE)
        return (width, height) if 0 < width < math.inf and 0 < height < math.inf else None

    def frame_numbers(self) -> range:
        """The frames of the task by its own account; none where it gives none."""
        first, last = self.facts.get("start_frame", ""), self.facts.get("stop_frame", "")
        if not (re.fullmatch(r"\d{1,18}", first) and re.fullmatch(r"\d{1,18}", last)):
            return range(0)
        step = _STEP.search(self.facts.get("frame_filter", ""))
        return range(int(first), int(last) + 1, max(int(step[1]), 1) if step else 1)


def read_cvat(listing: Listing) -> Contents | str:
    """What the XML files say, or why this is no CVAT."""
    files = listing.with_suffix(".xml")
    likely = [file for file in files[:_MOST_SNIFFED] if _looks_like_cvat(listing, file)]
    if not likely:
        return "CVAT XML: no .xml with <annotations> as its root"
    likely += [file for file in files[_MOST_SNIFFED:] if _looks_like_cvat(listing, file)]
    reading = Reading(listing)
    tasks = [task for file in likely if (task := _read_task(reading, file))]
    if not tasks:
        if not reading.problems:
            return "CVAT XML: <annotations> without <meta>, <image> or <track>"
        return f"CVAT XML: {reading.problems[0].file}: {reading.problems[0].message}"
    images: dict[str, RawImage] = {}
    homes = {folder_of(task.file) for task in tasks}
    stills = _frames_there(listing.images)
    for task in tasks:
        _add_images(reading, task, homes, images)
        if task.frames or not task.images:
            _add_frames(reading, task, homes, images, stills)
        task.tally.report(reading, task.file)
    return Contents(
        "cvat",
        listing,
        tuple(raw for _, raw in sorted(images.items())),
        tuple(dict.fromkeys(name for task in tasks for name in task.classes)),
        order_splits(split for raw in images.values() for split in raw.splits),
        tuple(reading.problems),
    )


def _looks_like_cvat(listing: Listing, file: str) -> bool:
    """Whether the first tag is <annotations>; a kilobyte tells."""
    try:
        with listing.path(file).open("rb") as opened:
            start = opened.read(1024)
    except OSError:
        return False
    root = _ROOT.search(start.replace(b"\0", b""))  # without those of UTF-16
    return root is not None and root[1] == b"annotations"


def _read_task(reading: Reading, file: str) -> _Task | None:
    """What a file says; None, and a problem, where it cannot be read to its end."""
    told = len(reading.problems)
    task = _Task(reading, file)
    try:
        read_events(reading.listing.path(file), task.start, task.end)
    except XmlDamaged as error:
        del reading.problems[told:]  # what it said before goes with it
        message = f"no readable XML: {error}; nothing of it is used"
        reading.report("error", "xml-damaged", file, error.line, message)
        return None
    except OSError as error:
        del reading.problems[told:]
        reading.report("error", "file-unreadable", file, None, f"cannot be read: {error.strerror}")
        return None
    return task if task.is_cvat else None


def _add_images(
    reading: Reading, task: _Task, homes: set[str], images: dict[str, RawImage]
) -> None:
    for found in task.images:
        image = _find_image(reading, task, homes, f"{found.subset}/{found.name}")
        if image is None:
            message = f"its image is not there: {found.name!r}"
            reading.report("warning", "image-missing", task.file, found.line, message)
        elif image in images:
            message = f"another entry describes {image} as well; left out"
            reading.report("warning", "image-claimed-twice", task.file, found.line, message)
        else:
            split = task.split_of(found.subset)
            splits = (split,) if split else ()
            boxes = tuple(found.boxes)
            images[image] = RawImage(image, task.file, boxes, found.size, found.line, splits)


def _add_frames(
    reading: Reading,
    task: _Task,
    homes: set[str],
    images: dict[str, RawImage],
    stills: dict[int, str],
) -> None:
    split = task.split_of("")
    size = task.video_size()
    known = task.frame_numbers()
    missing = []
    for frame in sorted({*task.frames, *(frame for frame in stills if frame in known)}):
        image = _find_image(reading, task, homes, stills.get(frame, ""))
        if image is None:
            if frame in task.frames:
                missing.append(frame)
        elif image in images:
            message = f"another file describes {image} as well; left out"
            reading.report("warning", "image-claimed-twice", task.file, None, message)
        else:
            boxes = tuple(task.frames.get(frame, ()))
            splits = (split,) if split else ()
            images[image] = RawImage(image, task.file, boxes, size, None, splits)
    if missing:
        message = (
            f"the images of {len(missing)} frames are not there, first "
            f"frame_{missing[0]:06d}: export the task with its images"
        )
        reading.report("warning", "image-missing", task.file, None, message)


def _find_image(reading: Reading, task: _Task, homes: set[str], name: str) -> str | None:
    """The image of that name; none that lies in a folder with a CVAT file of its own.

    Every video has a frame_000000: where one comes without images, it shall not take another's.
    """
    name = name.replace("\\", "/")
    image = reading.find_image(name, task.file, None)
    image = image or reading.find_stem(without_ending(name), task.file, None)
    folder = folder_of(image or "")
    while folder and folder not in homes:
        folder = folder_of(folder)
    return image if folder in ("", folder_of(task.file)) else None


def _frames_there(images: Iterable[str]) -> dict[int, str]:
    """Number of a frame -> how its image is called, without folders and ending."""
    stems = map(stem_of, images)
    return {int(found[1]): stem for stem in stems if (found := _FRAME.fullmatch(stem))}


def _number(text: str | None) -> float:
    """The number written, or NaN: what no number is ends as a box that is not finite."""
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _numbers(attributes: dict[str, str], *names: str) -> tuple[float, ...]:
    return tuple(_number(attributes.get(name)) for name in names)


def _points(text: str) -> list[Point]:
    """The points of "x,y;x,y"."""
    pairs = (pair.partition(",") for pair in text.split(";"))
    return [(_number(x), _number(y)) for x, _, y in pairs]


def _around_ellipse(
    attributes: dict[str, str], degrees: float
) -> tuple[float, float, float, float]:
    """The upright box around an ellipse turned about its centre."""
    x, y, across, down = _numbers(attributes, "cx", "cy", "rx", "ry")
    if not math.isfinite(degrees):
        return (math.nan, math.nan, math.nan, math.nan)
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    half_width = math.hypot(across * cos, down * sin)
    half_height = math.hypot(across * sin, down * cos)
    return (x - half_width, y - half_height, x + half_width, y + half_height)
