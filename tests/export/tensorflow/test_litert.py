"""The .tflite file: what PyTorch finds, in TFLite's own operators, described for its clients."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from sightline.detections import Detections
from sightline.errors import MissingExtra
from sightline.export.deploy import count_detections
from sightline.export.parity import Parity, compare
from sightline.export.proof import NetworkEngine
from sightline.export.tensorflow.litert import OUTPUT_NAMES, write_litert
from sightline.labels import COCO_LABELS
from sightline.manifest import Manifest
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.engines.litert import LiteRtEngine

pytest.importorskip("ai_edge_litert", reason="the [tensorflow] extra is not installed")
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter

pytestmark = pytest.mark.usefixtures("one_thread")

Network = Callable[[str], DeimV2]


@pytest.fixture(scope="module")
def atto(coco_network: Network, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Folders with deimv2-atto as .tflite; by whether its weights are float16."""
    folders = {}
    for half in (False, True):
        folders[half] = tmp_path_factory.mktemp("litert")
        write_litert(coco_network("atto"), COCO_LABELS, folders[half], half=half)
    return folders


def read(folder: Path) -> Any:
    return schema.ModelT.InitFromPackedBuf((folder / "model.tflite").read_bytes())


def parity(
    network: DeimV2, folder: Path, images: NDArray[np.uint8], score_bound: float = 1e-3
) -> Parity:
    """What LiteRT finds in images (N, S, S, 3) held against PyTorch."""
    px = network.input_px
    labels = tuple(str(number) for number in range(network.classes))
    manifest = Manifest(
        name="network",
        labels=labels,
        width=px,
        height=px,
        score_threshold=0.5,
        nms_iou=None,
        max_detections=count_detections(network),
        target="litert",
        input_name="input_tensor",
        output_names=("detection_boxes", "detection_scores", "detection_classes"),
        box_format="yxyx_norm",
    )
    engines = (NetworkEngine(network), LiteRtEngine.open(folder, manifest, threads=1))

    def detect(engine: NetworkEngine | LiteRtEngine, image: NDArray[np.uint8]) -> Detections:
        boxes, scores, ids = engine.run(image)
        return Detections(boxes * np.float32(px), scores, ids, labels, px, px)

    pairs = [(detect(engines[0], image), detect(engines[1], image)) for image in images]
    return compare("litert", pairs, score_bound=score_bound)


def test_what_pytorch_finds_is_found(
    atto: dict[bool, Path], coco_network: Network, shared: Path
) -> None:
    images = np.load(shared / "models" / "golden-atto.npz")["images_uint8"]
    found = parity(coco_network("atto"), atto[False], images)
    assert found.matched == 62
    assert found.holds(), found


def test_weights_of_half_the_size_find_the_same(
    atto: dict[bool, Path], coco_network: Network, shared: Path
) -> None:
    whole, half = ((atto[key] / "model.tflite").stat().st_size for key in (False, True))
    assert half < 0.57 * whole  # the first kernels and what is no weight stay float32
    images = np.load(shared / "models" / "golden-atto.npz")["images_uint8"]
    found = parity(coco_network("atto"), atto[True], images, score_bound=5e-3)
    assert found.matched == 62
    assert found.unmatched == 0
    assert found.mean_box_drift_px < 0.1  # one that falls to another query may move by pixels
    assert 0 < found.max_score_drift < 0.02


@pytest.mark.parametrize("half", [False, True])
def test_operators_are_tflite_s_own_and_shapes_fixed(half: bool, atto: dict[bool, Path]) -> None:
    model = read(atto[half])
    (graph,) = model.subgraphs
    used = {model.operatorCodes[operator.opcodeIndex].builtinCode for operator in graph.operators}
    assert schema.BuiltinOperator.CUSTOM not in used
    assert (schema.BuiltinOperator.DEQUANTIZE in used) == half
    for code in model.operatorCodes:
        assert code.customCode is None
    for tensor in graph.tensors:
        assert tensor.shapeSignature is None or (tensor.shapeSignature >= 0).all()


