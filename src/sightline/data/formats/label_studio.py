"""Label Studio JSON: a list of tasks, or a file a task, regions in percent of the image's size.

Read are the export called JSON, "completions" of old versions included, and JSON-MIN, where each
entry is one annotation without its task. Values are shares of the upright image; image_rotation
only says how it was turned on the screen. A rectangle with a rotation is turned clockwise about
its top left corner, in pixels, which is why it needs the image's size. Rectangles, polygons and
ellipses become boxes, one for each of their labels; what else there is (brushes, key points,
texts) is counted and left out. Predictions, drafts and relations are ignored.

Where several people labelled a task, the annotation marked as ground truth counts, else the one
saved last; cancelled ones never do. A task that nobody labelled is left out; one that was saved
without a region is an image without boxes.

An image is found by the last part of its address among the data set's images, also without the
eight hexadecimal digits that an upload puts before its name. Nothing is fetched.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from msgspec import Raw

from sightline.data.formats.contents import (
    Contents,
    RawBox,
    RawImage,
    Reading,
    bounding_box,
    order_splits,
    tidy_name,
)
from sightline.data.formats.image_names import folder_of, name_of, split_named_in, stem_of
from sightline.data.formats.jsonfile import JsonFile, object_parts, value_of
from sightline.data.formats.listing import Listing
from sightline.data.formats.shapes import (
    Tally,
    ellipse_corners,
    number,
    points_of,
    shown,
    size_of,
    turned_corners,
)
from sightline.data.images import IMAGE_SUFFIXES

_LABELS = ("rectanglelabels", "polygonlabels", "ellipselabels", "labels")
_NUMBERS = ("x", "y", "width", "height", "rotation", "radiusX", "radiusY")
_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")
_NULL = Raw(b"null")


@dataclass
class _Annotation:
    """What one person drew on one image: `results` as the file has them."""

    results: list[Any]
    saved: str = ""
    is_truth: bool = False


@dataclass
class _Task:
    """An image with what people drew on it. names: what its file may be called, likeliest first."""

    file: str
    line: int | None
    names: list[str]
    annotations: list[_Annotation] = field(default_factory=list)
    is_cancelled: bool = False


def read_label_studio(listing: Listing) -> Contents | str:
    """What the JSON files say, or why this is no Label Studio export."""
    found, damaged = listing.json_files
    files = [json for json in found if _is_export(json) or _is_minimal(json)]
    if not files:
        return 'Label Studio: no .json with "data" and "annotations", and no JSON-MIN'
    reading = Reading(listing, list(damaged))
    images: dict[str, RawImage] = {}
    for json in files:
        tally = Tally()
        several = 0
        tasks = _read_minimal(reading, json) if _is_minimal(json) else _read_tasks(reading, json)
        for task in tasks:
            several += len(task.annotations) > 1
            _add_image(reading, task, images, tally)
        tally.report(reading, json.file)
        if several:
            message = (
                f"{several} task(s) labelled more than once: ground truth, else the last counts"
            )
            reading.report("info", "annotation-several", json.file, None, message)
    return Contents(
        "label-studio",
        listing,
        tuple(raw for _, raw in sorted(images.items())),
        reading.read_classes(),
        order_splits(name for raw in images.values() for name in raw.splits),
        tuple(reading.problems),
    )


def _is_export(json: JsonFile) -> bool:
    """Tasks, one task, or one annotation with its task as a cloud storage gets it."""
    return (
        {"data", "annotations"} <= json.keys
        or {"data", "completions"} <= json.keys
        or (not json.is_list and {"task", "result"} <= json.keys)
    )


def _is_minimal(json: JsonFile) -> bool:
    return json.is_list and {"annotation_id", "annotator"} <= json.keys


def _read_entries(reading: Reading, file: str) -> Iterator[tuple[int | None, dict[str, Raw]]]:
    """The objects in the file's list, or its one object, with the line each begins in."""
    document = reading.read_json(file)
    if document is None:
        return
    if isinstance(document.top, dict):
        yield None, document.top
        return
    for part in document.top:
        line, entry = document.line_of(part), object_parts(part)
        if entry is None:
            message = f"no task: {shown(value_of(part))}; left out"
            reading.report("warning", "entry-damaged", file, line, message)
        else:
            yield line, entry


