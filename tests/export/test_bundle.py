"""A bundle appears whole and proven, or not at all."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import torch

from sightline.errors import ExportError
from sightline.export.bundle import replace_folder, write_artefact, write_bundle
from sightline.export.parity import Parity
from sightline.export.proof import proof_pictures
from sightline.manifest import Manifest, read_manifest, verify_files
from sightline.models.deimv2.network import DeimV2
from sightline.models.weights import build_model, read_weights

pytestmark = pytest.mark.usefixtures("one_thread")

LABELS = ("cone", "duck")


@pytest.fixture(scope="module")
def network() -> DeimV2:
    torch.manual_seed(0)
    return DeimV2("atto", 2, input_px=64).eval()


def write(network: DeimV2, destination: Path) -> Manifest:
    return write_bundle(
        network, destination, name="toys", labels=LABELS, score_threshold=0.4, nms_iou=0.7,
        base={"name": "starter-atto"}, metrics={"val": {"AP": 0.5}}, training={"seed": 0},
        pictures=proof_pictures([], 64),
    )  # fmt: skip


def test_a_bundle_is_complete(network: DeimV2, tmp_path: Path, contracts: Path) -> None:
    bundle = tmp_path / "deep" / "toys"
    manifest = write(network, bundle)
    names = ["manifest.json", "model.onnx", "weights.safetensors"]
    assert sorted(path.name for path in bundle.iterdir()) == names
    assert [path.name for path in bundle.parent.iterdir()] == ["toys"]
    assert read_manifest(bundle) == manifest
    verify_files(bundle, manifest, ("model.onnx", "weights.safetensors"))
    value = json.loads((bundle / "manifest.json").read_text())
    jsonschema.validate(value, json.loads((contracts / "manifest.schema.json").read_text()))
    (certificate,) = value["parity"]
    assert certificate["runtime"] == "onnxruntime"
    assert certificate["images"] == 16
    assert certificate["matched"] >= 20
    assert (manifest.labels, manifest.width, manifest.height) == (LABELS, 64, 64)
    assert (manifest.score_threshold, manifest.nms_iou) == (0.4, 0.7)
    assert manifest.max_detections == 40
    again = build_model("atto", 2, read_weights(bundle / "weights.safetensors"), 64)
    for key, tensor in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key


@pytest.mark.parametrize("error", [ExportError("no"), KeyboardInterrupt(), OSError(28, "full")])
@pytest.mark.parametrize("step", ["write", "prove"])
def test_a_failure_leaves_what_was_there(error: BaseException, step: str, tmp_path: Path) -> None:
    """The old folder, and no half-made one."""
    old = tmp_path / "toys"
    old.mkdir()
    (old / "manifest.json").write_text("old")

    def write(folder: Path) -> None:
        (folder / "variables").mkdir()
        (folder / "variables" / "data").write_bytes(b"1234")
        if step == "write":
            raise error

    def prove(folder: Path) -> tuple[list[Parity], None]:
        assert (folder / "manifest.json").is_file()
        raise error

    told = ExportError if isinstance(error, OSError) else type(error)
    described = Manifest("toys", LABELS, 64, 64, 0.5, None, 40, target="savedmodel")
    with pytest.raises(told):
        write_artefact(old, described, write, prove)
    assert [path.name for path in tmp_path.iterdir()] == ["toys"]
    assert (old / "manifest.json").read_text() == "old"
    with pytest.raises(told, match="full" if told is not type(error) else None):
        write_artefact(tmp_path / "new", described, write, prove)
    assert [path.name for path in tmp_path.iterdir()] == ["toys"]


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
