"""Zoo names made into bundles on demand."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from sightline.errors import MissingExtra
from sightline.labels import COCO_LABELS
from sightline.zoo import ZOO, bundle_dir, cache_dir, weights_source, zoo_model

COCO_THRESHOLD = 0.5


def ensure_bundle(
    reference: str | Path, progress: Callable[[str], None] | None = None
) -> str | Path:
    """`reference` itself, or for a zoo name the folder of its bundle, made if it is not there.

    Making one needs the official weights (pulled if need be) and the [train] extra. Raises
    WeightsUnavailable or MissingExtra.
    """
    if str(reference) not in ZOO or Path(reference).exists():
        return reference
    name = str(reference)
    bundle = bundle_dir(name)
    if (bundle / "manifest.json").is_file():
        return bundle
    if find_spec("torch") is None:
        raise MissingExtra(f"making the bundle of {name} from its weights", "train")
    from sightline.models.pull import pull_weights

    weights = pull_weights(name)
    if progress is not None:
        progress(f"making the bundle of {name} (once)")
    return make_zoo_bundle(name, weights, cache_dir() / "bundles" / name, weights_source(name))


def make_zoo_bundle(name: str, weights: Path, destination: Path, source: str | None = None) -> Path:
    """Write the bundle of a zoo model from its weights file; `source` is where that is from."""
    from sightline.export.bundle import write_bundle
    from sightline.export.proof import proof_pictures
    from sightline.models.weights import build_model, read_classes, read_weights

    model = zoo_model(name)
    labels = read_classes(weights) or COCO_LABELS
    network = build_model(model.size, len(labels), read_weights(weights))
    source = source or f"local file {weights.name}"
    write_bundle(
        network,
        destination,
        name=name,
        labels=labels,
        score_threshold=COCO_THRESHOLD,
        base={"name": name, "license": model.license, "source": source},
        metrics={} if model.coco_ap is None else {"coco_val2017": {"AP": model.coco_ap}},
        pictures=proof_pictures([], network.input_px),
    )
    return destination
