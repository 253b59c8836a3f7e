"""The deployed network as an ONNX graph: static shapes, no shape arithmetic, no GridSample."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from sightline.errors import ExportError, MissingExtra
from sightline.export.deploy import DeployedDetector
from sightline.models.deimv2.network import DeimV2

OPSET = 18


def write_onnx(model: DeimV2, path: Path, batch: int = 1) -> int:
    """Write the graph for `batch` images at once; returns K, the detections it puts out.

    Input image: uint8 (batch, S, S, 3) RGB. Outputs boxes float32 (batch, K, 4) xyxy in 0..1,
    scores float32 (batch, K) sorted, labels int32 (batch, K).
    """
    try:
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtra("writing ONNX", "train") from error
    deployed = DeployedDetector(model).eval()
    example = torch.zeros(batch, model.input_px, model.input_px, 3, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            deployed,
            (example,),
            input_names=["image"],
            output_names=["boxes", "scores", "labels"],
            opset_version=OPSET,
            dynamo=True,
            optimize=True,
            verbose=False,
        )
    if program is None:
        raise ExportError("the ONNX exporter returned nothing; upgrade torch and onnxscript")
    graph = program.model_proto
    _strip(graph)
    path.write_bytes(graph.SerializeToString())
    return deployed.detections


def _strip(model: Any) -> None:
    """Drop what only a person debugging the exporter reads: a third of the file."""
    del model.metadata_props[:]
    model.doc_string = ""
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for item in (*model.graph.initializer, *model.graph.input, *model.graph.output):
        item.doc_string = ""
        del item.metadata_props[:]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress and its warnings about absent packages off the terminal."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
