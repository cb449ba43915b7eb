"""The stages as the boxes of Kedro-Viz, which draws a namespace as a box that opens to its nodes."""

from collections.abc import Collection
from typing import Any

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import METHODS


class BoxedNode(Node):
    """A node whose name is whole without its namespace. Kedro begins a name with the namespace; here that is a box of
    the picture and no part of what a person types: ``kedro run --nodes=cae.train``."""

    @property
    def name(self) -> str:
        return str(self._name)

    def _copy(self, **changed: Any) -> "BoxedNode":
        """Kedro tags and maps a node by a copy, which would be a ``Node`` with another name."""
        return _boxed(super()._copy(**changed), self.name)


def in_boxes(pipeline: Pipeline, stages: Collection[str]) -> Pipeline:
    """Return the pipeline with each node in the box of the stage that it has as a tag; where several methods have that
    stage, in a box of the method's in there."""
    placed = [(node, _stage_of(node, stages), node.name.rpartition(".")[0]) for node in pipeline.nodes]
    shared = {stage for stage in stages if len({own for _, at, own in placed if at == stage and own}) > 1}
    return Pipeline(
        _boxed(node._copy(namespace=f"{stage}.{own}" if own and stage in shared else stage), node.name)
        for node, stage, own in placed
    )


def method_of(node: Node) -> str | None:
    """Return the method that a node is of; None if it is of all, or of a reconstructor that several methods use."""
    own = node.name.rpartition(".")[0]
    return own if own in METHODS else None


def _stage_of(node: Node, stages: Collection[str]) -> str:
    for stage in stages:
        if stage in node.tags:
            return stage
    raise ValueError(f"node {node.name} has none of the tags {list(stages)}; wanted that of its stage")


def _boxed(node: Node, name: str) -> BoxedNode:
    return BoxedNode(node.func, node._inputs, node._outputs, name=name, tags=node.tags, namespace=node.namespace)
