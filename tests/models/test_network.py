"""The network against the official one: parameters, detections, training outputs, other sizes."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from sightline.boxes import iou_matrix
from sightline.models.deimv2 import layers
from sightline.models.deimv2.decoder import Predictions
from sightline.models.deimv2.network import DeimV2
from sightline.models.deimv2.sizes import SIZES
from sightline.zoo import zoo_model

pytestmark = pytest.mark.usefixtures("one_thread")

Network = Callable[[str], DeimV2]


def as_input(images: NDArray[np.uint8]) -> Tensor:
    """(B, 3, S, S) float in 0..1 from (B, S, S, 3) uint8."""
    return torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255


@torch.no_grad()
def detect(network: DeimV2, images: NDArray[np.uint8]) -> list[tuple[NDArray[np.float32], ...]]:
    """For each image the labels, scores and xyxy boxes (0..1) with score > 0.2."""
    final = network(as_input(images)).final
    scores = final.logits.sigmoid().numpy()
    centre, half = final.boxes[..., :2].numpy(), final.boxes[..., 2:].numpy() / 2
    boxes = np.concatenate([centre - half, centre + half], axis=-1)
    found = []
    for one_scores, one_boxes in zip(scores, boxes, strict=True):
        query, label = np.nonzero(one_scores > 0.2)
        found.append((label, one_scores[query, label], one_boxes[query]))
    return found


@pytest.mark.parametrize("size", SIZES)
def test_parameters_are_the_official_ones(size: str, shared: Path) -> None:
    listed = (shared / "specs" / "deimv2-keys" / f"keys-{size}.txt").read_text().splitlines()
    official = {key: shape for key, shape, _ in (line.split("\t") for line in listed)}
    network = DeimV2(size, 80)
    own = {key: str(list(value.shape)) for key, value in network.state_dict().items()}
    assert own == official
    # A tied tensor counts once, as in the published figures.
    count = sum(parameter.numel() for parameter in network.parameters())
    assert count == zoo_model(f"deimv2-{size}").parameters


@pytest.mark.parametrize(("size", "count"), [("atto", 62), ("femto", 55)])
def test_official_detections_are_reproduced(
    size: str, count: int, shared: Path, coco_network: Network
) -> None:
    golden = np.load(shared / "models" / f"golden-{size}.npz")
    px = float(golden["input_size"])
    compared = 0
    for image, (labels, scores, boxes) in enumerate(
        detect(coco_network(size), golden["images_uint8"])
    ):
        strong = np.flatnonzero(golden["scores"][image] > 0.2)
        assert len(labels) == len(strong)
        overlaps = iou_matrix(golden["boxes"][image][strong] / px, boxes)
        for row, index in enumerate(strong):
            near = (labels == golden["labels"][image][index]) & (overlaps[row] > 0.99)
            assert near.any(), f"image {image}: detection {index} is missing"
            assert np.abs(scores[near] - golden["scores"][image][index]).min() < 1e-3
            compared += 1
    assert compared == count


def test_training_outputs_are_the_official_ones(shared: Path, coco_network: Network) -> None:
    golden = np.load(shared / "models" / "golden-train-atto.npz")
    network = coco_network("atto").train()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    with torch.no_grad():
        outputs = network(as_input(golden["images_uint8"]))
    assert outputs.pre is not None
    assert outputs.encoder is not None
    sets: dict[str, Predictions] = {
        "final": outputs.final,
        "aux0": outputs.layers[0],
        "aux1": outputs.layers[1],
        "pre": outputs.pre,
        "enc": outputs.encoder,
    }
    compared = 0
    for name, one in sets.items():
        values = {
            "pred_logits": one.logits, "pred_boxes": one.boxes,
            "pred_corners": one.corners, "ref_points": one.base,
        }  # fmt: skip
        for part, value in values.items():
            if value is not None:
                # float32 of another order of summation; 2e-4 was measured on corners of size 10
                np.testing.assert_allclose(value, golden[f"{name}.{part}"], rtol=0, atol=1e-3)
                compared += 1
    assert compared == sum("." in key for key in golden.files)


def synthetic_values(key: str, shape: torch.Size) -> NDArray[np.float32]:
    """Numbers in -1..1 that depend on the key alone: the rule of the selfcheck files."""
    mask, first, second = (np.uint64(value) for value in (0xFFFFFFFF, 2654435761, 73244475))
    index = np.arange(int(np.prod(shape)), dtype=np.uint64)
    x = (np.uint64(zlib.crc32(key.encode())) + index) & mask
    x = (x * first) & mask
    x ^= x >> np.uint64(16)
    x = (x * second) & mask
    x ^= x >> np.uint64(16)
    return (x / 2**31 - 1).astype(np.float32).reshape(shape)


def synthetic_network(size: str) -> DeimV2:
    """The network of a size with the selfcheck files' made-up weights."""
    network = DeimV2(size, 80)
    state = network.state_dict()
    derived = ("anchors", "valid_mask", "num_points_scale", ".up", ".reg_scale",
               "num_batches_tracked")  # fmt: skip
    for key, value in state.items():
        if key.endswith(derived):
            continue
        named = key
        if network.size.shares_box_head:  # one head under three names: the first gives the values
            for index in "12":
                named = named.replace(f"dec_bbox_head.{index}.", "dec_bbox_head.0.")
        u = synthetic_values(named, value.shape)
        if key.endswith("running_var"):
            made = 1 + 0.3 * u
        elif key.endswith("sampling_offsets.bias"):
            made = 2 * u
        elif value.ndim >= 2:
            fan = float(np.prod(value.shape[1:]))
            made = u * np.sqrt(3 / fan) * (1.5 if "conv" in key else 1)
        elif key.endswith((".bias", "running_mean", "in_proj_bias")):
            made = 0.1 * u
        else:
            made = 1 + 0.2 * u
        state[key] = torch.from_numpy(np.asarray(made, np.float32))
    network.load_state_dict(state)
    return network.eval()


