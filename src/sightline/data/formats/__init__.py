"""Annotation formats: one reader and one writer each."""

from __future__ import annotations

from collections.abc import Callable

from sightline.data.formats.coco import read_coco
from sightline.data.formats.contents import Contents
from sightline.data.formats.listing import Listing
from sightline.data.formats.voc import read_voc

# A reader answers what it found, or in a few words why the files are not its own.
READERS: dict[str, Callable[[Listing], Contents | str]] = {"voc": read_voc, "coco": read_coco}
