"""embedding: images and what a method learned to its ``maps`` and ``scores``; on the way the reconstructor's
``residuals``, its ``codes`` and ``suitability``, the scorer's ``embeddings`` and ``one_class`` model."""

from kedro.pipeline import Node, Pipeline

from flawline.methods.registry import Method, Reconstructor
from flawline.pipelines.embedding import choosing, held_out, nodes, reconstructing

SHARED = {"images", "masks", "usable_manifest", "alignment", "aligner", "near_duplicates", "folds", "progress",
          "pseudo_images", "pseudo_defects"}  # fmt: skip
FRAMES = {"alignment": "alignment", "aligner": "aligner"}
PARAMETERS = {f"params:{name}" for name in (
    "compute", "seed", "suitability", "defect_injection", "evaluation.review_overkill", "inspection.min_area",
    "inspection.mm_per_pixel",
)}  # fmt: skip


def create_pipeline(spec: Method) -> Pipeline:
    """Return the embedding of a method: what its reconstructor makes of the images, then its scorer's part."""
    row = spec.reconstructor
    own = [*_choose(spec), *_embed(spec), *_fit(spec), *_hold_out(spec), _score(spec), _tabulate(spec),
           _score_pseudo(spec), *_patches(spec)]  # fmt: skip
    if row is None:
        return _plan(spec) + _spaced(own, spec.name)
    return _spaced(_reconstruct(row), row.name) + _spaced(own, spec.name, seen=row.name)


def _spaced(made: list[Node], name: str, *, seen: str = "") -> Pipeline:
    """Return the nodes in the namespace ``name``; what a reconstructor makes is that of ``seen``."""
    used = {each for node in made for each in node.inputs}
    inputs = {each: each for each in SHARED & used}
    parameters = {each: each for each in PARAMETERS & used}
    if seen not in ("", name):
        inputs |= {each: f"{seen}.{each}" for each in ("residuals", "codes", "weights") if each in used}
        parts = [each for each in used if each.startswith("params:") and each not in {*PARAMETERS, "params:scorer"}]
        parameters |= {each: f"params:{seen}.{each.removeprefix('params:')}" for each in parts}
    return Pipeline(made, namespace=name, inputs=inputs, parameters=parameters, tags=["embedding", name])


def _reconstruct(row: Reconstructor) -> list[Node]:
    trained = {
        "weights": "weights",
        **{part: f"params:{part}" for part in row.parts},
        "compute": "params:compute",
        "images": "images",
        "manifest": "usable_manifest",
    }
    tracked = trained | {"progress": "progress"}
    has_folds = row.network is not None and row.network.folds
    folds = {"fold_networks": "fold_weights", "folds": "params:folds", "seed": "params:seed"} if has_folds else {}
    made = [Node(reconstructing.make_reconstruct(row), name="reconstruct", inputs=tracked | folds, outputs="residuals")]
    if row.codes_of:
        made.append(Node(reconstructing.make_encode(row), name="encode", inputs=tracked, outputs="codes"))
    if row.similarity:
        compared = tracked | {"pseudo_images": "pseudo_images"}
        node = reconstructing.make_compare(row)
        made.append(Node(node, name="compare_reconstructions", inputs=compared, outputs="similarity"))
    if row.suitability:
        more = {
            "expected_suitability": "expected_suitability",
            "seed": "params:seed",
            "suitability": "params:suitability",
        }
        node = reconstructing.make_judge_suitability(row)
        made.append(Node(node, name="judge_suitability", inputs=trained | more, outputs="suitability"))
    return made


def _plan(spec: Method) -> Pipeline:
    """Return the node, one for all methods, that plans the folds in which normal images calibrate."""
    if not spec.folds:
        return Pipeline([])
    inputs = ["usable_manifest", "near_duplicates", "params:evaluation.calibration", "params:seed"]
    return Pipeline([Node(held_out.plan_folds, name="plan_folds", inputs=inputs, outputs="folds")], tags="embedding")


def _folds(spec: Method, *names: str) -> dict[str, str]:
    """Return of ``names`` what a method that can learn fold by fold reads; nothing of another one."""
    return {name: name for name in names} if spec.folds else {}


