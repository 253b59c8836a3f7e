"""What a run needs to go on after any stop: last/ in the run folder. No pickle.

The state is one safetensors file, written beside the old one and put in its place in one step.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from sightline.errors import TrainingError
from sightline.models.deimv2.network import DeimV2
from sightline.train.ema import Ema

STATE_NAME = "state.safetensors"


@dataclass
class Progress:
    """Where a run stands. seconds: of work so far; best_ap: -1 before the first validation."""

    step: int = 0
    seconds: float = 0.0
    ema_updates: int = 0
    best_ap: float = -1.0
    best_step: int = 0


def save_state(
    folder: Path,
    progress: Progress,
    model: nn.Module,
    ema: Ema[DeimV2],
    optimiser: torch.optim.Optimizer,
    best: dict[str, Tensor],
    identity: dict[str, Any],
) -> None:
    """Write the state atomically. identity: what a resumed run must agree on."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for prefix, state in (
        ("model.", model.state_dict()),
        ("ema.", ema.model.state_dict()),
        ("best.", best),
    ):
        tensors |= {prefix + key: value for key, value in state.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{key}": value for key, value in state.items()}
    packed = {key: value.detach().cpu().clone().contiguous() for key, value in tensors.items()}
    temporary = folder / f".{STATE_NAME}.tmp"
    metadata = {"progress": json.dumps(asdict(progress)), "identity": json.dumps(identity)}
    save_file(packed, temporary, metadata)
    os.replace(temporary, folder / STATE_NAME)


def load_state(
    folder: Path,
    model: nn.Module,
    ema: Ema[DeimV2],
    optimiser: torch.optim.Optimizer,
    identity: dict[str, Any],
) -> tuple[Progress, dict[str, Tensor]]:
    """Put the saved state into model, ema and optimiser; the progress and best weights.

    Raises TrainingError when there is none, it is damaged, or belongs to other data or settings.
    """
    path = folder / STATE_NAME
    try:
        with safe_open(path, "pt") as opened:
            metadata = opened.metadata() or {}
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
        progress = Progress(**json.loads(metadata["progress"]))
        was = json.loads(metadata["identity"])
    except FileNotFoundError as error:
        raise TrainingError(f"nothing to resume: {path} does not exist") from error
    except (SafetensorError, OSError, KeyError, ValueError, TypeError) as error:
        raise TrainingError(f"{path} cannot be read ({error}); start without --resume") from error
    now = json.loads(json.dumps(identity))
    changed = [key for key in now if was.get(key) != now[key]]
    if changed:
        raise TrainingError(
            f"{folder.parent} was made with another {', '.join(changed)}; use the same settings "
            "and data, or another --out"
        )

    def part(prefix: str) -> dict[str, Tensor]:
        return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}

    model.load_state_dict(part("model."))
    ema.model.load_state_dict(part("ema."))
    ema.updates = progress.ema_updates
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in part("optimiser.").items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimiser.load_state_dict(
        {"state": state, "param_groups": optimiser.state_dict()["param_groups"]}
    )
    return progress, part("best.")
