"""Weights on disk: what was written comes back, what does not fit is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sightline.errors import BundleDamaged, ModelNotFound
from sightline.models.deimv2.network import DeimV2
from sightline.models.weights import (
    build_model,
    has_identity_statistics,
    read_weights,
    write_weights,
)

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(scope="module")
def network() -> DeimV2:
    torch.manual_seed(0)
    return DeimV2("atto", 3, input_px=64).eval()


def test_written_weights_give_the_same_network(network: DeimV2, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    write_weights(path, network.state_dict(), {"model": "deimv2-atto"})
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    again = build_model("atto", 3, read_weights(path), input_px=64).eval()
    for key, value in network.state_dict().items():
        assert torch.equal(again.state_dict()[key], value), key
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(image).final.logits, network(image).final.logits)


def test_writing_replaces_the_old_file(network: DeimV2, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    path.write_bytes(b"old")
    write_weights(path, {"up": torch.ones(1)}, {})
    assert load_file(path).keys() == {"up"}


def test_half_precision_is_widened_and_integers_stay(tmp_path: Path) -> None:
    path = tmp_path / "half.safetensors"
    values = {"a": torch.tensor([0.1]), "b": torch.tensor([0.1]), "c": torch.tensor([4])}
    save_file({"a": values["a"].half(), "b": values["b"].bfloat16(), "c": values["c"]}, path)
    read = read_weights(path)
    assert {key: value.dtype for key, value in read.items()} == {
        "a": torch.float32, "b": torch.float32, "c": torch.int64,
    }  # fmt: skip
    assert read["a"].item() == pytest.approx(0.1, abs=5e-5)  # float16 holds 11 bits


def test_an_integer_reg_scale_loads(network: DeimV2) -> None:
    """Official files may hold the configuration's integer 4."""
    state = network.state_dict()
    state["decoder.reg_scale"] = state["decoder.decoder.reg_scale"] = torch.tensor([4])
    scale = build_model("atto", 3, state, 64).decoder.reg_scale
    assert scale.dtype == torch.float32
    assert scale.item() == 4


def test_tied_heads_may_stand_under_their_first_name_alone(network: DeimV2) -> None:
    state = {
        key: value
        for key, value in network.state_dict().items()
        if not key.startswith(("decoder.dec_bbox_head.1", "decoder.dec_bbox_head.2"))
    }
    again = build_model("atto", 3, state, 64)
    assert torch.equal(
        again.decoder.dec_bbox_head[2].layers[0].weight,
        network.decoder.dec_bbox_head[0].layers[0].weight,
    )


def test_weights_without_their_1x1_branches_load(network: DeimV2) -> None:
    """As a fine-tuned bundle's, which started from a file that had them merged away."""
    state = {key: value for key, value in network.state_dict().items() if not is_branch(key)}
    merged = build_model("atto", 3, state, 64)
    assert merged.state_dict().keys() == state.keys()
    del state[next(key for key in state if ".bottlenecks." in key)]
    with pytest.raises(BundleDamaged, match=r"lack 1 tensor.*bottlenecks"):
        build_model("atto", 3, state, 64)


def is_branch(key: str) -> bool:
    return ".bottlenecks." in key and ".conv2." in key


def test_anchors_of_another_input_size_are_computed(network: DeimV2) -> None:
    larger = build_model("atto", 3, network.state_dict(), input_px=96)
    assert larger.input_px == 96
    assert torch.equal(larger.decoder.anchors, DeimV2("atto", 3, 96).decoder.anchors)


def test_other_classes_are_refused_by_name_and_shape(network: DeimV2) -> None:
    with pytest.raises(BundleDamaged, match=r"4 classes: .*\(4, 64\), expected \(5, 64\)"):
        build_model("atto", 4, network.state_dict())
    with pytest.raises(BundleDamaged, match="deimv2-femto"):
        build_model("femto", 3, network.state_dict())


def test_a_missing_tensor_is_named(network: DeimV2) -> None:
    state = network.state_dict()
    del state["encoder.bi_fusion.cv.conv.weight"]
    with pytest.raises(BundleDamaged, match=r"lack 1 tensor.*encoder\.bi_fusion\.cv\.conv\.weight"):
        build_model("atto", 3, state)


def test_unreadable_files_are_refused(shared: Path, tmp_path: Path) -> None:
    whole = (shared / "models" / "deimv2-atto-coco.safetensors").read_bytes()
    for name, data in {
        "empty": b"", "truncated": whole[: len(whole) // 2], "header-only": whole[:8],
        "text": b"weights",
    }.items():  # fmt: skip
        path = tmp_path / f"{name}.safetensors"
        path.write_bytes(data)
        with pytest.raises(BundleDamaged, match=name):
            read_weights(path)
    with pytest.raises(ModelNotFound, match="nowhere"):
        read_weights(tmp_path / "nowhere.safetensors")


def test_lost_statistics_are_noticed(coco_network: Callable[[str], DeimV2]) -> None:
    network = coco_network("atto")
    assert has_identity_statistics(network)
    one = next(m for m in network.modules() if isinstance(m, nn.BatchNorm2d))
    assert one.running_mean is not None
    one.running_mean[0] = 0.5
    assert not has_identity_statistics(network)
