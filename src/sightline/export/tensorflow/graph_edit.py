"""Changes to a TensorFlow GraphDef, all made at once."""

from __future__ import annotations

from collections import defaultdict
from graphlib import TopologicalSorter
from typing import Any

import tensorflow as tf


class GraphEdit:
    """Changes to a GraphDef, made all at once by finish()."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.nodes = {node.name: node for node in graph.node}
        self._readers: dict[str, list[Any]] = defaultdict(list)
        for node in graph.node:
            for name in node.input:
                self._readers[name].append(node)
        self._added: list[Any] = []
        self._removed: set[str] = set()

    def nodes_of(self, *ops: str) -> list[Any]:
        return [node for node in self.graph.node if node.op in ops]

    def only_reader(self, node: Any) -> Any | None:
        """The node that reads `node`, if there is one only."""
        found = self._readers[node.name]
        return found[0] if len(found) == 1 else None

    def constant(self, name: str) -> Any | None:
        """The values of a constant; None for the name of anything else."""
        node = self.nodes.get(name)
        if node is None or node.op != "Const":
            return None
        return tf.make_ndarray(node.attr["value"].tensor)

    def add(self, name: str, op: str, inputs: list[str]) -> Any:
        """A new node."""
        node = type(self.graph)().node.add(name=name, op=op, input=inputs)
        self._added.append(node)
        return node

    def add_constant(self, name: str, values: Any) -> str:
        """The name of a new constant."""
        tensor = tf.make_tensor_proto(values)
        node = self.add(name, "Const", [])
        node.attr["value"].tensor.CopyFrom(tensor)
        node.attr["dtype"].type = tensor.dtype
        return name

    def add_like(self, node: Any, name: str, inputs: list[str]) -> Any:
        """A new node with the operation and attributes of `node`."""
        copy = type(node)()
        copy.CopyFrom(node)
        copy.name = name
        copy.input[:] = inputs
        self._added.append(copy)
        return copy

    def remove(self, *nodes: Any) -> None:
        self._removed.update(node.name for node in nodes)

    def finish(self) -> None:
        """Put the changes into the graph, in an order in which its nodes can run.

        What is added may have the name of what is removed. Constants that nobody reads any more go.
        """
        kept = [node for node in self.graph.node if node.name not in self._removed]
        nodes = {node.name: node for node in [*kept, *self._added]}
        reads = {name: [_node_name(i) for i in node.input] for name, node in nodes.items()}
        read = {name for inputs in reads.values() for name in inputs}
        order = [
            nodes[name]
            for name in TopologicalSorter(reads).static_order()
            if name in read or nodes[name].op != "Const"
        ]
        del self.graph.node[:]
        self.graph.node.extend(order)


def _node_name(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]