def _read_tasks(reading: Reading, json: JsonFile) -> Iterator[_Task]:
    for line, entry in _read_entries(reading, json.file):
        if "result" in entry:
            parts = object_parts(entry.get("task", _NULL)) or {}
            drawn: Any = [{key: value_of(p) for key, p in entry.items() if key != "task"}]
        else:
            parts = entry
            drawn = value_of(entry.get("annotations", entry.get("completions", _NULL)))
        if not isinstance(drawn, list):
            message = f"annotations are no list: {shown(drawn)}; the task is left out"
            reading.report("warning", "entry-damaged", json.file, line, message)
            continue
        data, upload = (value_of(parts.get(key, _NULL)) for key in ("data", "file_upload"))
        task = _Task(json.file, line, _names(data, upload))
        is_damaged = False
        for annotation in drawn:
            results = annotation.get("result") if isinstance(annotation, dict) else None
            if not isinstance(results, list):
                is_damaged = True
                message = f"no annotation: {shown(annotation)}; left out"
                reading.report("warning", "entry-damaged", json.file, line, message)
            elif annotation.get("was_cancelled") is True or annotation.get("skipped") is True:
                task.is_cancelled = True
            else:
                is_truth = annotation.get("ground_truth") is True
                task.annotations.append(_Annotation(results, _saved(annotation), is_truth))
        if task.annotations or not is_damaged:
            yield task


def _read_minimal(reading: Reading, json: JsonFile) -> Iterator[_Task]:
    """The tasks of JSON-MIN, whose entries with one id are annotations of one task."""
    tasks: dict[object, _Task] = {}
    for line, entry in _read_entries(reading, json.file):
        fields = {key: value_of(part) for key, part in entry.items()}
        results = [
            {**region, "id": None, "type": name, "value": region}
            if isinstance(region, dict)
            else {"type": name, "value": {}}
            for name, regions in fields.items()
            if isinstance(regions, list)
            for region in regions
        ]
        key = fields.get("id")
        key = key if isinstance(key, int | str) else object()
        task = tasks.setdefault(key, _Task(json.file, line, _names(fields, None)))
        task.annotations.append(_Annotation(results, _saved(fields)))
    yield from tasks.values()


def _saved(annotation: dict[str, Any]) -> str:
    """When it was saved, as a text that sorts by time; empty where it does not say."""
    when = annotation.get("updated_at") or annotation.get("created_at")
    return when if isinstance(when, str) else ""


def _names(data: Any, upload: Any) -> list[str]:
    """What a task calls its image: the field "image", else all that end like one; its upload."""
    fields = data if isinstance(data, dict) else {}
    said = fields.get("image")
    likely = [said] if isinstance(said, str) else filter(_ends_like_image, fields.values())
    return [name for name in (*likely, upload) if isinstance(name, str) and name]


def _ends_like_image(value: Any) -> bool:
    return isinstance(value, str) and any(
        os.path.splitext(path)[1].lower() in IMAGE_SUFFIXES for path in _paths(value)
    )


def _paths(address: str) -> list[str]:
    """The paths, in the data set or elsewhere, that a file's path or address may stand for."""
    if address.startswith("data:"):  # no address but the image itself
        return []
    path, _, query = address.partition("?")
    if query.startswith("d="):  # /data/local-files/?d=folder/a.jpg
        path = query[2:].partition("&")[0]
    paths = [unquote(path), path]
    for folder, slash, name in [text.rpartition("/") for text in paths]:
        if _UPLOADED.match(name):
            paths.append(folder + slash + name[9:])
    return paths


def _find_image(reading: Reading, task: _Task) -> str | None:
    for path in (path for name in task.names for path in _paths(name)):
        found = reading.find_image(path, task.file, task.line)
        if found is None and "." not in name_of(path):
            found = reading.find_stem(path, task.file, task.line)
        if found is not None:
            return found
    return None


def _add_image(reading: Reading, task: _Task, images: dict[str, RawImage], tally: Tally) -> None:
    """Add the task's image with its boxes, or report why there is none."""

    def report(code: str, message: str) -> None:
        reading.report("warning", code, task.file, task.line, message)

    said = shown(task.names[0]) if task.names else "a task without an image"
    if not task.annotations:
        why = "skipped by whoever should label it" if task.is_cancelled else "labelled by nobody"
        report("annotation-missing", f"{said}: {why}; left out")
        return
    image = _find_image(reading, task)
    if image is None:
        report("image-missing", f"its image is not there: {said}" if task.names else said)
        return
    if image in images:
        report("image-claimed-twice", f"{image} is in two tasks; the boxes of the first are kept")
        return
    ranked = [(a.is_truth, a.saved, index) for index, a in enumerate(task.annotations)]
    results = task.annotations[max(ranked)[2]].results
    sizes = (
        size_of(result.get("original_width"), result.get("original_height"))
        for result in results
        if isinstance(result, dict)
    )
    size = next(filter(None, sizes), None)
    boxes = _read_regions(reading, task, results, size, tally)
    split = split_named_in(stem_of(task.file)) or split_named_in(name_of(folder_of(task.file)))
    splits = (split,) if split else ()
    images[image] = RawImage(image, task.file, boxes, size, task.line, splits, is_normalised=True)


