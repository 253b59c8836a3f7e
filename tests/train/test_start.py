"""What a run begins with: heads by name, statistics given back, empty branches dropped."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sightline.data.dataset import Dataset
from sightline.data.images import decode_image, resize_stretch
from sightline.data.records import Record
from sightline.errors import BundleDamaged, ModelNotFound
from sightline.labels import COCO_LABELS
from sightline.models.deimv2.denoising import Target
from sightline.models.deimv2.encoder import RepBlock
from sightline.models.deimv2.network import DeimV2
from sightline.models.weights import has_identity_statistics, read_weights
from sightline.train.config import TrainConfig
from sightline.train.criterion import Criterion
from sightline.train.start import (
    begin_network,
    drop_empty_branches,
    find_start,
    fit_to_classes,
    freeze_norms,
    restore_statistics,
)

pytestmark = pytest.mark.usefixtures("one_thread")

Network = Callable[[str], DeimV2]
HEADS = ["enc_score_head", "dec_score_head.0", "dec_score_head.1", "dec_score_head.2"]


@pytest.fixture(scope="module")
def photos(shared: Path) -> Tensor:
    """(16, 3, 192, 192) in 0..1: real photos, small."""
    files = sorted((shared / "data" / "coco_val100" / "images").glob("*.jpg"))[:16]
    pixels = [resize_stretch(decode_image(file), 192, 192) for file in files]
    return torch.from_numpy(np.stack(pixels)).permute(0, 3, 1, 2).float() / 255


def top_scores(network: DeimV2, images: Tensor) -> Tensor:
    """(B,) the best score of each image."""
    with torch.no_grad():
        return network(images).final.logits.sigmoid().flatten(1).amax(1)


def test_heads_take_rows_by_name_and_the_mean_for_others(shared: Path) -> None:
    state = read_weights(shared / "models" / "deimv2-atto-coco.safetensors")
    labels = ["Dog", "kangaroo", "person"]
    network = fit_to_classes("atto", state, COCO_LABELS, labels, None)
    own = network.state_dict()
    for head in HEADS:
        for part in ("weight", "bias"):
            rows, old = own[f"decoder.{head}.{part}"], state[f"decoder.{head}.{part}"]
            assert torch.equal(rows[0], old[COCO_LABELS.index("dog")])
            assert torch.equal(rows[1], old.mean(0))
            assert torch.equal(rows[2], old[COCO_LABELS.index("person")])
    untouched = "encoder.bi_fusion.cv.conv.weight"
    assert torch.equal(own[untouched], state[untouched])
    assert own["decoder.denoising_class_embed.weight"].shape == (4, 64)
    assert network.classes == 3


def test_a_known_class_is_detected_from_the_first_step(
    shared: Path, coco_network: Network, photos: Tensor
) -> None:
    state = read_weights(shared / "models" / "deimv2-atto-coco.safetensors")
    fitted = fit_to_classes("atto", state, COCO_LABELS, ["person"], 192).eval()
    fitted.set_input_size(192)
    whole = coco_network("atto")
    person = COCO_LABELS.index("person")
    with torch.no_grad():
        best = whole(photos).final.logits[..., person].sigmoid().amax(1)
    shown = best > 0.5
    assert shown.sum() >= 4
    # other tokens are chosen when only persons are asked for, so scores move a little
    assert (top_scores(fitted, photos)[shown] - best[shown]).abs().max() < 0.1


def test_statistics_come_back_without_changing_the_network(
    coco_network: Network, photos: Tensor
) -> None:
    network = coco_network("atto")
    drop_empty_branches(network)
    before = top_scores(network, photos)
    in_train_mode = train_mode_scores(network, photos)
    restore_statistics(network, photos.split(8))
    assert not has_identity_statistics(network)
    assert not network.training
    # eval: the same sums in another order through 40 norms
    torch.testing.assert_close(top_scores(network, photos), before, rtol=0, atol=1e-4)
    restored = train_mode_scores(network, photos)
    # Each batch's own statistics are near those of all: .77 against .77 for femto when measured,
    # where the lost ones gave .37.
    assert (restored - before).abs().mean() < 0.1
    assert (in_train_mode - before).abs().mean() > 0.2


def train_mode_scores(network: DeimV2, images: Tensor) -> Tensor:
    """Best scores when every norm uses its batch's statistics; the network is left as it was."""
    kept = {key: value.clone() for key, value in network.state_dict().items()}
    network.train()
    scores = top_scores(network, images)
    network.load_state_dict(kept)
    network.eval()
    return scores


