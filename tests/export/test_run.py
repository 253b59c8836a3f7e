"""An export is proven in its own runtime, or it does not exist."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import onnx
import pytest
from PIL import Image

from sightline.data.dataset import Dataset
from sightline.data.images import decode_image
from sightline.errors import BundleDamaged, ExportError, MissingBrowser, ModelNotFound, UsageError
from sightline.evaluate.run import evaluate
from sightline.export.proof import NetworkEngine
from sightline.export.run import export
from sightline.export.targets import write_files
from sightline.manifest import Manifest, read_manifest
from sightline.models.deimv2.network import DeimV2
from sightline.runtime.detector import Detector

pytestmark = [
    pytest.mark.usefixtures("one_thread"),
    # TensorFlow's own imports
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def no_browser(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_BROWSER", "/nowhere/chromium")


@pytest.mark.usefixtures("no_browser")
@pytest.mark.parametrize("to", ["onnx", "onnx-fp16"])
def test_an_onnx_artefact_is_a_bundle(
    to: str, atto_bundle: Path, tmp_path: Path, contracts: Path
) -> None:
    artefact = export(atto_bundle, to=to, out=tmp_path / "out")
    (parity,) = artefact.parity
    assert parity.runtime == "onnxruntime"
    assert parity.images == 16
    assert parity.matched >= 20
    assert parity.label_agreement == 1
    assert list(artefact.not_tried) == ["onnxruntime-web/wasm"]
    manifest = read_manifest(artefact.path)
    assert (manifest.target, manifest.unproven) == (to, None)
    value = json.loads((artefact.path / "manifest.json").read_text())
    jsonschema.validate(value, json.loads((contracts / "manifest.schema.json").read_text()))
    assert value["parity"] == json.loads((artefact.path / "parity.json").read_text())
    assert value["parity"] == [parity.to_json()]
    sizes = [(folder / "model.onnx").stat().st_size for folder in (artefact.path, atto_bundle)]
    assert sizes[0] <= (1 if to == "onnx" else 0.55) * sizes[1]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("to", ["onnx", "onnx-fp16"])
def test_a_graph_for_several_images_finds_in_each_what_it_finds_alone(
    to: str, atto_bundle: Path, tmp_path: Path, shared: Path
) -> None:
    artefact = export(atto_bundle, to=to, out=tmp_path / "out", batch=3)  # 16 pictures: not whole
    (parity,) = artefact.parity
    assert (parity.runtime, parity.images, parity.label_agreement) == ("onnxruntime", 16, 1)
    assert "browsers run one image at a time" in artefact.not_tried["onnxruntime-web/wasm"]
    assert read_manifest(artefact.path).batch == 3
    batched, single = Detector.load(artefact.path), Detector.load(atto_bundle)
    photos = sorted((shared / "data" / "coco_val100").rglob("*.jpg"))[:3]
    pixels = [single.preprocess(decode_image(photo)) for photo in photos]
    bounds = {"onnx": (1e-4, 1e-4), "onnx-fp16": (5e-3, 3e-3)}[to]
    for several in (pixels, pixels[::-1], pixels[:1]):  # in any place, and with places left over
        for image, found in zip(several, batched.infer_batch(several), strict=True):
            alone = single.infer(image)
            strong = alone.scores > 0.5
            assert strong.any()
            np.testing.assert_allclose(found.scores[strong], alone.scores[strong], atol=bounds[0])
            np.testing.assert_allclose(
                found.boxes_xyxy_norm[strong], alone.boxes_xyxy_norm[strong], atol=bounds[1]
            )
    with pytest.raises(ValueError, match="broadcast"):
        batched.infer_batch([*pixels, pixels[0]])


def test_a_graph_that_mixes_up_its_images_is_caught(
    atto_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which a place that is left over, or the same picture in each, would not show."""

    def write_mixing(network: DeimV2, manifest: Manifest, folder: Path, *rest: Any) -> None:
        write_files(network, manifest, folder, *rest)
        model = onnx.load(folder / "model.onnx")
        (scores,) = (node for node in model.graph.node if "scores" in node.output)
        scores.output[0] = "own"
        last = onnx.helper.make_node("Gather", ["own", "order"], ["scores"], axis=0)
        model.graph.node.append(last)
        order = onnx.numpy_helper.from_array(np.array([0, 0], np.int64), "order")
        model.graph.initializer.append(order)
        onnx.save(model, folder / "model.onnx")

    monkeypatch.setattr("sightline.export.run.write_files", write_mixing)
    with pytest.raises(ExportError, match=r"does not find what the network finds: "):
        export(atto_bundle, to="onnx", out=tmp_path / "out", batch=2)
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("no_browser")
def test_a_data_set_s_images_and_ap_are_in_the_certificate(
    atto_bundle: Path, tmp_path: Path, shared: Path
) -> None:
    data = Dataset.load(shared / "data" / "coco_val100")
    artefact = export(atto_bundle, to="onnx-fp16", out=tmp_path / "out", data=data)
    (parity,) = artefact.parity
    assert parity.ap is not None and parity.ap_pytorch is not None
    assert parity.ap == pytest.approx(parity.ap_pytorch, abs=0.005)
    assert parity.ap == evaluate(artefact.path, data).AP


