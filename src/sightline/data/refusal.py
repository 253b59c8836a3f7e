"""Why a path is no data set, in a few words, with what to do about it.

Knows the names of the files and what each format's reader answered.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from sightline.data.formats.listing import Listing
from sightline.data.hints import HINTS
from sightline.data.images import IMAGE_SUFFIXES

_ARCHIVES = {".zip", ".gz", ".tgz", ".tar", ".bz2", ".xz", ".7z", ".rar"}
_JSON_FORMATS = "COCO, LabelMe, Label Studio, CreateML or Datumaro"
_LONGEST = 300  # characters of what readers said


def explain_refusal(path: Path, listing: Listing, answers: Sequence[str]) -> str:
    """What to tell of a path whose files no reader knows. answers: "FORMAT: why not" of each."""
    if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES:
        return f"{path} is one image; give its folder"
    endings = Counter(os.path.splitext(file)[1].lower() for file in listing.annotations)
    photos = _count(len(listing.images), "photo")
    if not endings:
        if not listing.images:
            return f"{path} is empty: there is neither an image nor an annotation in it"
        return (
            f"{path} has {photos} and no annotations: label them with LabelImg, or another tool "
            "whose format stands in docs/data.md"
        )
    if endings.keys() <= _ARCHIVES:
        name = listing.annotations[0]
        others = _count(len(listing.annotations) - 1, "more archive")
        more = f" (and {others})" if len(listing.annotations) > 1 else ""
        is_taken = name.lower().endswith(".zip") and path.is_dir()
        advice = "give that file itself" if is_taken else "unpack it first"
        return f"{path} has no annotations but in {name}{more}: {advice}"
    reasons = _reasons(listing, endings, answers)
    damaged = [f"{problem.file}: {problem.message}" for problem in listing.json_files[1]]
    if damaged:  # before all that is only of another kind
        more = f" ({len(damaged)} such files)" if len(damaged) > 1 else ""
        reasons.insert(0, f"{damaged[0]}{more}; {HINTS['json-damaged']}")
    if not reasons:
        others = ", ".join(sorted(ending or "no ending" for ending in endings))
        reasons = [f"{photos} and no annotations, only other files ({others})"]
    said = "; ".join(reasons)
    said = said if len(said) <= _LONGEST else f"{said[: _LONGEST - 4]} ..."
    return f"{path} is no data set that is known here: {said}. docs/data.md lists the formats"


def _reasons(listing: Listing, endings: Counter[str], answers: Sequence[str]) -> list[str]:
    """What readers said that had files to look at, and of what kinds others are not."""
    told = [answer for answer in answers if not answer.partition(": ")[2].startswith("no ")]
    sound, damaged = listing.json_files
    if damaged:  # told of elsewhere
        told = [answer for answer in told if not answer.startswith(f"COCO: {damaged[0].file}: ")]
    general = [answer for answer in told if re.match(r"COCO: \d+ \.json, ", answer)]
    if general:  # each format that is kept in .json would say the same
        told.remove(general[0])
        told.append(f"none of {_count(len(sound), '.json file')} is {_JSON_FORMATS}")
    if endings[".txt"]:
        told += [answer for answer in answers if answer.startswith("YOLO: no ")]
    return told


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
