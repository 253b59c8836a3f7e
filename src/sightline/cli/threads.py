"""How torch's worker threads wait, which must be said before torch is imported."""

from __future__ import annotations

import os


def let_threads_sleep() -> None:
    """Make OpenMP threads sleep while they wait, unless the user said otherwise.

    Threads that spin take the cores from everything else: on two busy cores a training step took
    8 to 18 s instead of 1.5.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("GOMP_SPINCOUNT", "0")
