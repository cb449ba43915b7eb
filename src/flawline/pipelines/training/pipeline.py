"""training: normal images to a reconstructor's ``weights``, of a network also ``history`` and
``sample_reconstructions``."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method, Network, Reconstructor
from flawline.pipelines.defect_injection.nodes import draw_gallery, make_inject_defects, tabulate_defects
from flawline.pipelines.training.nodes import make_fit, make_train, make_train_folds

SHARED = {"images", "usable_manifest", "machine", "progress"}
PARAMETERS = {"params:seed", "params:compute", "params:defect_injection"}


def create_pipeline(spec: Method) -> Pipeline:
    """Return the training of a method's reconstructor; empty of a method that has none."""
    row = spec.reconstructor
    if row is None:
        return Pipeline([])
    nodes = [_fit(row)] if row.network is None else _train(row, row.network)
    used = {name for node in nodes for name in node.inputs}
    return Pipeline(
        nodes,
        namespace=row.name,
        inputs=SHARED & used,
        parameters=PARAMETERS & used,
        tags=["training", row.name],
    )


def _fit(row: Reconstructor) -> Node:
    parts = {part: f"params:{part}" for part in row.parts}
    inputs = {"images": "images", "manifest": "usable_manifest", "seed": "params:seed"} | parts
    return Node(make_fit(row), name="train", inputs=inputs, outputs="weights")


def _train(row: Reconstructor, network: Network) -> list[Node]:
    inputs = {
        "images": "small_images" if network.downsized else "images",
        "manifest": "usable_manifest",
        "patches": "params:patches",
        "model": "params:model",
        "train": "params:train",
        "seed": "params:seed",
        "compute": "params:compute",
        "checkpoints": "checkpoints",
        "machine": "machine",
        "progress": "progress",
    }
    made = ("pseudo_images", "pseudo_masks", "pseudo_defects") if network.pseudo_defects else ()
    pseudo = {name: name for name in made}
    outputs = ["weights", "history", "sample_reconstructions"]
    nodes = [Node(make_train(row, network), name="train", inputs=inputs | pseudo, outputs=outputs)]
    if network.pseudo_defects:
        nodes += _damage(network.pseudo_defects, inputs["images"])
    if network.folds:
        folds = {"checkpoints": "fold_checkpoints", "folds": "params:folds"}
        node = make_train_folds(row, network)
        nodes.append(Node(node, name="train_folds", inputs=inputs | folds, outputs="fold_weights"))
    return nodes


def _damage(splits: tuple[str, ...], images: str) -> list[Node]:
    """Return the nodes that damage normal images of some splits for a training, and show some of them."""
    inputs = {"images": images, "manifest": "usable_manifest"}
    settings = {"defect_injection": "params:defect_injection", "seed": "params:seed"}
    made = ["pseudo_images", "pseudo_masks"]
    shown = inputs | {name: name for name in (*made, "pseudo_defects")}
    tabulated = {"pseudo_images": "pseudo_images"}
    return [
        Node(make_inject_defects(splits), name="inject_defects", inputs=inputs | settings, outputs=made),
        Node(tabulate_defects, name="tabulate_defects", inputs=tabulated, outputs="pseudo_defects"),
        Node(draw_gallery, name="draw_gallery", inputs=shown, outputs="pseudo_gallery"),
    ]
