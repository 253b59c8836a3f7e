"""Which label map goes with which record file, and what was wrong with either.

Label maps are looked for beside a record file, then in the folders above, then anywhere in the
data set; for a file given itself, beside it. Knows nothing of records.
"""

from __future__ import annotations

import os
import re

from sightline.data.formats.contents import Reading
from sightline.data.formats.image_names import folder_of, name_of
from sightline.data.formats.labelmap import LabelItem, read_label_map
from sightline.data.formats.tfrecord_fields import Classes

# TensorFlow writes its graphs to .pbtxt as well, of any size and without an item.
_ITEM = re.compile(rb"\bitem\s*:?\s*[{<\[]")
_LARGEST = 1 << 24
_SHOWN = 5


class LabelMaps:
    """The label maps of a data set, read when a record file asks for them."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._items: dict[str, list[LabelItem]] = {}
        self._of_folder: dict[str, str | None] = {}
        self._classes: dict[str | None, Classes] = {}
        # Of those without a label map: the first record file, which problems name.
        self._without: str | None = None
        listing = reading.listing
        self._files = listing.with_suffix(".pbtxt")
        if not self._files and len(listing.annotations) == 1:
            try:
                beside = sorted(os.listdir(listing.root))
            except OSError:
                return
            self._files = [file for file in beside if file.lower().endswith(".pbtxt")]

    def classes_of(self, file: str) -> Classes:
        """The classes of a record file; the same object for all that share a label map."""
        folder = folder_of(file)
        if folder not in self._of_folder:
            self._of_folder[folder] = self._nearest(folder)
        chosen = self._of_folder[folder]
        if chosen is None:
            self._without = self._without or file
        if chosen not in self._classes:
            self._classes[chosen] = Classes(None if chosen is None else self._read(chosen))
        return self._classes[chosen]

    def join_classes(self) -> tuple[str, ...]:
        """All classes in the order of their ids, and a report of where records and maps differ."""
        ids: dict[str, float] = {}
        for chosen, classes in self._classes.items():
            self._report_differences(chosen or self._without or ".", classes)
            for name, number in classes.ids().items():
                ids[name] = min(number, ids.get(name, number))
        return tuple(sorted(ids, key=lambda name: (ids[name], name)))

    def _report_differences(self, file: str, classes: Classes) -> None:
        def report(code: str, message: str) -> None:
            self._reading.report("warning", code, file, None, message)

        if classes.is_numbered:
            message = "no label map (.pbtxt) beside it: classes are called by their numbers"
            report("labelmap-missing", message)
        if classes.items is not None and classes.unknown:
            told = ", ".join(map(repr, list(classes.unknown)[:_SHOWN]))
            rest = len(classes.unknown) - _SHOWN
            more = f" and {rest} more" if rest > 0 else ""
            so = "taken as classes" if classes.is_used else "taken as the classes, not the map's"
            report("class-not-in-map", f"has no item for {told}{more} of the records: {so}")
        if classes.contradictions:
            message = (
                f"{classes.contradictions} box(es) of the records have a label that means another "
                f"class than their text (first {classes.first_contradiction}); the text counts"
            )
            report("class-contradicts", message)

    def _nearest(self, folder: str) -> str | None:
        """The label map for record files in that folder."""
        candidates = [[f for f in self._files if folder_of(f) == folder]]
        while folder:
            folder = folder_of(folder)
            candidates.append([f for f in self._files if folder_of(f) == folder])
        candidates.append(self._files)
        for files in candidates:
            found = [file for file in files if self._read(file)]
            if found:
                chosen = min(found, key=lambda file: ("label" not in name_of(file).lower(), file))
                others = ", ".join(file for file in found if file != chosen)
                if others:
                    message = f"is the label map that is used, not {others}"
                    self._reading.report("warning", "labelmap-several", chosen, None, message)
                return chosen
        return None

    def _read(self, file: str) -> list[LabelItem]:
        if file not in self._items:
            self._items[file] = self._parse(file)
        return self._items[file]

    def _parse(self, file: str) -> list[LabelItem]:
        path = self._reading.listing.path(file)
        try:
            with path.open("rb") as opened:
                data = opened.read(_LARGEST)
        except OSError as error:
            why = f"cannot be read: {error.strerror}"
            self._reading.report("error", "file-unreadable", file, None, why)
            return []
        if not _ITEM.search(data):
            return []
        items, faults = read_label_map(data.decode("utf-8-sig", "replace"))
        for fault in faults:
            self._reading.report(fault.severity, fault.code, file, fault.line, fault.message)
        return items
