"""What an adapter makes of a foreign model, before it is a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sightline.manifest import Manifest


@dataclass(frozen=True)
class Adapted:
    """The bundle's files by their path in it, and its manifest, as yet without those files.

    kind: the family, in words. pixels: how the network is fed, None where its graph says. notes:
    what was guessed, a sentence each.
    """

    kind: str
    manifest: Manifest
    files: Mapping[str, bytes | Path]
    pixels: str | None
    notes: tuple[str, ...]
