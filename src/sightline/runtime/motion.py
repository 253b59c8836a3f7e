"""Whether a stream's picture has changed enough to look at it again."""

from __future__ import annotations

from PIL import Image


class MotionGate:
    """One stream's memory of what its picture looked like. Not for several threads at once."""

    def __init__(self) -> None:
        raise NotImplementedError

    def has_moved(self, picture: Image.Image, time_s: float) -> bool:
        """Whether an RGB picture differs from what was last let through; the first one does."""
        raise NotImplementedError
