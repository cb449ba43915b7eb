"""patching: images and a reconstructor's geometry to its ``patch_index`` and ``expected_suitability``, or to
``small_images``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method, Reconstructor
from flawline.pipelines.patching.nodes import make_expect_suitability, make_index_grid, make_shrink_images


def create_pipeline(spec: Method) -> Pipeline:
    """Return the patching of a method's reconstructor; empty of a method without one, or one that needs none."""
    row = spec.reconstructor
    if row is None:
        return Pipeline([])
    shared = {"images", "masks", "usable_manifest", "progress"}
    nodes = [*_grid(row), *_small(row), *_expected(row)]
    used = shared & {name for node in nodes for name in node.inputs}
    parameters = {"params:seed", "params:suitability"} & {name for node in nodes for name in node.inputs}
    return Pipeline(nodes, namespace=row.name, inputs=used, parameters=parameters, tags=["patching", row.name])


def _grid(row: Reconstructor) -> list[Node]:
    if not row.any_size:
        return []
    inputs = {"images": "images", "masks": "masks", "patches": "params:patches"}
    return [Node(make_index_grid(row), name="index_grid", inputs=inputs, outputs="patch_index")]


def _small(row: Reconstructor) -> list[Node]:
    if not row.network or not row.network.downsized:
        return []
    inputs = {"images": "images", "patches": "params:patches", "progress": "progress"}
    return [Node(make_shrink_images(row), name="shrink_images", inputs=inputs, outputs="small_images")]


def _expected(row: Reconstructor) -> list[Node]:
    if row.suitability is None:
        return []
    inputs = {
        "images": "images",
        "manifest": "usable_manifest",
        "patches": "params:patches",
        "code_length": f"params:model.{row.suitability}",
        "seed": "params:seed",
        "suitability": "params:suitability",
    }
    node = make_expect_suitability(row)
    return [Node(node, name="expect_suitability", inputs=inputs, outputs="expected_suitability")]