def test_empty_branches_go_and_nothing_changes(coco_network: Network, photos: Tensor) -> None:
    network = coco_network("atto")
    before = top_scores(network, photos[:4])
    blocks = [module for module in network.modules() if isinstance(module, RepBlock)]
    assert drop_empty_branches(network) == len(blocks) == 8
    assert all(block.conv2 is None for block in blocks)
    torch.testing.assert_close(top_scores(network, photos[:4]), before, rtol=0, atol=1e-6)
    assert drop_empty_branches(network) == 0
    torch.manual_seed(0)
    assert drop_empty_branches(DeimV2("atto", 2, input_px=64)) == 0  # these branches are alive


def test_frozen_norms_keep_statistics_and_learn_their_affine(photos: Tensor) -> None:
    torch.manual_seed(0)
    network = DeimV2("atto", 1, input_px=64).train()
    freeze_norms(network)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    target = Target(torch.tensor([0]), torch.tensor([[0.5, 0.5, 0.3, 0.3]]))
    terms = Criterion()(network(photos[:2, :, :64, :64]), [target] * 2)
    sum(terms.values()).backward()
    for norm in norms:
        assert norm.running_mean is not None
        assert not norm.running_mean.any()
        assert norm.weight.grad is not None
    assert network.training


def test_begin_network_is_ready_for_new_classes(
    shared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_MODELS", str(shared / "models"))
    start = find_start("deimv2-atto")
    assert (start.size, start.labels, start.from_drawings) == ("atto", COCO_LABELS, False)
    assert start.license == "Apache-2.0"
    records = load_records(shared)
    network = begin_network(start, ["kangaroo"], TrainConfig(input_px=160), records)
    assert network.input_px == 160
    assert network.decoder.anchors.shape == (1, 10 * 10 + 5 * 5, 4)
    assert not has_identity_statistics(network)
    assert all(m.conv2 is None for m in network.modules() if isinstance(m, RepBlock))


def load_records(shared: Path, count: int = 8) -> list[Record]:
    dataset = Dataset.load(shared / "data" / "kangaroo", check_images=False)
    return list(dataset.records[:count])


def test_a_bundle_is_a_start_and_must_be_whole(atto_bundle: Path, tmp_path: Path) -> None:
    start = find_start(str(atto_bundle))
    assert (start.name, start.size, len(start.labels)) == ("deimv2-atto", "atto", 80)
    copied = tmp_path / "copied"
    copied.mkdir()
    for file in atto_bundle.iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    weights = copied / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(BundleDamaged, match=r"weights\.safetensors"):
        find_start(str(copied))
    weights.unlink()
    with pytest.raises((BundleDamaged, ModelNotFound), match=r"weights\.safetensors"):
        find_start(str(copied))


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(ModelNotFound, match="deimv2-femto"):
        find_start("deimv2-femti")


def test_class_names_come_from_the_file_where_it_has_them(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SIGHTLINE_MODELS", str(tmp_path))
    state = load_file(shared / "models" / "deimv2-atto-coco.safetensors")
    file = tmp_path / "deimv2-atto.safetensors"
    save_file(state, file, {"classes": '["duck", "cone"]'})
    assert find_start("deimv2-atto").labels == ("duck", "cone")
    save_file(state, file)
    assert find_start("deimv2-atto").labels == COCO_LABELS
