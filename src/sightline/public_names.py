"""The Python interface's names, found when they are first used.

`sightline.train`, `sightline.evaluate` and `sightline.export` are functions of the interface and
folders of modules. Python binds a folder's name in its parent as soon as a module in it is
imported, so the folder itself must answer a call as the function does.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from sightline.errors import MissingExtra

# Packages that only the [train] extra installs.
_TRAIN_PACKAGES = frozenset(("torch", "safetensors", "scipy", "onnx", "tensorboard", "tomli_w"))


def load_public(module: str, name: str) -> Any:
    """`name` of that module. Raises MissingExtra where the module needs one that is not there."""
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] in _TRAIN_PACKAGES:
            raise MissingExtra(f"sightline.{name}", "train") from error
        raise


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return load_public(*self.__dict__["_called"])(*args, **kwargs)


def make_callable(package: str, module: str, function: str) -> None:
    """Let a call of the package, now being imported, be a call of that function."""
    sys.modules[package].__dict__["_called"] = (module, function)
    sys.modules[package].__class__ = _CallablePackage
