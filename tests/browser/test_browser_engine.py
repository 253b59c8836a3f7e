"""Artefacts in a real browser, driven from Python: what they find, and how they fail."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sightline.errors import BundleDamaged, MissingBrowser
from sightline.manifest import FileEntry, Manifest, read_manifest
from sightline.runtime.chromium import BrowserPage, PageFailed
from sightline.runtime.engine import Outputs, open_engine
from sightline.runtime.engines.browser import BrowserEngine
from sightline.runtime.fileserver import FileServer

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.usefixtures("built_page")]

# Sums of float32 in another order; 1e-5 and 0.002 px of 320 were seen over the golden images.
SCORE_TOLERANCE = 1e-4
NORM_TOLERANCE = 1e-4
# Candidates below it may swap places in near-ties.
COMPARED_FROM = 0.05


@pytest.fixture(scope="module")
def golden_images(shared: Path) -> NDArray[np.uint8]:
    """(4, 320, 320, 3) RGB."""
    images: NDArray[np.uint8] = np.load(shared / "models" / "golden-atto.npz")["images_uint8"]
    return images


@pytest.fixture(scope="module")
def expected(atto_bundle: Path, golden_images: NDArray[np.uint8]) -> list[Outputs]:
    """What native ONNX Runtime says of the golden images."""
    engine = open_engine(atto_bundle, read_manifest(atto_bundle), threads=1)
    return [engine.run(image) for image in golden_images]


@pytest.fixture(scope="module")
def graph_model(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Manifest]:
    """A TensorFlow.js graph model of a few nodes and its manifest.

    Three fixed boxes; their scores are the means of the image's channels, 0..1; any size.
    """
    folder = tmp_path_factory.mktemp("graph-model")
    return folder, write_graph_model(folder)


def test_onnxruntime_web_finds_what_the_native_one_finds(
    atto_bundle: Path, golden_images: NDArray[np.uint8], expected: list[Outputs]
) -> None:
    manifest = read_manifest(atto_bundle)
    with closing(open_engine(atto_bundle, manifest, runtime="onnxruntime-web/wasm")) as engine:
        for image, outputs in zip(golden_images, expected, strict=True):
            assert_alike(engine.run(image), outputs)


def test_webgpu_computes_on_webgpu_and_finds_the_same(
    atto_bundle: Path, golden_images: NDArray[np.uint8], expected: list[Outputs]
) -> None:
    manifest = read_manifest(atto_bundle)
    engine = BrowserEngine.open(atto_bundle, manifest, runtime="onnxruntime-web/webgpu")
    with closing(engine):
        assert engine.device.startswith("webgpu")
        # one image: WebGPU in software takes seconds; and a run without a dispatch is an error
        assert_alike(engine.run(golden_images[0]), expected[0])


def test_threads_are_those_asked_for_and_change_nothing(
    atto_bundle: Path, golden_images: NDArray[np.uint8], expected: list[Outputs]
) -> None:
    manifest = read_manifest(atto_bundle)
    engine = BrowserEngine.open(atto_bundle, manifest, runtime="onnxruntime-web/wasm", threads=2)
    with closing(engine):
        assert engine.device == "wasm, threads: 2"
        assert_alike(engine.run(golden_images[0]), expected[0])


@pytest.mark.parametrize("backend", ["wasm", "webgl"])
def test_a_graph_model_sees_the_pixels_as_they_are(
    graph_model: tuple[Path, Manifest], backend: str
) -> None:
    engine = BrowserEngine.open(*graph_model, runtime=f"tfjs/{backend}")
    with closing(engine):
        assert engine.device.startswith(backend)
        assert len(engine.time(np.zeros((4, 4, 3), np.uint8), 3)) == 3
        for height, width in ((1, 1), (5, 7), (64, 32)):
            image = np.random.default_rng(height).integers(0, 256, (height, width, 3), np.uint8)
            image[..., 1] //= 2  # so that the order of scores is not that of the labels
            outputs = engine.run(image)
            means = image.reshape(-1, 3).mean(axis=0) / 255
            order = np.argsort(-means, kind="stable")
            np.testing.assert_array_equal(outputs.label_ids, order)
            np.testing.assert_allclose(outputs.scores, means[order], atol=1e-6)
            corners = np.array(BOXES_YXYX, np.float32)[order][:, [1, 0, 3, 2]]
            np.testing.assert_array_equal(outputs.boxes_xyxy_norm, corners)


@pytest.mark.parametrize("backend", ["wasm", "webgl"])
def test_a_graph_whose_shapes_depend_on_values_runs_too(tmp_path: Path, backend: str) -> None:
    manifest = write_graph_model(tmp_path, is_dynamic=True)
    image = np.full((4, 6, 3), (51, 204, 102), np.uint8)
    with closing(open_engine(tmp_path, manifest, runtime=f"tfjs/{backend}")) as engine:
        for _ in range(2):
            outputs = engine.run(image)
            np.testing.assert_array_equal(outputs.label_ids, [1, 2, 0])
            np.testing.assert_allclose(outputs.scores, [0.8, 0.4, 0.2], atol=1e-6)


def test_a_runtime_in_a_browser_opens_where_an_event_loop_runs(
    graph_model: tuple[Path, Manifest],
) -> None:
    async def notebook_cell() -> int:
        with closing(open_engine(*graph_model, runtime="tfjs/wasm")) as engine:
            return len(engine.run(np.zeros((4, 4, 3), np.uint8)).scores)

    # in a thread of its own: in this one the other tests' Playwright keeps a loop running
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(asyncio.run, notebook_cell()).result() == 3


def test_the_page_s_own_message_is_the_error_s(tmp_path: Path) -> None:
    manifest = write_graph_model(tmp_path, mean="NoSuchOp")
    with (
        pytest.raises(BundleDamaged, match=r"toy does not run in tfjs/wasm: .*NoSuchOp"),
        closing(open_engine(tmp_path, manifest, runtime="tfjs/wasm")) as engine,
    ):
        engine.run(np.zeros((4, 4, 3), np.uint8))


def test_a_truncated_file_is_an_error(tmp_path: Path) -> None:
    manifest = write_graph_model(tmp_path)
    (tmp_path / "model.json").write_text('{"format": "graph-mo')
    with pytest.raises(BundleDamaged, match="toy does not run in tfjs/wasm"):
        open_engine(tmp_path, manifest, runtime="tfjs/wasm")


def test_an_unbuilt_page_says_how_to_build_it(
    graph_model: tuple[Path, Manifest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sightline.runtime.engines.browser.STATIC", tmp_path)
    with pytest.raises(MissingBrowser, match=r"hatch_build\.py"):
        open_engine(*graph_model, runtime="tfjs/wasm")


def test_a_program_that_is_no_browser_says_so(
    graph_model: tuple[Path, Manifest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_BROWSER", sys.executable)
    with pytest.raises(MissingBrowser, match="does not start"):
        open_engine(*graph_model, runtime="tfjs/wasm")


@pytest.fixture
def page() -> Iterator[BrowserPage]:
    server = FileServer({"empty.html": b"<title>empty</title>"})
    opened = BrowserPage(server.url + "empty.html")
    yield opened
    opened.close()
    server.close()


def test_a_page_is_isolated_and_reaches_nothing_else(page: BrowserPage) -> None:
    assert page.call("() => crossOriginIsolated", timeout_s=30) is True
    fetched = "(url) => fetch(url, { mode: 'no-cors' }).then(() => true, () => false)"
    for url in ("http://localhost:9/", "https://example.com/"):
        assert page.call(fetched, url, timeout_s=30) is False


@pytest.mark.parametrize("function", ["() => { for (;;); }", "() => new Promise(() => {})"])
def test_a_page_that_hangs_is_an_error_and_can_be_closed(page: BrowserPage, function: str) -> None:
    with pytest.raises(PageFailed, match="no answer within 1 s"):
        page.call(function, timeout_s=1)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_a_page_that_crashes_is_an_error(page: BrowserPage) -> None:
    renderers = [pid for pid in descendants(os.getpid()) if b"--type=renderer" in command(pid)]
    assert renderers
    for pid in renderers:
        os.kill(pid, signal.SIGKILL)
    with pytest.raises(PageFailed, match="crash"):
        page.call("() => new Promise(() => {})", timeout_s=60)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_a_killed_python_leaves_no_browser_behind() -> None:
    program = (
        "import time; from sightline.runtime.chromium import BrowserPage\n"
        "page = BrowserPage('about:blank'); print('open', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as python:
        assert python.stdout is not None
        assert python.stdout.readline() == b"open\n"
        left = set(descendants(python.pid))
        assert any(b"--headless" in command(pid) for pid in left)
        python.kill()
    deadline = time.monotonic() + 60
    while any(b"--headless" in command(pid) for pid in left):
        assert time.monotonic() < deadline, [command(pid) for pid in left]
        time.sleep(0.1)


def assert_alike(found: Outputs, expected: Outputs) -> None:
    """Row by row above the floor: both are sorted by score, and near-ties are far below it."""
    np.testing.assert_allclose(found.scores, expected.scores, atol=SCORE_TOLERANCE)
    strong = expected.scores >= COMPARED_FROM
    assert strong.sum() >= 5
    np.testing.assert_array_equal(found.label_ids[strong], expected.label_ids[strong])
    np.testing.assert_allclose(
        found.boxes_xyxy_norm[strong], expected.boxes_xyxy_norm[strong], atol=NORM_TOLERANCE
    )


BOXES_YXYX = ((0.0, 0.25, 0.5, 0.75), (0.125, 0.0, 1.0, 0.5), (0.5, 0.5, 0.75, 1.0))


def write_graph_model(folder: Path, *, mean: str = "Mean", is_dynamic: bool = False) -> Manifest:
    """Write model.json and one shard; the scores come from the operation `mean`.

    is_dynamic: NMS, which drops nothing here, picks the outputs: TensorFlow.js then has to wait
    in the middle of the graph.
    """
    real, whole = {"type": "DT_FLOAT"}, {"type": "DT_INT32"}
    weights = {
        "boxes": np.array(BOXES_YXYX, np.float32),
        "classes": np.array([1, 2, 3], np.float32),
        "scale": np.array([1 / 255], np.float32),
        "axes": np.array([0, 1, 2], np.int32),
        "most": np.array(3, np.int32),
        "overlap": np.array(0.9, np.float32),
        "floor": np.array(-1, np.float32),
        "axis": np.array(0, np.int32),
    }
    nodes = [
        node("input_tensor", "Placeholder", dtype=whole),
        *(
            node(name, "Const", dtype=real if value.dtype == np.float32 else whole)
            for name, value in weights.items()
        ),
        node("real", "Cast", "input_tensor", SrcT=whole, DstT=real),
        node("means", mean, "real", "axes", keep_dims={"b": False}, T=real, Tidx=whole),
        node("scores", "Mul", "means", "scale", T=real),
    ]
    outputs = ("boxes", "scores", "classes")
    if is_dynamic:
        given = ("boxes", "scores", "most", "overlap", "floor")
        nodes.append(node("kept", "NonMaxSuppressionV3", *given, T=real, T_threshold=real))
        for name in outputs:
            types = {"Tparams": real, "Tindices": whole, "Taxis": whole, "batch_dims": {"i": "0"}}
            nodes.append(node(f"kept_{name}", "GatherV2", name, "kept", "axis", **types))
        outputs = ("kept_boxes", "kept_scores", "kept_classes")
    entries = [
        {"name": name, "shape": list(value.shape), "dtype": str(value.dtype)}
        for name, value in weights.items()
    ]
    (folder / "group1-shard1of1.bin").write_bytes(b"".join(w.tobytes() for w in weights.values()))
    model = {
        "format": "graph-model",
        "modelTopology": {"node": nodes, "versions": {"producer": 1}},
        "weightsManifest": [{"paths": ["group1-shard1of1.bin"], "weights": entries}],
    }
    (folder / "model.json").write_text(json.dumps(model))
    return Manifest(
        name="toy",
        labels=("red", "green", "blue"),
        width=8,
        height=8,
        score_threshold=0.5,
        nms_iou=None,
        max_detections=3,
        target="tfjs",
        resize="in-graph",
        input_name="input_tensor",
        output_names=outputs,
        box_format="yxyx_norm",
        first_label=1,
        # the engine opens what open_engine's callers have verified
        files={name: FileEntry(0, "") for name in ("model.json", "group1-shard1of1.bin")},
    )


def node(name: str, op: str, *inputs: str, **attributes: object) -> dict[str, object]:
    """A node of a graph in TensorFlow's JSON."""
    return {"name": name, "op": op, "input": list(inputs), "attr": attributes}


def descendants(pid: int) -> list[int]:
    """Process ids of a process's children and theirs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except OSError:
                continue  # ended meanwhile
            parent = int(stat.rpartition(")")[2].split()[1])
            parents.setdefault(parent, []).append(int(entry.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def command(pid: int) -> bytes:
    """The command line of a process, empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
