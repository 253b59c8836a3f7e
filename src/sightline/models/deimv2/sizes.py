"""The four sizes of DEIMv2's small detectors as plain numbers (arXiv 2509.20787)."""

from __future__ import annotations

from dataclasses import dataclass

REG_MAX = 32  # bins of an edge's distance distribution, less one
REG_SCALE = 4.0
LEVEL_STRIDES = (16, 32)


@dataclass(frozen=True)
class Stage:
    """One backbone stage: channels in, inside and out, blocks of three layers, kernel."""

    inputs: int
    mid: int
    outputs: int
    blocks: int = 1
    downsample: bool = True
    light: bool = False
    kernel: int = 3


@dataclass(frozen=True)
class DeimSize:
    """Everything in which the sizes differ. `width` is the encoder's and decoder's channels."""

    name: str
    input_px: int
    stages: tuple[Stage, ...]
    width: int
    feed_forward: int
    queries: int
    points: tuple[int, int] = (4, 2)
    heads: int = 8
    layers: int = 3
    hybrid: bool = False
    gateway: bool = False
    shares_box_head: bool = True

    @property
    def fuse_width(self) -> int:
        """Inner channels of the fuse blocks."""
        return int(0.34 * self.width) // 2


_STEM_STAGES = (
    Stage(16, 16, 64, downsample=False),
    Stage(64, 32, 256),
)

SIZES: dict[str, DeimSize] = {
    "atto": DeimSize(
        "atto",
        320,
        (*_STEM_STAGES, Stage(256, 64, 256, light=True)),
        width=64,
        feed_forward=160,
        queries=100,
    ),
    "femto": DeimSize(
        "femto",
        416,
        (*_STEM_STAGES, Stage(256, 64, 512, light=True, kernel=5)),
        width=96,
        feed_forward=256,
        queries=150,
    ),
    "pico": DeimSize(
        "pico",
        640,
        (*_STEM_STAGES, Stage(256, 64, 512, blocks=2, light=True, kernel=5)),
        width=112,
        feed_forward=320,
        queries=200,
    ),
    "n": DeimSize(
        "n",
        640,
        (
            *_STEM_STAGES,
            Stage(256, 64, 512, blocks=2, light=True, kernel=5),
            Stage(512, 128, 1024, light=True, kernel=5),
        ),
        width=128,
        feed_forward=512,
        queries=300,
        points=(6, 6),
        hybrid=True,
        gateway=True,
        shares_box_head=False,
    ),
}
