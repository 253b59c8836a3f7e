"""Annotation formats: a reader each, and a writer where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.data.formats.coco import read_coco, write_coco
from sightline.data.formats.contents import Contents
from sightline.data.formats.createml import read_createml, write_createml
from sightline.data.formats.csv import read_csv, write_csv
from sightline.data.formats.cvat import read_cvat
from sightline.data.formats.datumaro import read_datumaro
from sightline.data.formats.label_studio import read_label_studio
from sightline.data.formats.labelme import read_labelme
from sightline.data.formats.listing import Listing
from sightline.data.formats.open_images import read_open_images
from sightline.data.formats.tfrecord import read_tfrecord, write_tfrecord
from sightline.data.formats.voc import read_voc, write_voc
from sightline.data.formats.yolo import read_yolo, write_yolo
from sightline.data.records import Problem
from sightline.data.staging import Tick

if TYPE_CHECKING:
    from sightline.data.dataset import Dataset

# Format -> what people call it.
FORMATS: dict[str, str] = {
    "voc": "Pascal VOC",
    "coco": "COCO",
    "yolo": "YOLO",
    "createml": "CreateML",
    "csv": "CSV",
    "tfrecord": "TFRecord",
    "open-images": "Open Images CSV",
    "labelme": "LabelMe",
    "cvat": "CVAT XML",
    "label-studio": "Label Studio",
    "datumaro": "Datumaro",
}
# A reader answers what it found, or in a few words why the files are not its own.
READERS: tuple[Callable[[Listing], Contents | str], ...] = (
    read_voc,
    read_coco,
    read_labelme,
    read_cvat,
    read_yolo,
    read_label_studio,
    read_createml,
    read_datumaro,
)
# Formats that people make from others and keep beside them: looked for where none of those is.
DERIVED_READERS: tuple[Callable[[Listing], Contents | str], ...] = (
    read_csv,
    read_open_images,
    read_tfrecord,
)
# A writer answers what its format could not hold, and ticks at each image.
WRITERS: dict[str, Callable[[Dataset, Path, Tick | None], tuple[Problem, ...]]] = {
    "voc": write_voc,
    "coco": write_coco,
    "yolo": write_yolo,
    "createml": write_createml,
    "csv": write_csv,
    "tfrecord": write_tfrecord,
}
