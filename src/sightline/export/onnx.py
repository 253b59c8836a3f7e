"""The deployed network as an ONNX graph: static shapes, plain operators, no shape arithmetic.

Written node by node, not traced: detections are the training network's own, only the arithmetic's
order changes.
"""

from __future__ import annotations

from pathlib import Path

import torch

from sightline.errors import MissingExtra
from sightline.export.deploy import count_detections, fold
from sightline.models.deimv2.network import DeimV2


def write_onnx(model: DeimV2, path: Path, batch: int = 1) -> int:
    """Write the graph for `batch` images at once; returns K, the detections it puts out.

    Input image: uint8 (batch, S, S, 3) RGB. Outputs boxes float32 (batch, K, 4) xyxy in 0..1,
    scores float32 (batch, K) sorted, labels int32 (batch, K).
    """
    try:
        from onnx import TensorProto, helper
    except ImportError as error:
        raise MissingExtra("writing ONNX", "train") from error
    from sightline.export.graph_backbone import add_backbone
    from sightline.export.graph_decoder import add_decoder, add_detections, count_queries
    from sightline.export.graph_encoder import add_encoder
    from sightline.export.graph_nodes import Graph

    folded, side, kept = fold(model), model.input_px, count_detections(model)
    graph = Graph()
    with torch.no_grad():
        maps = add_backbone(graph, folded.backbone, "image", batch, side)
        maps = add_encoder(graph, folded.encoder, maps, batch, side)
        logits, boxes = add_decoder(graph, folded.decoder, maps, batch, side)
        count = count_queries(folded.decoder)
        add_detections(graph, logits, boxes, batch, count, model.classes, kept)
    describe = helper.make_tensor_value_info
    program = graph.model(
        [describe("image", TensorProto.UINT8, [batch, side, side, 3])],
        [
            describe("boxes", TensorProto.FLOAT, [batch, kept, 4]),
            describe("scores", TensorProto.FLOAT, [batch, kept]),
            describe("labels", TensorProto.INT32, [batch, kept]),
        ],
    )
    path.write_bytes(program.SerializeToString())
    return kept