def _read_regions(
    reading: Reading,
    task: _Task,
    results: list[Any],
    size: tuple[float, float] | None,
    tally: Tally,
) -> tuple[RawBox, ...]:
    """The boxes of an annotation: one for each label of each region that has an area."""
    boxes: list[RawBox] = []

    def report(code: str, message: str) -> None:
        reading.report("warning", code, task.file, task.line, f"{message}; left out")

    for region in _join_results(results, report):
        value = next((value for _, value in region if _shape(value)), None)
        if value is None:
            for kind, _ in region:
                tally.leave_out(kind)
            continue
        shape = _shape(value)
        box_xyxy = _read_box(value, size)
        if isinstance(box_xyxy, str):
            report("box-missing", box_xyxy)
            continue
        tally.polygons += shape == "polygon"
        tally.ellipses += shape == "ellipse"
        tally.rotated += shape == "rectangle" and _is_turned(value)
        labels = [label for _, value in region for key in _LABELS for label in _list(value, key)]
        for label in labels or [None]:
            name = tidy_name(label) if isinstance(label, str) else ""
            if name:
                boxes.append(RawBox(name, box_xyxy, task.line))
            else:
                report("class-empty", f"{shape} without a label")
    return tuple(boxes)


def _join_results(
    results: list[Any], report: Callable[[str, str], None]
) -> list[list[tuple[Any, dict[str, Any]]]]:
    """Regions, each as its results' types and values: its shape, its label, answers about it.

    Results of one region have one id; JSON-MIN leaves it out, but repeats the shape.
    """
    regions: dict[object, list[tuple[Any, dict[str, Any]]]] = {}
    for index, result in enumerate(results):
        fields = result if isinstance(result, dict) else {}
        kind, value, key = fields.get("type"), fields.get("value"), fields.get("id")
        if kind == "relation":
            continue
        if not isinstance(value, dict):
            report("entry-damaged", f"no region: {shown(result)}")
            continue
        if not isinstance(key, str) or not key:
            key = _geometry(value) if _shape(value) else index
        regions.setdefault(key, []).append((kind, value))
    return list(regions.values())


def _geometry(value: dict[str, Any]) -> tuple[object, ...]:
    """What is equal for equal shapes."""
    numbers = (number(value.get(name)) for name in _NUMBERS)
    return (*numbers, *(points_of(value.get("points")) or ()))


def _shape(value: dict[str, Any]) -> str | None:
    """What a region's value draws; None for what has no area."""
    if "points" in value:
        return "polygon"
    if "radiusX" in value and "radiusY" in value:
        return "ellipse"
    return "rectangle" if "width" in value and "height" in value else None


def _list(value: dict[str, Any], key: str) -> list[Any]:
    entries = value.get(key)
    return entries if isinstance(entries, list) else []


def _is_turned(value: dict[str, Any]) -> bool:
    turn = value.get("rotation")
    return turn is not None and number(turn) % 360 != 0


def _read_box(
    value: dict[str, Any], size: tuple[float, float] | None
) -> tuple[float, float, float, float] | str:
    """The upright box around a region, as shares of the image, or why there is none."""
    if "points" in value:
        points = points_of(value["points"]) or []
        if len(points) < 3:
            return f"polygon of {len(points)} point(s)"
        return bounding_box((x / 100, y / 100) for x, y in points)
    x, y = number(value.get("x")) / 100, number(value.get("y")) / 100
    is_ellipse = "radiusX" in value
    sides = ("radiusX", "radiusY") if is_ellipse else ("width", "height")
    width, height = (number(value.get(side)) / 100 for side in sides)
    # Turning keeps lengths in pixels: a share of the width and one of the height differ.
    across, down, degrees = 1.0, 1.0, 0.0
    if _is_turned(value):
        if size is None:
            return "turned region without original_width and original_height"
        (across, down), degrees = size, number(value["rotation"])
    elif not is_ellipse:
        return (x, y, x + width, y + height)
    pivot = (x * across, y * down)
    width, height = width * across, height * down
    if is_ellipse:
        corners = ellipse_corners(pivot, width, height, degrees)
    else:
        corners = turned_corners(pivot, 0, 0, width, height, degrees)
    return bounding_box((px / across, py / down) for px, py in corners)
