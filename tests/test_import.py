"""The package's public names, and what importing it must not load."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import sightline

HEAVY = ("torch", "cv2", "onnxruntime", "onnx", "av", "scipy", "tensorboard", "fastapi", "rich")


def loaded_by(statement: str, *, among: tuple[str, ...] = HEAVY) -> set[str]:
    """Which of the packages are loaded after the statement, in a fresh process."""
    code = f"import sys\n{statement}\nprint(*(set(sys.modules) & set({among!r})))"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import sightline",
        "from sightline import Dataset, Detections, Detector, Metrics, evaluate, errors",
        "import sightline.cli.main",
        "from sightline.cli.main import _parser; _parser(['predict', 'm', 'x'])",
        "from sightline.cli.main import _parser; _parser(['evaluate', 'm', 'x'])",
        "from sightline.cli.main import _parser; _parser(['bench', 'm'])",
    ],
)
def test_importing_loads_nothing_heavy(statement: str) -> None:
    assert loaded_by(statement) == set()


def test_running_a_model_reaches_no_torch(tiny_bundle: object) -> None:
    statement = (
        "import numpy, sightline\n"
        f"sightline.Detector.load({str(tiny_bundle)!r})(numpy.zeros((9, 9, 3), 'uint8'))"
    )
    assert loaded_by(statement) == {"onnxruntime"}


@pytest.mark.parametrize(("name", "module"), sightline._ORIGINS.items())
def test_every_public_name_is_where_it_is_looked_for(name: str, module: str) -> None:
    assert callable(getattr(importlib.import_module(module), name))
    assert callable(getattr(sightline, name))


def test_nothing_else_is_public() -> None:
    assert set(sightline.__all__) == {*sightline._ORIGINS, "__version__", "errors"}
    assert set(sightline.__all__) <= set(dir(sightline))
    assert sightline.__version__.count(".") >= 2
    assert issubclass(sightline.errors.UsageError, sightline.SightlineError)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sightline.nonsense


def test_a_name_is_called_whether_or_not_its_folder_is_loaded() -> None:
    """`sightline.evaluate` is a function and a folder of modules: both orders must work."""
    for first in ("sightline.evaluate", "sightline.evaluate.coco", "sightline.evaluate.run"):
        statement = (
            f"import {first}, sightline\n"
            "from sightline import evaluate\n"
            "for function in (evaluate, sightline.evaluate):\n"
            "    try: function('no-such-model', None)\n"
            "    except sightline.errors.ModelNotFound: pass"
        )
        assert "onnxruntime" not in loaded_by(statement)


def test_called_twice_it_is_still_the_function() -> None:
    for _ in range(2):
        with pytest.raises(sightline.errors.ModelNotFound):
            sightline.evaluate("no-such-model", None)


def test_what_needs_an_extra_says_which() -> None:
    """As on a base install: torch is hidden from the import system."""
    statement = (
        "sys.modules['torch'] = None\n"
        "import sightline\n"
        "try: sightline.train\n"
        "except sightline.errors.MissingExtra as error:\n"
        "    assert \"pip install 'sightline[train]'\" in str(error)\n"
        "else: raise SystemExit('no error')"
    )
    loaded_by(statement)
