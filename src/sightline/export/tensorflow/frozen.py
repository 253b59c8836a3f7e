"""A TensorFlow function as one flat, optimised graph without variables or functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sightline.errors import ExportError

# Twice, since each makes work for the others. "remap" is left out: it fuses into operations that
# only TensorFlow has.
_PASSES = ["pruning", "constfold", "arithmetic", "dependency"] * 2


def freeze_graph(function: Any, outputs: Sequence[str]) -> Any:
    """The GraphDef of a concrete function whose result is a dictionary with the keys `outputs`.

    Each output is an Identity node of that name, each input a Placeholder node of its own.
    """
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    frozen = convert_variables_to_constants_v2(function)
    graph = _optimise(frozen.graph.as_graph_def(), [tensor.name for tensor in frozen.outputs])
    taken = {node.name for node in graph.node} & set(outputs)
    if taken:
        raise ExportError(f"a node inside the graph has the name of an output, {taken.pop()}")
    # TensorFlow flattens a dictionary in the order of its sorted keys.
    for name, tensor in zip(sorted(outputs), frozen.outputs, strict=True):
        _name_output(graph, tensor.op.name, name)
    return graph


def _optimise(graph: Any, outputs: Sequence[str]) -> Any:
    from tensorflow.core.protobuf import config_pb2, meta_graph_pb2
    from tensorflow.python.grappler import tf_optimizer

    meta = meta_graph_pb2.MetaGraphDef()
    meta.graph_def.CopyFrom(graph)
    # what grappler may not remove
    meta.collection_def["train_op"].node_list.value.extend(outputs)
    config = config_pb2.ConfigProto()
    options = config.graph_options.rewrite_options
    options.optimizers.extend(_PASSES)
    options.min_graph_nodes = -1  # small graphs as well
    return tf_optimizer.OptimizeGraph(config, meta)


def _name_output(graph: Any, old: str, name: str) -> None:
    """Call the Identity node `old` by its new name; a constant gets an Identity behind it.

    TensorFlow.js would hand out the weight itself for a constant: a caller who frees what he was
    given would take it from the model.
    """
    node = next(node for node in graph.node if node.name == old)
    if node.op == "Identity":
        node.name = name
        return
    assert node.op == "Const"
    added = graph.node.add(name=name, op="Identity", input=[old])
    added.attr["T"].CopyFrom(node.attr["dtype"])
