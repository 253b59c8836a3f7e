"""Make the starter weights: deimv2-atto trained from nothing on procedurally drawn scenes.

    python tools/make_starter.py --minutes 90 --out starter-atto.safetensors

Only drawn scenes with STARTER_KINDS are seen; no photo and no other weights. The log's last line
and the file's metadata record seed, steps, images and AP50 on 400 fresh scenes.
"""

from __future__ import annotations

import argparse
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from sightline.data.drawn import STARTER_KINDS, draw_scene
from sightline.models.deimv2.denoising import Target
from sightline.models.deimv2.network import DeimV2
from sightline.train.criterion import Criterion
from sightline.train.ema import Ema
from sightline.train.optimiser import Schedule, make_optimiser, set_learning_rate

KINDS = list(STARTER_KINDS)
SIDES = (160, 192, 192, 224, 224, 256)
BATCH = 16
LEARNING_RATE = 1.2e-3
COPIES = 4


def draw_batch(seed: int, step: int, side: int, count: int) -> tuple[Tensor, list[Target]]:
    """Images (count, 3, side, side) in 0..1 and targets, a function of seed and step alone."""
    images, targets = [], []
    for index in range(count):
        rng = np.random.default_rng((seed, step, index))
        scene = draw_scene(rng, KINDS, width=side, height=side)
        boxes = torch.from_numpy(scene.boxes_xyxy).float() / side
        low, high = boxes.reshape(-1, 4).split(2, dim=-1)
        images.append(scene.image)
        targets.append(
            Target(torch.from_numpy(scene.label_ids), torch.cat([(low + high) / 2, high - low], -1))
        )
    batch = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    return batch.contiguous(), targets


def measure(model: DeimV2, side: int, count: int = 400) -> float:
    """AP50 over all kinds on fresh scenes of that side."""
    from sightline.evaluate.coco import ImageDetections, ImageTruth, coco_metrics

    truths, found = [], []
    for step in range(count // BATCH):
        images, targets = draw_batch(987_654, step, side, BATCH)
        with torch.no_grad():
            final = model(images).final
        scores, picks = final.logits.sigmoid().flatten(1).topk(100)
        for row, target in enumerate(targets):

            def pixels(boxes: Tensor) -> np.ndarray:
                centre, extent = (boxes * side).split(2, dim=-1)
                low, high = centre - extent / 2, centre + extent / 2
                return torch.cat([low, high], -1).numpy().astype(np.float64)

            boxes = pixels(target.boxes)
            size = boxes[:, 2:] - boxes[:, :2]
            truths.append(
                ImageTruth(
                    boxes, target.labels.numpy(), np.zeros(len(boxes), bool), size.prod(axis=1)
                )
            )
            query, label = picks[row] // len(KINDS), picks[row] % len(KINDS)
            found.append(
                ImageDetections(
                    pixels(final.boxes[row][query]),
                    scores[row].numpy().astype(np.float64),
                    label.numpy(),
                )
            )
    return coco_metrics(truths, found, KINDS).AP50 or 0.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=90, help="the schedule's length")
    parser.add_argument("--steps", type=int, help="or its steps: repeats a run, whatever the speed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("starter-atto.safetensors"))
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    model = DeimV2("atto", len(KINDS), 320).train()
    optimiser = make_optimiser(model, LEARNING_RATE, 1.0, 1e-4)
    ema = Ema(model, 0.998)
    criterion = Criterion(copies=COPIES)
    schedule = Schedule(warmup=0.03, flat=0.03, floor=0.01)
    sides = np.random.default_rng(args.seed)
    started, budget = time.monotonic(), args.minutes * 60
    pool = ThreadPoolExecutor(1)
    step = 0

    def next_batch(number: int) -> tuple[Tensor, list[Target]]:
        return draw_batch(args.seed, number, int(sides.choice(SIDES)), BATCH)

    waiting = pool.submit(next_batch, 0)
    saved = 0.0
    while (done := step / args.steps if args.steps else (time.monotonic() - started) / budget) < 1:
        images, targets = waiting.result()
        waiting = pool.submit(next_batch, step + 1)
        set_learning_rate(optimiser, schedule.factor(done))
        terms = criterion(model(images), targets)
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        ema.update(model)
        step += 1
        if step % 100 == 0:
            seconds = time.monotonic() - started
            print(
                f"{seconds:7.0f} s  step {step}  loss {loss.item():.3f}  "
                f"{step * BATCH / seconds:.1f} img/s",
                flush=True,
            )
            if seconds - saved > 600:
                saved = seconds
                save(
                    ema.model, args.out, {"step": step, "minutes": seconds / 60, "seed": args.seed}
                )
    facts = {
        "seed": args.seed,
        "steps": step,
        "images": step * BATCH,
        "minutes": args.minutes,
        "sides": SIDES,
        "learning_rate": LEARNING_RATE,
        "batch": BATCH,
        "copies": COPIES,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    save(ema.model, args.out, facts)
    for side in (192, 320):
        facts[f"AP50_{side}"] = round(measure(ema.model, side), 3)
    save(ema.model, args.out, facts)
    print(json.dumps(facts))


def save(model: torch.nn.Module, path: Path, facts: dict[str, object]) -> None:
    """Half precision, without what is derived or used in no fine-tuning."""
    assert isinstance(model, DeimV2)
    tensors: dict[str, Tensor] = {}
    for key, value in model.state_dict().items():
        if key.endswith(
            (
                "anchors",
                "valid_mask",
                "num_points_scale",
                "num_batches_tracked",
                "denoising_class_embed.weight",
            )
        ) or key.startswith(("decoder.dec_bbox_head.1", "decoder.dec_bbox_head.2")):
            continue
        tensors[key] = value.detach().half().clone().contiguous()
    metadata = {
        "model": "deimv2-atto",
        "classes": json.dumps(KINDS),
        "license": "Apache-2.0",
        "source": "tools/make_starter.py: drawn scenes only",
        "facts": json.dumps(facts),
    }
    temporary = path.with_suffix(".tmp")
    save_file(tensors, temporary, metadata)
    temporary.replace(path)


if __name__ == "__main__":
    main()