def test_only_weights_are_halved(atto: dict[bool, Path]) -> None:
    model = read(atto[True])
    (graph,) = model.subgraphs
    users: dict[int, set[int]] = {}
    for operator in graph.operators:
        for tensor in operator.inputs:
            code = model.operatorCodes[operator.opcodeIndex].builtinCode
            users.setdefault(int(tensor), set()).add(code)
    halved = 0
    for operator in graph.operators:
        if (
            model.operatorCodes[operator.opcodeIndex].builtinCode
            == schema.BuiltinOperator.DEQUANTIZE
        ):
            assert graph.tensors[operator.inputs[0]].type == schema.TensorType.FLOAT16
            assert users[int(operator.outputs[0])] <= {
                schema.BuiltinOperator.CONV_2D,
                schema.BuiltinOperator.DEPTHWISE_CONV_2D,
                schema.BuiltinOperator.FULLY_CONNECTED,
            }
            halved += 1
    assert halved > 50


def test_ends_are_those_of_tflite_s_detection_models(atto: dict[bool, Path]) -> None:
    interpreter = Interpreter(model_path=str(atto[False] / "model.tflite"))
    ends = (*interpreter.get_input_details(), *interpreter.get_output_details())
    assert [(end["name"], end["shape"].tolist(), end["dtype"]) for end in ends] == [
        ("input_tensor", [1, 320, 320, 3], np.uint8),
        ("TFLite_Detection_PostProcess", [1, 300, 4], np.float32),
        ("TFLite_Detection_PostProcess:1", [1, 300], np.float32),
        ("TFLite_Detection_PostProcess:2", [1, 300], np.float32),
        ("TFLite_Detection_PostProcess:3", [1], np.float32),
    ]
    assert interpreter.get_signature_list() == {
        "serving_default": {"inputs": ["input_tensor"], "outputs": list(OUTPUT_NAMES)}
    }
    runner = interpreter.get_signature_runner()
    assert runner(input_tensor=np.zeros((1, 320, 320, 3), np.uint8))["num_detections"] == [300]


def test_weights_lie_on_multiples_of_16(atto: dict[bool, Path]) -> None:
    content = (atto[True] / "model.tflite").read_bytes()
    start = np.frombuffer(content, np.uint8).ctypes.data
    model = schema.Model.GetRootAs(content)
    places = [model.Buffers(index).DataAsNumpy() for index in range(model.BuffersLength())]
    places = [place.ctypes.data - start for place in places if not isinstance(place, int)]
    assert len(places) > 100
    assert all(place % 16 == 0 for place in places)


def test_labels_are_in_the_file_and_beside_it(atto: dict[bool, Path]) -> None:
    folder = atto[False]
    assert sorted(path.name for path in folder.iterdir()) == ["labels.txt", "model.tflite"]
    with zipfile.ZipFile(folder / "model.tflite") as archive:
        assert archive.testzip() is None
        inside = archive.read("labels.txt")
    assert inside == (folder / "labels.txt").read_bytes()
    assert inside.decode().split("\n") == [*COCO_LABELS, ""]


def test_metadata_say_what_the_tensors_are(atto: dict[bool, Path]) -> None:
    """Read as any flatbuffer is: the n-th field of a table, by the order of its schema."""
    model = read(atto[False])
    (entry,) = [entry for entry in model.metadata if entry.name == b"TFLITE_METADATA"]
    content = bytes(model.buffers[entry.buffer].data)
    assert content[4:8] == b"M001"
    root = Table(content, int.from_bytes(content[:4], "little"))
    assert (root.text(0), root.text(5)) == ("deimv2-atto", "Apache-2.0")
    (graph,) = root.tables(3)
    (image,) = graph.tables(2)
    assert image.text(0) == "image"
    assert (image.table(3).byte(0), image.table(3).table(1).byte(0)) == (2, 1)  # an RGB image
    size = image.table(3).table(1).table(1)
    assert (size.number(0), size.number(1)) == (320, 320)
    location, category, score, count = graph.tables(3)
    names = [output.text(0) for output in (location, category, score, count)]
    assert names == ["location", "category", "score", "number of detections"]
    assert location.table(3).byte(0) == 3  # bounding boxes
    assert location.table(3).table(1).numbers(0) == [1, 0, 3, 2]
    assert location.table(3).table(1).byte(1) == 1  # BOUNDARIES
    (labels,) = category.tables(6)
    assert (labels.text(0), labels.byte(2)) == ("labels.txt", 3)  # TENSOR_VALUE_LABELS
    (group,) = graph.tables(8)
    assert group.text(0) == "detection_result"


