"""The network that a run starts from: a zoo model's weights, fitted to new classes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from sightline.data.images import decode_image, resize_stretch
from sightline.data.records import Record
from sightline.errors import ModelNotFound
from sightline.labels import COCO_LABELS
from sightline.manifest import WEIGHTS_NAME, read_manifest, verify_files
from sightline.models.deimv2.encoder import RepBlock
from sightline.models.deimv2.layers import ConvNorm
from sightline.models.deimv2.network import DeimV2
from sightline.models.pull import pull_weights
from sightline.models.weights import (
    build_model,
    has_identity_statistics,
    read_classes,
    read_weights,
)
from sightline.runtime.locate import locate_bundle
from sightline.train.config import TrainConfig
from sightline.zoo import ZOO, weights_source, zoo_model

STATISTICS_IMAGES = 48

_CLASS_HEADS = ("decoder.enc_score_head", *(f"decoder.dec_score_head.{i}" for i in range(3)))


@dataclass(frozen=True)
class Start:
    """Weights to begin with and what is known of them.

    source: where they are from. from_drawings: whether they have seen drawings only.
    """

    name: str
    size: str
    weights: Path
    labels: tuple[str, ...]
    license: str
    source: str
    from_drawings: bool


def find_start(model: str) -> Start:
    """The start of that zoo name, bundle or run folder; official weights are pulled if need be.

    Raises ModelNotFound, WeightsUnavailable or BundleDamaged.
    """
    if model in ZOO and not Path(model).exists():
        entry = zoo_model(model)
        weights = pull_weights(model)
        labels = read_classes(weights) or COCO_LABELS
        source = weights_source(model)
        from_drawings = entry.repository is None
        return Start(model, entry.size, weights, labels, entry.license, source, from_drawings)
    bundle = locate_bundle(model)
    manifest = read_manifest(bundle)
    verify_files(bundle, manifest, (WEIGHTS_NAME,))
    if not (bundle / WEIGHTS_NAME).is_file():
        raise ModelNotFound(f"{bundle} has no {WEIGHTS_NAME}, which training starts from")
    return Start(
        manifest.name,
        manifest.architecture.removeprefix("deimv2-"),
        bundle / WEIGHTS_NAME,
        manifest.labels,
        str(manifest.base.get("license", "")),
        f"bundle {manifest.name}",
        from_drawings=bool(manifest.base.get("from_drawings", False)),
    )


def begin_network(
    start: Start, labels: Sequence[str], config: TrainConfig, records: Sequence[Record]
) -> DeimV2:
    """The network for `labels` from the start's weights, ready to train.

    Batch-norm statistics that an export folded away are estimated anew on the first images of
    `records`; the anchors are those of its input size.
    """
    state = read_weights(start.weights)
    model = fit_to_classes(start.size, state, start.labels, labels, config.input_px)
    model.set_input_size(model.input_px)
    drop_empty_branches(model)
    if has_identity_statistics(model):
        side = model.input_px
        chosen = records[:: max(1, len(records) // STATISTICS_IMAGES)][:STATISTICS_IMAGES]

        def batches() -> Iterable[Tensor]:
            for begin in range(0, len(chosen), 8):
                part = chosen[begin : begin + 8]
                pixels = [resize_stretch(decode_image(r.image), side, side) for r in part]
                yield torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255

        restore_statistics(model, batches())
    return model


def fit_to_classes(
    size: str,
    state: dict[str, Tensor],
    old_labels: Sequence[str],
    labels: Sequence[str],
    input_px: int | None,
) -> DeimV2:
    """The network for `labels`: a class head's row is the old class's of that name, else the mean.

    Random rows would break query selection, which depends on the encoder's scores from the first
    step (measured: AR100 .72 after one step from mean rows).
    """
    old = {name.casefold(): index for index, name in enumerate(old_labels)}
    fitted = dict(state)
    for head in _CLASS_HEADS:
        for part in ("weight", "bias"):
            rows = state[f"{head}.{part}"]
            mean = rows.mean(0)
            fitted[f"{head}.{part}"] = torch.stack(
                [rows[old[name.casefold()]] if name.casefold() in old else mean for name in labels]
            )
    fitted.pop("decoder.denoising_class_embed.weight", None)
    return build_model(size, len(labels), fitted, input_px)


def drop_empty_branches(model: nn.Module) -> int:
    """Remove 1x1 branches that are all zero (merged away in an export); how many there were.

    In batch-norm train mode their zero variance would multiply gradients by 1/sqrt(eps) = 316.
    """
    dropped = 0
    for module in model.modules():
        if (
            isinstance(module, RepBlock)
            and isinstance(module.conv2, ConvNorm)
            and not module.conv2.conv.weight.any()
        ):
            module.conv2 = None
            dropped += 1
    return dropped


@torch.no_grad()
def restore_statistics(model: DeimV2, batches: Iterable[Tensor]) -> None:
    """Give batch norms that lost their statistics in folding those of these images.

    What the network computes in eval mode stays the same: the affine part takes up the change.
    batches: (B, 3, S, S) float in 0..1.
    """
    sums: dict[nn.BatchNorm2d, tuple[Tensor, Tensor, int]] = {}

    def record(norm: nn.BatchNorm2d) -> Callable[[nn.Module, tuple[Tensor]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor]) -> None:
            x = inputs[0].double().transpose(0, 1).flatten(1)
            first, second, count = sums.get(norm, (torch.zeros(()), torch.zeros(()), 0))
            sums[norm] = (
                first.to(x) + x.sum(1),
                second.to(x) + x.square().sum(1),
                count + x.shape[1],
            )

        return hook

    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    hooks = [norm.register_forward_pre_hook(record(norm)) for norm in norms]
    was_training = model.training
    model.eval()
    for images in batches:
        model(images)
    for hook in hooks:
        hook.remove()
    for norm, (first, second, count) in sums.items():
        mean = first / count
        variance = (second / count - mean.square()).clamp(min=1e-6)
        assert norm.running_mean is not None
        assert norm.running_var is not None
        old_gain = norm.weight / torch.sqrt(norm.running_var + norm.eps)
        old_shift = norm.bias - norm.running_mean * old_gain
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_(old_gain * torch.sqrt(norm.running_var + norm.eps))
        norm.bias.copy_(old_shift + norm.running_mean * old_gain)
    model.train(was_training)


def freeze_norms(model: nn.Module) -> None:
    """Batch norms in eval mode; their affine parts still learn."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
