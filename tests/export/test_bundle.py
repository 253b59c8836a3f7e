"""A bundle appears whole and proven, or not at all."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import jsonschema
import pytest
import torch

from sightline.errors import ExportError
from sightline.export.bundle import replace_folder, write_bundle
from sightline.export.parity import Parity
from sightline.manifest import Manifest, read_manifest, verify_files
from sightline.models.deimv2.network import DeimV2
from sightline.models.weights import build_model, read_weights
from sightline.runtime.detector import Detector

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = ("cone", "duck")
PROVEN = Parity("onnxruntime", 4, 0.2, 9, 0, 1e-5, 0.01, 0.001)


@pytest.fixture(scope="module")
def network() -> DeimV2:
    torch.manual_seed(0)
    return DeimV2("atto", 2, input_px=64).eval()


def write(network: DeimV2, destination: Path, **options: object) -> Manifest:
    return write_bundle(
        network, destination, name="toys", labels=LABELS, score_threshold=0.4, nms_iou=0.7,
        base={"name": "starter-atto"}, metrics={"val": {"AP": 0.5}}, training={"seed": 0},
        **options,  # type: ignore[arg-type]
    )  # fmt: skip


def test_a_bundle_is_complete(network: DeimV2, tmp_path: Path, contracts: Path) -> None:
    seen: list[list[str]] = []

    def prove(building: Path) -> Sequence[Parity]:
        seen.append(sorted(path.name for path in building.iterdir()))
        assert len(Detector.load(building)(torch.zeros(8, 8, 3).byte().numpy())) >= 0
        return [PROVEN]

    bundle = tmp_path / "deep" / "toys"
    manifest = write(network, bundle, prove=prove)
    names = ["manifest.json", "model.onnx", "weights.safetensors"]
    assert seen == [names]
    assert sorted(path.name for path in bundle.iterdir()) == names
    assert [path.name for path in bundle.parent.iterdir()] == ["toys"]
    assert read_manifest(bundle) == manifest
    verify_files(bundle, manifest, ("model.onnx", "weights.safetensors"))
    value = json.loads((bundle / "manifest.json").read_text())
    jsonschema.validate(value, json.loads((contracts / "manifest.schema.json").read_text()))
    assert value["parity"] == [PROVEN.to_json()]
    assert (manifest.labels, manifest.width, manifest.height) == (LABELS, 64, 64)
    assert (manifest.score_threshold, manifest.nms_iou) == (0.4, 0.7)
    assert manifest.max_detections == 40
    again = build_model("atto", 2, read_weights(bundle / "weights.safetensors"), 64)
    for key, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


@pytest.mark.parametrize("error", [ExportError("differs"), KeyboardInterrupt()])
def test_a_failed_proof_leaves_what_was_there(
    error: BaseException, network: DeimV2, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old bundle, and no half-made folder. The graph itself does not matter here."""
    monkeypatch.setattr("sightline.export.bundle.write_onnx", write_no_graph)
    old = tmp_path / "toys"
    old.mkdir()
    (old / "manifest.json").write_text("old")

    def fail(building: Path) -> Sequence[Parity]:
        assert (building / "manifest.json").is_file()
        raise error

    with pytest.raises(type(error)):
        write(network, old, prove=fail)
    assert [path.name for path in tmp_path.iterdir()] == ["toys"]
    assert (old / "manifest.json").read_text() == "old"
    with pytest.raises(type(error)):
        write(network, tmp_path / "new", prove=fail)
    assert [path.name for path in tmp_path.iterdir()] == ["toys"]


def write_no_graph(network: DeimV2, path: Path, batch: int) -> int:
    path.write_bytes(b"graph")
    return 40


def test_a_new_folder_takes_the_old_one_s_place(tmp_path: Path) -> None:
    old, new = tmp_path / "toys", tmp_path / "building"
    for folder, text in ((old, "old"), (new, "new")):
        folder.mkdir()
        (folder / "manifest.json").write_text(text)
    (old / "left over").touch()
    replace_folder(new, old)
    assert [path.name for path in tmp_path.iterdir()] == ["toys"]
    assert [path.name for path in old.iterdir()] == ["manifest.json"]
    assert (old / "manifest.json").read_text() == "new"