def differences(network: DeimV2, golden: NDArray[np.float32]) -> tuple[NDArray[np.float64], ...]:
    """(Q,) greatest difference of logits and of boxes to the file, query by query."""
    dtype = next(network.parameters()).dtype
    with torch.no_grad():
        final = network(torch.from_numpy(golden["images_f16"]).to(dtype)).final
    logits = np.abs(final.logits.numpy() - golden["pred_logits"])[0].max(axis=-1)
    boxes = np.abs(final.boxes.numpy() - golden["pred_boxes"])[0].max(axis=-1)
    return logits, boxes


def test_pico_is_the_official_network(shared: Path) -> None:
    logits, boxes = differences(
        synthetic_network("pico"), np.load(shared / "models" / "selfcheck-pico.npz")
    )
    # 1.6e-5 and 7e-7 measured
    assert logits.max() < 1e-3
    assert boxes.max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_n_is_the_official_network_up_to_its_rounding(
    shared: Path, monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype
) -> None:
    """The file's own float32 rounding decides near-ties of a saturated attention.

    With the made-up weights the transformer layer sees tokens of standard deviation 320, so its
    attention is a hard choice, and where two tokens tie to 1e-7 rounding picks the mix. Four of
    300 queries then differ by 1e-3..6e-3 in float32; in float64, where our own rounding is gone,
    six differ by 1e-3..4.5e-3. docs/lab-log.md has the figures. A transposed position table moves
    298 queries, the greatest by 3.7.
    """
    if dtype == torch.float64:
        monkeypatch.setattr(layers.RMSNorm, "forward", _wide_rms_norm)
    golden = np.load(shared / "models" / "selfcheck-n.npz")
    logits, boxes = differences(synthetic_network("n").to(dtype), golden)
    assert np.median(logits) < 2e-4  # 6e-5 measured, logits of size 1
    assert (logits < 1e-3).mean() >= 0.97
    assert logits.max() < 1e-2
    assert np.quantile(boxes, 0.97) < 1e-4  # 97 % of boxes are equal to a tenth of a pixel
    assert boxes.max() < 1e-2


def _wide_rms_norm(norm: layers.RMSNorm, x: Tensor) -> Tensor:
    """RMSNorm in x's own precision: the layer itself computes in float32."""
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + norm.eps) * norm.scale


def test_a_batch_finds_what_single_images_find(shared: Path, coco_network: Network) -> None:
    network = coco_network("atto")
    images = np.load(shared / "models" / "golden-atto.npz")["images_uint8"]
    together = detect(network, images)
    for index, (labels, scores, boxes) in enumerate(together):
        single_labels, single_scores, single_boxes = detect(network, images[index : index + 1])[0]
        order, single_order = np.argsort(scores), np.argsort(single_scores)
        np.testing.assert_array_equal(labels[order], single_labels[single_order])
        # a convolution of four images adds in another order than of one
        np.testing.assert_allclose(scores[order], single_scores[single_order], atol=1e-4)
        np.testing.assert_allclose(boxes[order], single_boxes[single_order], atol=1e-4)


@pytest.mark.parametrize("size", SIZES)
def test_another_input_size_gives_its_own_anchors(size: str) -> None:
    network = DeimV2(size, 3, input_px=128).eval()
    small = network.decoder.anchors.clone()
    assert small.shape == (1, 8 * 8 + 4 * 4, 4)
    with torch.no_grad():
        direct = network(torch.rand(1, 3, 128, 128)).final
        assert direct.logits.shape == (1, min(network.size.queries, 80), 3)
        assert torch.isfinite(direct.logits).all()
        network.set_input_size(192)
        assert network.decoder.anchors.shape == (1, 12 * 12 + 6 * 6, 4)
        network.set_input_size(128)
    assert torch.equal(network.decoder.anchors, small)


def test_anchors_of_the_official_file_are_computed(coco_network: Network) -> None:
    network = coco_network("atto")
    official = network.decoder.anchors.clone()
    network.set_input_size(320)
    # the official file's have drifted by 2.4e-4 of a logit, averaged along with the weights
    torch.testing.assert_close(network.decoder.anchors, official, rtol=0, atol=5e-4)


def test_refined_box_heads_are_one(coco_network: Network) -> None:
    heads = coco_network("atto").decoder.dec_bbox_head
    assert heads[0] is heads[1] is heads[2]
    assert len({id(head) for head in DeimV2("n", 2).decoder.dec_bbox_head}) == 3
    copied = copy.deepcopy(coco_network("femto"))
    assert copied.decoder.dec_bbox_head[0] is copied.decoder.dec_bbox_head[2]
