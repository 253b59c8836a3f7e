"""What a user may have to say about a foreign file that the file does not say itself."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.config import option

# How a network wants its pixels, by the word that `--pixels` takes.
UNIT, IMAGENET, RGB255, BGR255 = PIXELS = ("unit", "imagenet", "rgb255", "bgr255")


@dataclass(frozen=True)
class ImportConfig:
    """Settings of `sightline import`; what is None follows from the file."""

    labels: str | None = option(
        None, "class names: a text file (one a line), .pbtxt, .json or .yaml; default COCO's 80"
    )
    pixels: str | None = option(
        None,
        "what the network was fed in training: RGB in 0..1 (unit, the default of DETRs), that less "
        "ImageNet's mean by its deviation (imagenet), or 0..255 (bgr255, the default of YOLOX)",
        choices=PIXELS,
    )
    size: int | None = option(
        None, "side of the input in pixels, for a graph that takes any size", low=32
    )
    outputs: str | None = option(
        None, "which outputs of a TensorFlow model are meant: BOXES,SCORES,CLASSES"
    )
    name: str | None = option(None, "what to call the model; default the file's name")
    license: str | None = option(None, "its licence, for the manifest")
    threshold: float | None = option(
        None, "the least score shown; default 0.3 for YOLOX, else 0.5", low=0
    )
