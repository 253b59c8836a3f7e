"""The kinds of things that starter weights are trained on: parametric, random, quick to draw.

quickstart's own kinds are others (quickstart.py), so that it really learns something new.
"""

from __future__ import annotations

from sightline.data.drawn.household import HOUSEHOLD_KINDS
from sightline.data.drawn.object import Draw
from sightline.data.drawn.outdoors import OUTDOOR_KINDS

STARTER_KINDS: dict[str, Draw] = {**HOUSEHOLD_KINDS, **OUTDOOR_KINDS}
# Things that lie about at any angle; the others stand, give or take.
TURNING_KINDS = frozenset(
    {"key", "star", "arrow", "leaf", "flower", "cross", "ring", "moon", "hammer", "die", "spoon"}
    | {"pencil", "butterfly", "envelope", "glasses", "fish", "rocket", "kite", "clock"}
)
