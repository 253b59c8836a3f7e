"""Keeps what C++ libraries print on stderr, past Python, off the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

# The file descriptor is the process's: two threads that changed it at once could leave it shut.
_LOCK = threading.RLock()


@contextlib.contextmanager
def quiet_stderr() -> Iterator[None]:
    """Nothing written to stderr within is seen, whoever writes it. Errors still are raised.

    TensorFlow's and LiteRT's first lines cannot be turned off otherwise.
    """
    with _LOCK:
        sys.stderr.flush()
        terminal = os.dup(2)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            sys.stderr.flush()
            os.dup2(terminal, 2)
            os.close(terminal)
            os.close(nowhere)
