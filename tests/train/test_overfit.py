"""Everything together learns: four photos by heart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from sightline.data.augment import WEAK
from sightline.data.dataset import Dataset
from sightline.evaluate.coco import Metrics
from sightline.models.deimv2.network import DeimV2
from sightline.train.batches import BatchMaker
from sightline.train.config import TrainConfig
from sightline.train.criterion import Criterion
from sightline.train.ema import Ema
from sightline.train.optimiser import Schedule, make_optimiser, set_learning_rate
from sightline.train.recipe import recipe_for
from sightline.train.start import begin_network, find_start
from sightline.train.validation import Validator

STEPS, SIDE = 100, 160


@pytest.mark.slow
@pytest.mark.usefixtures("one_thread")
def test_four_photos_are_learnt_by_heart(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_MODELS", str(shared / "models"))
    kangaroo = Dataset.load(shared / "data" / "kangaroo", check_images=False)
    records = kangaroo.records[:4]
    config = TrainConfig(model="deimv2-atto", input_px=SIDE, batch=4)
    start = find_start(config.model)
    recipe = recipe_for(start, config)
    torch.manual_seed(0)
    network = begin_network(start, kangaroo.classes, config, records)
    validator = Validator(records, kangaroo.classes, SIDE, torch.device("cpu"))

    def measure(model: DeimV2) -> Metrics:
        return validator(model).metrics

    before = measure(network)
    ema = Ema(network, recipe.ema_decay)
    optimiser = make_optimiser(network, recipe.learning_rate, 0.2, recipe.weight_decay)
    batches = BatchMaker(records, batch=4, side=SIDE, seed=0)
    losses = []
    for step in range(STEPS):
        set_learning_rate(optimiser, Schedule().factor(step / STEPS))
        images, targets = batches.get(step, WEAK).to(torch.device("cpu"))
        network.train()
        recipe.prepare(network)
        terms = Criterion()(network(images, targets, recipe.denoising), targets, recipe.denoising)
        loss = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), recipe.clip)
        optimiser.step()
        ema.update(network)
        losses.append(float(loss.detach()))
    batches.close()
    after = measure(ema.model)
    assert before.AP is not None
    assert after.AP is not None
    assert after.AP50 is not None
    # .0003 before, .98 (AP50 1.0) after, measured; a wrong sign, a class or box out of place, or
    # weights that do not move end far below.
    assert before.AP < 0.3
    assert after.AP > 0.7
    assert after.AP50 > 0.85
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.5 * np.mean(losses[:5])