class Table:
    """A table of a flatbuffer by its layout alone: offsets, numbers and vectors."""

    def __init__(self, content: bytes, place: int) -> None:
        self.content, self.place = content, place

    def at(self, field: int) -> int:
        """Where a field's value lies; 0 if the table has it not."""
        layout = self.place - self.read(self.place, 4, signed=True)
        if 4 + 2 * field >= self.read(layout, 2):
            return 0
        offset = self.read(layout + 4 + 2 * field, 2)
        return self.place + offset if offset else 0

    def read(self, place: int, size: int, *, signed: bool = False) -> int:
        return int.from_bytes(self.content[place : place + size], "little", signed=signed)

    def byte(self, field: int) -> int:
        return self.read(self.at(field), 1) if self.at(field) else 0

    def number(self, field: int) -> int:
        return self.read(self.at(field), 4) if self.at(field) else 0

    def table(self, field: int) -> Table:
        return Table(self.content, self.at(field) + self.read(self.at(field), 4))

    def numbers(self, field: int) -> list[int]:
        start = self.table(field).place
        return [self.read(start + 4 + 4 * index, 4) for index in range(self.read(start, 4))]

    def tables(self, field: int) -> list[Table]:
        start = self.table(field).place + 4
        offsets = self.numbers(field)
        return [Table(self.content, start + 4 * i + offset) for i, offset in enumerate(offsets)]

    def text(self, field: int) -> str:
        start = self.table(field).place
        return self.content[start + 4 : start + 4 + self.read(start, 4)].decode()


def test_mediapipe_takes_the_file(atto: dict[bool, Path], shared: Path) -> None:
    """The client itself, where it is installed: `pip install mediapipe`."""
    mediapipe = pytest.importorskip("mediapipe", reason="mediapipe is not installed")
    from mediapipe.tasks.python import BaseOptions, vision

    path = str(atto[False] / "model.tflite")
    detector = vision.ObjectDetector.create_from_options(
        vision.ObjectDetectorOptions(BaseOptions(model_asset_path=path), score_threshold=0.4)
    )
    golden = np.load(shared / "models" / "golden-atto.npz")
    image = mediapipe.Image(
        image_format=mediapipe.ImageFormat.SRGB,
        data=np.ascontiguousarray(golden["images_uint8"][0]),
    )
    found = detector.detect(image).detections
    strong = golden["scores"][0] > 0.4
    assert [each.categories[0].category_name for each in found] == [
        COCO_LABELS[label] for label in golden["labels"][0][strong]
    ]
    for each, (left, top, right, bottom), score in zip(
        found, golden["boxes"][0][strong], golden["scores"][0][strong], strict=True
    ):
        box = each.bounding_box
        corners = [box.origin_x, box.origin_y, box.origin_x + box.width, box.origin_y + box.height]
        # MediaPipe gives whole pixels
        np.testing.assert_allclose(corners, [left, top, right, bottom], atol=2)
        assert each.categories[0].score == pytest.approx(score, abs=1e-3)
    detector.close()


@pytest.mark.parametrize(
    "size", ["femto", *(pytest.param(size, marks=pytest.mark.slow) for size in ("pico", "n"))]
)
def test_a_new_network_is_written_and_equal(size: str, tmp_path: Path) -> None:
    """One class at 96 px: everything that is no default. Twice, the bytes are the same."""
    torch.manual_seed(0)
    network = DeimV2(size, 1, input_px=96).eval()
    write_litert(network, ["a\nb"], tmp_path)
    first = (tmp_path / "model.tflite").read_bytes()
    assert (tmp_path / "labels.txt").read_text() == "a b\n"
    images = np.random.default_rng(0).integers(0, 256, (3, 96, 96, 3), np.uint8)
    assert parity(network, tmp_path, images).holds()
    write_litert(network, ["a\nb"], tmp_path)
    assert (tmp_path / "model.tflite").read_bytes() == first


def test_without_the_package_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'sightline\[tensorflow\]'"):
        write_litert(DeimV2("atto", 1, input_px=64), ["a"], tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_terminal_stays_empty(tmp_path: Path) -> None:
    """In a process of its own: TensorFlow speaks when it is first used."""
    code = (
        "from pathlib import Path\n"
        "from sightline.export.tensorflow.litert import write_litert\n"
        "from sightline.models.deimv2.network import DeimV2\n"
        f"write_litert(DeimV2('atto', 1, input_px=64), ['a'], Path({str(tmp_path)!r}))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (tmp_path / "model.tflite").is_file()
