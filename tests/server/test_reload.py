"""A model is replaced on disk while requests go on: none is lost, nothing damaged is taken."""

from __future__ import annotations

import json
import logging
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from sightline.server import reload
from sightline.server.plan import Plan
from sightline.server.served import ModelStore

PLAN = Plan(workers=1, threads=1)


@pytest.fixture
def bundle(atto_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(atto_bundle, tmp_path / "bundle"))


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reload, "EVERY_S", 0.05)


def write_threshold(bundle: Path, threshold: float) -> None:
    """The manifest of a new version; what else it says stays true."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    manifest["score_threshold"] = threshold
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def replace_atomically(bundle: Path, threshold: float) -> None:
    made = shutil.copytree(bundle, bundle.with_name("made"))
    write_threshold(made, threshold)
    old = bundle.with_name("old")
    bundle.rename(old)
    made.rename(bundle)
    shutil.rmtree(old)


def replace_file_by_file(bundle: Path, threshold: float) -> None:
    """As a copy over a slow network would: each file is half there for a while."""
    for name in ("model.onnx", "manifest.json"):
        content = (bundle / name).read_bytes()
        if name == "manifest.json":
            content = json.dumps(json.loads(content) | {"score_threshold": threshold}).encode()
        with (bundle / name).open("wb", buffering=0) as file:
            for begin in range(0, len(content), len(content) // 4 + 1):
                file.write(content[begin : begin + len(content) // 4 + 1])
                time.sleep(0.02)


def wait_until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)


@contextmanager
def asking(client: httpx.Client, photo: bytes) -> Iterator[list[httpx.Response]]:
    """Ask on two connections while the block runs; gives all answers."""
    answers: list[httpx.Response] = []
    is_over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=client.base_url, timeout=30, trust_env=False) as own:
            while not is_over.is_set():
                answers.append(own.post("/v1/detect", content=photo))

    threads = [threading.Thread(target=ask) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        is_over.set()
        for thread in threads:
            thread.join(30)


def is_answered_with(answers: list[httpx.Response], threshold: float) -> bool:
    return bool(answers[-1].json()["threshold"] == threshold)


def test_no_request_is_lost_while_a_model_is_replaced(
    start: Any, bundle: Path, shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = (shared / "data" / "broken" / "01_ok.jpg").read_bytes()
    thresholds = [0.31, 0.32, 0.33, 0.34, 0.35]
    store = ModelStore.load([bundle], PLAN)
    with start(store=store) as client, asking(client, photo) as answers:
        wait_until(lambda: len(answers) > 5)
        for threshold in thresholds:
            is_even = threshold in (0.32, 0.34)
            (replace_atomically if is_even else replace_file_by_file)(bundle, threshold)
            wait_until(partial(is_answered_with, answers, threshold))
        metrics = client.get("/metrics").text
    assert {answer.status_code for answer in answers} == {200}
    seen = list(dict.fromkeys(answer.json()["threshold"] for answer in answers))
    assert seen[-5:] == thresholds  # each version answered, in its turn
    assert 'sightline_model_reloads_total{model="deimv2-atto"} 5.0' in metrics
    assert not [each for each in caplog.records if each.levelno >= logging.ERROR]


def warnings_in(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.WARNING]


def test_a_damaged_version_is_left_and_told_of_once(
    bundle: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = ModelStore.load([bundle], PLAN)
    before, whole = store.default, (bundle / "model.onnx").read_bytes()
    (bundle / "model.onnx").write_bytes(whole[: len(whole) // 2])
    write_threshold(bundle, 0.4)
    for _ in range(6):
        assert store.refresh() == []
    assert store.default is before
    assert len(warnings_in(caplog)) == 1 and "deimv2-atto stays" in warnings_in(caplog)[0]

    (bundle / "model.onnx").write_bytes(whole[:1000])  # damaged in another way
    for _ in range(4):
        assert store.refresh() == []
    assert len(warnings_in(caplog)) == 2

    (bundle / "model.onnx").write_bytes(whole)
    assert [store.refresh(), store.refresh()] == [[], ["deimv2-atto"]]
    assert store.default.manifest.score_threshold == 0.4
    assert len(warnings_in(caplog)) == 2


@pytest.mark.parametrize("manifest", [b"", b"{", b'{"format": 99}', b"\xff\xfe"])
def test_a_manifest_that_is_none(
    bundle: Path, caplog: pytest.LogCaptureFixture, manifest: bytes
) -> None:
    store = ModelStore.load([bundle], PLAN)
    (bundle / "manifest.json").write_bytes(manifest)
    for _ in range(4):
        assert store.refresh() == []
    assert len(warnings_in(caplog)) == 1


def test_a_deleted_folder_does_no_harm(
    start: Any, bundle: Path, shared: Path, caplog: pytest.LogCaptureFixture
) -> None:
    photo = (shared / "data" / "broken" / "01_ok.jpg").read_bytes()
    kept = Path(shutil.copytree(bundle, bundle.with_name("kept")))
    with start(store=ModelStore.load([bundle], PLAN)) as client:
        shutil.rmtree(bundle)
        wait_until(lambda: len(warnings_in(caplog)) == 1)
        assert client.post("/v1/detect", content=photo).status_code == 200
        assert client.get("/models/deimv2-atto/model.onnx").status_code == 200
        write_threshold(kept, 0.4)
        os.rename(kept, bundle)
        wait_until(lambda: client.post("/v1/detect", content=photo).json()["threshold"] == 0.4)
    assert len(warnings_in(caplog)) == 1


def test_a_fault_of_ours_does_not_end_the_looking(
    start: Any, bundle: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = ModelStore.load([bundle], PLAN)
    with start(store=store) as client:
        with monkeypatch.context() as broken:
            broken.setattr(ModelStore, "refresh", lambda _: 1 / 0)
            wait_until(lambda: any("tried again" in each.getMessage() for each in caplog.records))
        write_threshold(bundle, 0.4)
        wait_until(lambda: client.get("/v1/models").json()["models"][0]["score_threshold"] == 0.4)
