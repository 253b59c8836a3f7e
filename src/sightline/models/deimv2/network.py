"""DEIMv2's small detectors (arXiv 2509.20787): backbone, encoder, decoder, joined.

Parameter names are the official ones, so official weights load as they are.
"""

from __future__ import annotations

from torch import Tensor, nn

from sightline.models.deimv2.backbone import HGNetv2
from sightline.models.deimv2.decoder import Decoder, Outputs
from sightline.models.deimv2.denoising import Target, noise_targets
from sightline.models.deimv2.encoder import HybridEncoder, LiteEncoder
from sightline.models.deimv2.sizes import SIZES


class DeimV2(nn.Module):
    """The detector of one size for `classes` classes."""

    def __init__(self, size: str, classes: int, input_px: int | None = None) -> None:
        super().__init__()
        self.size = SIZES[size]
        self.classes = classes
        self.input_px = input_px or self.size.input_px
        self.backbone = HGNetv2(self.size)
        self.encoder = HybridEncoder(self.size) if self.size.hybrid else LiteEncoder(self.size)
        self.decoder = Decoder(self.size, classes, self.input_px)

    def forward(
        self, images: Tensor, targets: list[Target] | None = None, denoising: int = 0
    ) -> Outputs:
        """images: (B, 3, S, S) float RGB in 0..1, S a multiple of 32.

        With `targets` and `denoising` > 0, about that many noised queries are added in training.
        """
        maps = self.encoder(self.backbone(images))
        queries = None
        if self.training and targets is not None and denoising > 0:
            queries = noise_targets(
                targets, self.decoder.denoising_class_embed, self._query_count(maps), denoising
            )
        outputs: Outputs = self.decoder(maps, queries)
        return outputs

    def set_input_size(self, input_px: int) -> None:
        """Make `input_px` (a multiple of 32) the size the model is stored and deployed for."""
        self.input_px = input_px
        self.decoder.set_input_size(input_px)

    def _query_count(self, maps: list[Tensor]) -> int:
        return min(self.size.queries, sum(x.shape[2] * x.shape[3] for x in maps))
