"""How the machine is shared out."""

from __future__ import annotations

from pathlib import Path

import pytest

from sightline.errors import UsageError
from sightline.runtime.engines.onnx import available_cores
from sightline.server.config import ServeConfig
from sightline.server.plan import Plan, choose_plan
from sightline.server.served import ModelStore


def test_what_is_set_is_kept_and_not_measured(atto_bundle: Path) -> None:
    assert choose_plan(atto_bundle, ServeConfig(workers=3, threads=2)) == Plan(3, 2, "auto")


def test_what_is_not_set_is_measured(atto_bundle: Path) -> None:
    plan = choose_plan(atto_bundle, ServeConfig())
    assert 1 <= plan.workers * plan.threads <= available_cores()
    assert available_cores() == 1 or plan.images_per_s > 1


def test_a_device_that_is_not_there_says_what_to_install(atto_bundle: Path) -> None:
    with pytest.raises(UsageError, match="pip install onnxruntime-openvino"):
        choose_plan(atto_bundle, ServeConfig(device="openvino"))


def test_sessions_are_shared_unless_they_have_threads_of_their_own(atto_bundle: Path) -> None:
    alike = ModelStore.load([atto_bundle], Plan(workers=2, threads=1)).default
    assert alike.detector(0) is alike.detector(1)
    apart = ModelStore.load([atto_bundle], Plan(workers=2, threads=2)).default
    assert apart.detector(0) is not apart.detector(1)
