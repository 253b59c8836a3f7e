"""TensorFlow, imported without its noise."""

from __future__ import annotations

import os
from typing import Any

from sightline.errors import MissingExtra
from sightline.runtime.quiet import quiet_stderr


def import_tensorflow(purpose: str) -> Any:
    """The module, imported without a word on the terminal; `purpose` as in "running a SavedModel".

    TF_CPP_MIN_LOG_LEVEL stays set: TensorFlow reads it again when the first operation runs. A
    value set by the user is kept.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    try:
        with quiet_stderr():
            import tensorflow
    except ImportError as error:
        raise MissingExtra(purpose, "tensorflow") from error
    return tensorflow
