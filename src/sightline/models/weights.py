"""Reading and writing the network's weights under the official key names (safetensors)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sightline.errors import BundleDamaged, ModelNotFound
from sightline.models.deimv2.encoder import RepBlock
from sightline.models.deimv2.network import DeimV2
from sightline.models.safetensors_header import read_header


def build_model(
    size: str, classes: int, state: dict[str, Tensor], input_px: int | None = None
) -> DeimV2:
    """The network of that size with these weights; anchors are recomputed for another input.

    Weights whose 1x1 branches were merged away, as fine-tuning's are, give a network without
    them. Raises BundleDamaged for a tensor that is missing or of another shape.
    """
    model = DeimV2(size, classes, input_px)
    if not any(".bottlenecks." in key and ".conv2." in key for key in state):
        for module in model.modules():
            if isinstance(module, RepBlock):
                module.conv2 = None
    own = model.state_dict()
    given = {}
    for key, value in state.items():
        if key.endswith(("anchors", "valid_mask")) and value.shape != own.get(key, value).shape:
            continue
        if key in own and value.shape != own[key].shape:
            raise BundleDamaged(
                f"weights do not fit deimv2-{size} with {classes} classes: {key} has shape "
                f"{tuple(value.shape)}, expected {tuple(own[key].shape)}"
            )
        if key in own and value.shape == own[key].shape:
            given[key] = value.to(own[key].dtype)
    tied = ("decoder.dec_bbox_head.1", "decoder.dec_bbox_head.2")
    missing = [
        key
        for key in own
        if key not in given
        and not _is_optional(key)
        and not (model.size.shares_box_head and key.startswith(tied))
    ]
    if missing:
        raise BundleDamaged(f"weights lack {len(missing)} tensors of deimv2-{size}: {missing[0]} …")
    model.load_state_dict(given, strict=False)
    return model


def read_weights(path: Path) -> dict[str, Tensor]:
    """Tensors of a safetensors file, half precision widened to float32.

    Tied tensors that the file stores once, as Hugging Face's writer does, come under each name.
    """
    try:
        state = load_file(path)
        for name, kept in read_header(path).aliases.items():
            state.setdefault(name, state[kept])
    except FileNotFoundError as error:
        raise ModelNotFound(f"no weights at {path}") from error
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise BundleDamaged(f"{path} is no readable safetensors file: {error}") from error
    return {
        key: value.float() if value.dtype in (torch.float16, torch.bfloat16) else value
        for key, value in state.items()
    }


def read_classes(path: Path) -> tuple[str, ...] | None:
    """The class names that a safetensors file's metadata may carry."""
    try:
        with safe_open(path, "pt") as opened:
            return tuple(json.loads((opened.metadata() or {})["classes"]))
    except KeyError:
        return None
    except (SafetensorError, OSError, ValueError) as error:
        raise BundleDamaged(f"{path} is no readable safetensors file: {error}") from error


def write_weights(path: Path, state: dict[str, Tensor], metadata: dict[str, str]) -> None:
    """Write atomically; tied tensors are stored under each of their names."""
    temporary = path.with_name(f".{path.name}.tmp")
    tensors = {k: v.detach().cpu().clone().contiguous() for k, v in state.items()}
    try:
        save_file(tensors, temporary, metadata)
    except SafetensorError as error:  # how it says that the disk is full
        raise OSError(f"{path.name}: {error}") from error
    temporary.chmod(0o644)
    os.replace(temporary, path)


def has_identity_statistics(model: nn.Module) -> bool:
    """Whether every batch norm lost its statistics in folding (mean 0, one variance)."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    return all(
        bool((norm.running_mean == 0).all()) and bool((norm.running_var - 1).abs().max() < 1e-4)
        for norm in norms
        if norm.running_mean is not None and norm.running_var is not None
    )


def _is_optional(key: str) -> bool:
    """Whether a tensor is derived, or used in training only."""
    return key.endswith(
        (
            "anchors",
            "valid_mask",
            "num_points_scale",
            "num_batches_tracked",
            "denoising_class_embed.weight",
        )
    )