def shift_a_bias(network: DeimV2) -> None:
    """One class is a little more likely."""
    head = network.decoder.dec_score_head[-1]
    head.bias.data[0] += 0.5  # type: ignore[union-attr]


def flip_a_bias(network: DeimV2) -> None:
    norm = network.encoder.input_proj[0].norm  # type: ignore[index]
    norm.bias.data.neg_()


def transpose_a_kernel(network: DeimV2) -> None:
    kernel = network.backbone.stem.stem3.conv.weight
    kernel.data = kernel.data.transpose(2, 3).contiguous()


@pytest.mark.usefixtures("no_browser")
@pytest.mark.parametrize(
    ("to", "damage"),
    [
        ("onnx", shift_a_bias),
        ("onnx", flip_a_bias),
        ("onnx-fp16", transpose_a_kernel),
        ("savedmodel", transpose_a_kernel),
        ("litert", flip_a_bias),
    ],
)
def test_an_artefact_of_another_network_is_caught(
    damage: Callable[[DeimV2], None],
    to: str,
    atto_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    coco_network: Callable[[str], DeimV2],
) -> None:
    """As by a converter that gets one tensor wrong."""

    def write_damaged(network: DeimV2, *arguments: object) -> None:
        damaged = coco_network("atto")
        damage(damaged)
        write_files(damaged, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr("sightline.export.run.write_files", write_damaged)
    with pytest.raises(ExportError, match=r"does not find what the network finds: "):
        export(atto_bundle, to=to, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("to", ["savedmodel", "tfjs"])
def test_another_interpolation_is_caught(
    to: str, atto_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bilinear too, but without antialiasing: TensorFlow's own."""
    import tensorflow as tf

    def resize(image: tf.Tensor, size: int) -> tf.Tensor:
        return tf.compat.v1.image.resize_bilinear(image, [size, size], half_pixel_centers=True)

    monkeypatch.setattr("sightline.export.tensorflow.savedmodel.resize", resize)
    with pytest.raises(ExportError, match=r"does not find what the network finds: "):
        export(atto_bundle, to=to, out=tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_exported_is_told(
    atto_bundle: Path, tmp_path: Path, tiny_bundle: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(UsageError, match="cannot export to 'coreml'; there is: onnx, onnx-fp16"):
        export(atto_bundle, to="coreml", out=out)
    with pytest.raises(ExportError, match="exists; name a folder that does not"):
        export(atto_bundle, to="onnx", out=tmp_path)
    with pytest.raises(ModelNotFound, match=r"has no weights\.safetensors"):
        export(tiny_bundle, to="onnx", out=out)
    with pytest.raises(UsageError, match="--quantize is for tfjs and litert, not onnx"):
        export(atto_bundle, to="onnx", out=out, quantize="float16")
    with pytest.raises(UsageError, match="give it with --data"):
        export(atto_bundle, to="onnx-int8", out=out)
    with pytest.raises(UsageError, match="--batch is for onnx and onnx-fp16, not litert"):
        export(atto_bundle, to="litert", out=out, batch=2)
    for batch in (0, 65):
        with pytest.raises(UsageError, match=f"between 1 and 64 images, not {batch}"):
            export(atto_bundle, to="onnx", out=out, batch=batch)
    with pytest.raises(UsageError, match="onnxruntime-web/webgpu does not run it: browsers run"):
        export(atto_bundle, to="onnx", out=out, batch=2, also_in=["onnxruntime-web/webgpu"])
    with pytest.raises(UsageError, match="'tfjs/wasm' does not run savedmodel: tensorflow"):
        export(atto_bundle, to="savedmodel", out=out, also_in=["tfjs/wasm"])
    assert not out.exists()


@pytest.mark.usefixtures("no_browser")
def test_without_a_browser_tfjs_is_refused_or_marked(atto_bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingBrowser, match="nowhere/chromium"):
        export(atto_bundle, to="tfjs", out=tmp_path / "out")
    assert not list(tmp_path.iterdir())
    artefact = export(atto_bundle, to="tfjs", out=tmp_path / "out", unproven=True)
    manifest = read_manifest(artefact.path)
    assert artefact.unproven is not None and "nowhere/chromium" in artefact.unproven
    assert (manifest.unproven, manifest.parity) == (artefact.unproven, ())
    assert json.loads((artefact.path / "parity.json").read_text()) == []


@pytest.mark.parametrize("to", ["onnx-fp16", "savedmodel", "litert"])
@pytest.mark.usefixtures("no_browser")
def test_an_artefact_edited_afterwards_is_refused(
    to: str, atto_bundle: Path, tmp_path: Path
) -> None:
    """Whatever file of it, by a single byte."""
    artefact = export(atto_bundle, to=to, out=tmp_path / "out")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8))
    assert len(Detector.load(artefact.path)(photo, threshold=0)) > 0
    names = [name for name, entry in read_manifest(artefact.path).files.items() if entry.size]
    for name in names:
        path = artefact.path / name
        whole = path.read_bytes()
        path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(BundleDamaged, match="was changed after the bundle was made"):
            Detector.load(artefact.path)
        path.write_bytes(whole)


@pytest.mark.usefixtures("no_browser")
def test_a_killed_export_leaves_nothing_in_place(atto_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for steps in (1, 2, 3):  # each of: running PyTorch, writing, proving
        command = [sys.executable, "-m", "sightline.cli.main", "export", str(atto_bundle)]
        process = subprocess.Popen(
            [*command, "--to", "onnx-fp16", "--out", str(out)],
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        assert process.stderr is not None
        for _ in range(steps):
            process.stderr.readline()
        time.sleep(0.05)
        process.kill()
        process.wait()
        process.stderr.close()
        assert not out.exists()


def test_the_network_s_own_detections(coco_network: Callable[[str], DeimV2], shared: Path) -> None:
    """The side that artefacts are held against, itself held against the official outputs."""
    golden = np.load(shared / "models" / "golden-atto.npz")
    engine = NetworkEngine(coco_network("atto"))
    for image, boxes, scores in zip(
        golden["images_uint8"], golden["boxes"], golden["scores"], strict=True
    ):
        found = engine.run(image)
        np.testing.assert_allclose(found.scores, scores, atol=1e-4)
        strong = scores > 0.3
        np.testing.assert_allclose(
            found.boxes_xyxy_norm[strong] * 320, np.clip(boxes[strong], 0, 320), atol=0.05
        )


@pytest.mark.usefixtures("no_browser")
def test_eight_bits_are_not_proven_by_objects_that_the_model_does_not_know(
    atto_bundle: Path, tmp_path: Path, shared: Path
) -> None:
    """An AP of 0 cannot fall."""
    data = Dataset.load(shared / "data" / "kangaroo")
    with (
        pytest.warns(UserWarning, match="the model does not know 'kangaroo'"),
        pytest.warns(UserWarning, match="copy"),
        pytest.raises(ExportError, match=r"finds none of the data set's objects \(AP 0\)"),
    ):
        export(atto_bundle, to="onnx-int8", out=tmp_path / "out", data=data)
    assert not list(tmp_path.iterdir())