def _hold_out(spec: Method) -> list[Node]:
    if not spec.folds:
        return []
    inputs = _inputs(spec, "progress", "embeddings") | FRAMES | {"seed": "params:seed"}
    inputs |= {name: name for name in ("folds", "pseudo_images", "pseudo_defects")}
    return [Node(held_out.make_score_held_out(spec), name="score_held_out", inputs=inputs, outputs="held_out")]


def _inputs(spec: Method, *names: str) -> dict[str, str]:
    """Return what every node of a scorer reads, and of ``names`` what the method has."""
    has = {
        "residuals": spec.reconstructor is not None,
        "embeddings": spec.scorer_class.embeds,
        "one_class": spec.scorer_class.learns,
    }
    shared = {
        "images": "images",
        "manifest": "usable_manifest",
        "scorer": spec.scorer_dataset,
        "compute": "params:compute",
    }
    made = {name: name for name in names if has.get(name, True)}
    return shared | made | ({"residuals": "codes"} if spec.sees_codes and "residuals" in made else {})


def _choose(spec: Method) -> list[Node]:
    if not spec.chooses:
        return []
    inputs = {name: name for name in ("images", "near_duplicates", "folds", "progress")} | FRAMES
    inputs |= {
        name: f"params:{name}" for name in ("scorer", "candidates", "choice", "defect_injection", "seed", "compute")
    }
    inputs |= {name: f"params:inspection.{name}" for name in ("min_area", "mm_per_pixel")}
    inputs |= {"manifest": "usable_manifest", "review_overkill": "params:evaluation.review_overkill"}
    inputs |= {"unfinished": "unfinished_choice"}
    made = ["choice", "chosen_scorer", "found_by_kind"]
    return [Node(choosing.choose_scorer, name="choose_scorer", inputs=inputs, outputs=made)]


def _embed(spec: Method) -> list[Node]:
    if not spec.scorer_class.embeds:
        return []
    inputs = _inputs(spec, "progress", "residuals")
    return [Node(nodes.make_embed(spec), name="embed", inputs=inputs, outputs="embeddings")]


def _fit(spec: Method) -> list[Node]:
    if not spec.scorer_class.learns:
        return []
    inputs = _inputs(spec, "residuals", "embeddings") | {"seed": "params:seed"} | _folds(spec, "folds")
    return [Node(nodes.make_fit(spec), name="fit_one_class", inputs=inputs, outputs="one_class")]


def _score(spec: Method) -> Node:
    inputs = _inputs(spec, "progress", "residuals", "embeddings", "one_class") | FRAMES
    inputs |= _folds(spec, "folds", "held_out")
    return Node(nodes.make_score(spec), name="score_images", inputs=inputs, outputs="maps")


def _tabulate(spec: Method) -> Node:
    inputs = {"maps": "maps", "manifest": "usable_manifest", "scorer": spec.scorer_dataset} | _folds(spec, "folds")
    return Node(nodes.make_tabulate(spec), name="tabulate_scores", inputs=inputs, outputs="scores")


def _score_pseudo(spec: Method) -> Node:
    inputs = {name: name for name in ("pseudo_images", "pseudo_defects", "maps", "scores", "progress")} | FRAMES
    inputs |= _folds(spec, "held_out")
    inputs |= {"manifest": "usable_manifest", "scorer": spec.scorer_dataset, "compute": "params:compute"}
    inputs |= {"one_class": "one_class"} if spec.scorer_class.learns else {}
    if spec.reconstructor is not None:
        inputs |= {"weights": "weights"} | {part: f"params:{part}" for part in spec.reconstructor.parts}
    return Node(nodes.make_score_pseudo(spec), name="score_pseudo_defects", inputs=inputs, outputs="pseudo_scores")


def _patches(spec: Method) -> list[Node]:
    if not spec.has_patch_losses:
        return []
    own = {name: name for name in ("residuals", "masks", "patch_index")}
    inputs = own | {"manifest": "usable_manifest", "patches": "params:patches"}
    return [Node(nodes.make_score_patches(spec), name="score_patches", inputs=inputs, outputs="patch_losses")]
