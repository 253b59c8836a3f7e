"""The same object's number from frame to frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


class Tracker:
    """One stream's objects. Not for several threads at once."""

    def __init__(self, threshold: float) -> None:
        """threshold: the score from which an object is shown."""
        raise NotImplementedError

    def update(
        self,
        boxes_xyxy: NDArray[np.float32],
        scores: NDArray[np.float32],
        label_ids: NDArray[np.int32],
        time_s: float,
    ) -> NDArray[np.int32]:
        """(N,) int32: each candidate's number, from 1; 0 for one that is not to be shown."""
        raise NotImplementedError
