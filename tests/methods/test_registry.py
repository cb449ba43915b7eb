import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from base_params import BASE, TREE

from flawline.checks import FlawlineError
from flawline.methods import registry
from flawline.methods.cae import CAE, load_autoencoder
from flawline.methods.mean_image import fit_mean
from flawline.methods.one_class import IMAGE, OneClassScorer, Scored
from flawline.methods.pixel_scorers import residual_map
from flawline.methods.registry import (
    DEFAULT,
    EVERY,
    METHODS,
    PAPERS,
    RECONSTRUCTORS,
    Method,
    Network,
    Paper,
    Reconstructor,
    add_to_paper,
    check_scorer,
    complexity,
    get_method,
    part_of,
    register,
    register_paper,
    register_reconstructor,
    resolve,
)
from flawline.methods.residual_map import ResidualMap
from flawline.methods.tree import parameters_type
from flawline.params import (
    AAEParams,
    CAEParams,
    ComputeParams,
    CPCAEParams,
    PixelMethodParams,
    TrainParams,
)
from flawline.training.objective import Batch, give

PATCHES = BASE.cae.patches

CODE = {"deep_feature_knn": "pooled_knn"}  # a method whose scorer another one shares, without a file of its own
NETWORKS = {name: row for name, row in RECONSTRUCTORS.items() if row.network is not None}
SMALL = {  # parts of the branch of a reconstructor with a network
    "patches": {"size": 16, "stride": 8, "per_epoch": 6},
    "cpcae": {"channels": (4, 8), "latent_size": 2},
    "cae": {"hidden_size": 8, "latent_size": 2},
    # a longer warm-up goes on from a shorter one: what shows is whether there is one
    **{name: {"hidden_size": 8, "latent_size": 2, "warmup": 0} for name in ("vae", "aae")},
    "dcae": {"latent_size": 8},
    "rdcae": {"components": 4, "latent_size": 8},
    "deep_svdd": {"latent_size": 8, "pretrain_epochs": 1},
    "ae": {"latent_size": 4},
    "ssim_ae": {"latent_size": 4},
    "dae": {"latent_size": 4, "blocks": 2, "block": 4},
    # a variant and a teacher of whose training no parameter is without a part
    **{
        name: {"latent_size": 4, "variant": "refined", "teacher": "gradient"}
        for name in ("stn_ae", "stn_ae_random", "stn_ae_refined")
    },
}
NO_PICTURE = ("deep_svdd",)  # networks that reconstruct nothing


def seeded(seed):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(params=NETWORKS)
def row(request):
    return NETWORKS[request.param]


@pytest.fixture
def parts(row):
    branch, side = getattr(BASE, row.name), {"side": 24} if row.network.downsized else {}
    return {
        "patches": branch.patches.but(**SMALL["patches"] | side),
        "model": branch.model.but(**SMALL.get(row.name, SMALL["cae"])),
        **{name: getattr(branch, name) for name in row.parts if name not in ("patches", "model")},
    }


@pytest.fixture
def model(row, parts):
    return resolve(row.network.build)(parts["model"], channels=3, size=16)


@pytest.fixture
def batch(row, parts):
    images = list(np.random.default_rng(0).integers(0, 256, (2, 3, 24, 24), dtype=np.uint8))
    windows = resolve(row.network.windows)(images, [0, 1], parts["patches"], seed=0)
    return Batch(windows.cut(windows.epoch(0)), windows.epoch(0))


def stages_of(row, parts):
    return resolve(row.network.objective)(parts["model"]).stages


# --- what the networks are made of -----------------------------------------------------------------------------------
def test_a_network_reconstructs_the_channels_of_patches(model, batch):
    assert model(batch.x).shape == (6, 3, *batch.x.shape[2:])


def test_trained_weights_reconstruct_an_image_and_leave_a_residual(row, parts, model):
    image = np.random.default_rng(1).integers(0, 256, (3, 24, 32), dtype=np.uint8)
    ready = row.ready(model.state_dict(), parts, channels=3, compute=ComputeParams(device="cpu"))
    found = ready.reconstruct(image)
    assert (found.image is None) if row.name in NO_PICTURE else (found.image.shape == image.shape)
    assert found.residual.shape == (image.shape[1:] if row.any_size else image.shape)
    assert (found.residual >= 0).all()
    assert hasattr(ready, "codes") == bool(row.codes_of)


def test_every_phase_has_a_loss_to_learn_by(row, parts, model, batch):
    for stage in stages_of(row, parts):
        assert stage.phases[0].name == "train"  # whose loss is the history's train_loss
        assert len({phase.name for phase in stage.phases}) == len(stage.phases)
        for phase in stage.phases:
            given = phase.prepare(model, batch)
            loss = phase.loss(model, given, seeded(0))
            assert (loss.shape, loss.requires_grad) == ((), True), phase.name
            assert torch.equal(loss, phase.loss(model, given, seeded(0))), phase.name


def test_what_is_watched_is_the_same_every_time(row, parts, model, batch):
    for stage in stages_of(row, parts):
        one, again = (stage.watched(model, give(stage.given, model, batch), None) for _ in range(2))
        assert one.shape == ()
        assert torch.equal(one, again)


def test_every_parameter_is_moved_by_some_phase(row, parts, model):
    phases = [phase for stage in stages_of(row, parts) for phase in stage.phases]
    moved = {id(parameter) for phase in phases for parameter in phase.parameters(model)}
    assert moved == {id(parameter) for parameter in model.parameters()}


def test_every_parameter_shows_in_the_network_or_the_objective(row, parts):
    """Of these a training's key is made: a parameter that shows in neither lets it take up another run's checkpoint."""

    def shown(params):
        network = repr(resolve(row.network.build)(params, channels=1, size=16))
        return network, json.dumps(resolve(row.network.objective)(params).describe())

    for name, value in parts["model"].model_dump().items():
        if name.endswith("_epochs"):
            continue  # a longer stage goes on from a shorter one
        other = changed(value)
        assert shown(parts["model"].model_copy(update={name: other})) != shown(parts["model"]), name


def changed(value):
    """Return another value of the kind of ``value``."""
    kinds = {
        str: lambda: "hard" if value == "soft" else "industrial",
        tuple: lambda: (*value[:-1], 2 * value[-1]),
        bool: lambda: not value,
        type(None): lambda: 1.6,
    }
    return kinds.get(type(value), lambda: 2 * value or 1)()


# --- the rows --------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("name", METHODS)
def test_a_methods_name_is_its_key_and_its_code_files(name):
    assert METHODS[name].name == name
    # what a scorer sees, or how its reconstructor starts, is another method, not another file
    file = re.sub("_(map|fused|lrep|aere|random|refined)$", "", name)
    assert (Path(registry.__file__).parent / f"{CODE.get(file, file)}.py").is_file()


@pytest.mark.parametrize("name", METHODS)
def test_a_methods_references_resolve_to_a_scorer_that_has_what_it_learns_from(name):
    method = METHODS[name]
    check_scorer(method)
    assert issubclass(method.scorer_class, OneClassScorer)
    assert resolve(method.scorer) is method.scorer_class


@pytest.mark.parametrize("name", RECONSTRUCTORS)
def test_a_reconstructors_references_resolve(name):
    row = RECONSTRUCTORS[name]
    network = [row.network.build, row.network.objective, row.network.windows] if row.network else [row.fit]
    assert row.name == name
    assert all(callable(resolve(part)) for part in (row.load, row.check, *network))


def test_a_reference_is_the_part_that_it_names_and_a_part_stays_what_it_is():
    assert resolve("flawline.methods.cae:CAE") is CAE
    assert resolve(CAE) is CAE


def test_a_method_sees_images_or_what_a_reconstructor_leaves():
    for method in METHODS.values():
        assert {registry.reconstructor_of(view) for view in method.views} <= {IMAGE, *RECONSTRUCTORS}
        assert (method.reconstructor is None) == (method.views == (IMAGE,))


@pytest.mark.parametrize("name", METHODS)
def test_a_scorer_is_made_of_its_own_parameters_as_conf_has_them(name):
    method = METHODS[name]
    kind = method.params.model_fields["scorer"].annotation
    change = {"smoothing": 2.5} if "smoothing" in kind.model_fields else {}
    scorer = method.make_scorer(TREE[name]["scorer"] | change)
    assert (type(scorer.params), scorer.params) == (kind, getattr(BASE, name).scorer.but(**change))
    assert (scorer.views, scorer.device) == (method.views, "cpu")
    assert scorer.by_map is method.by_map


def test_the_whole_parameters_have_the_branch_of_every_row():
    fields = parameters_type().model_fields
    for row in (*METHODS.values(), *RECONSTRUCTORS.values()):
        assert fields[row.name].annotation is row.params


def test_every_paper_names_methods_of_its_title_or_ours_and_the_default_is_one():
    assert {name for paper in PAPERS.values() for name in paper.methods} == METHODS.keys() - {DEFAULT}
    for paper in PAPERS.values():
        assert {METHODS[name].paper for name in paper.methods} <= {paper.title, registry.OURS}
    assert METHODS[DEFAULT].chooses
    assert METHODS[DEFAULT].views == (IMAGE,)


def test_what_a_method_can_be_told_of_follows_from_its_row():
    told = {name: (row.trains, row.raw_maps, row.has_patch_losses, row.suitability, row.codes)
            for name, row in METHODS.items()}  # fmt: skip
    assert told["cae"] == told["vae"] == told["aae"] == (True, True, True, True, False)
    assert told["cpcae"] == (True, False, False, False, True)
    assert told["mean_image"] == told["patch_memory"] == told["patch_memory_map"] == (False,) * 5


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("cae", (True, 1)), ("patch_memory", (False, 1)), ("mean_image", (False, 1)), ("patch_memory_map", (True, 1)),
        ("patch_memory_fused", (True, 2)), ("nobody's", (False, 1)),
    ],
)  # fmt: skip
def test_effort_is_a_training_and_the_number_of_views(name, wanted):
    assert complexity(name) == wanted


def test_a_part_in_conf_becomes_the_parameters_that_it_is():
    assert part_of(CAEParams, "patches", TREE["cae"]["patches"] | {"size": 32}) == PATCHES.but(size=32)
    assert part_of(CAEParams, "patches", PATCHES.but(size=32)) == PATCHES.but(size=32)
    assert part_of(CPCAEParams, "folds", 3) == 3
    typed = RECONSTRUCTORS["cae"].typed(patches=TREE["cae"]["patches"], train=TREE["cae"]["train"])
    assert typed == {"patches": PATCHES, "train": BASE.cae.train}


def test_an_unknown_method_is_refused_with_what_there_is():
    with pytest.raises(FlawlineError, match=r"no method 'caee' \(did you mean 'cae'\?\); there are: cae, vae, "):
        get_method("caee")


# --- adding to them --------------------------------------------------------------------------------------------------
@pytest.fixture
def own_rows(monkeypatch):
    """Registries that a test can add to, and nobody else sees."""
    for name in ("METHODS", "RECONSTRUCTORS", "PAPERS"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    return registry


class Learning(OneClassScorer):
    """Learns nothing, but says that it does."""

    def score(self, state, inputs):
        return Scored(1.0, residual_map(inputs.views[0], 0.0))


NETWORK = Network(CAE, lambda params: None)
MINE = Reconstructor("mine", CAEParams, load=load_autoencoder, network=NETWORK)
METHOD = Method("mine_too", "Mine 2026", PixelMethodParams, Learning)


def test_a_row_is_found_by_its_name_and_its_branch_is_in_the_tree(own_rows):
    register_reconstructor(MINE)
    register(Method("mine", "Mine 2026", CAEParams, ResidualMap, ("mine",)))
    register(METHOD)
    assert get_method("mine").own_reconstructor is MINE
    assert get_method("mine_too").reconstructor is None
    assert parameters_type().model_fields["mine_too"].annotation is PixelMethodParams
    register_paper(Paper("mine2026", "Mine 2026", ("mine", "cae")))
    assert own_rows.PAPERS["mine2026"].methods == ("mine", "cae")


def test_a_methods_scorer_may_see_the_photograph_and_one_residual_image(own_rows):
    register_reconstructor(replace(MINE, residuals_of=EVERY))
    register(replace(METHOD, views=(IMAGE, "mine")))
    scorer = get_method("mine_too").make_scorer({"smoothing": 1.0})
    assert (scorer.views, scorer.params) == ((IMAGE, "mine"), BASE.ae_l2.scorer.but(smoothing=1.0))


NAMES = [
    ("2nd", "must be letters, digits and '_', not beginning with a digit; got '2nd'"),
    ("my-own", "must be letters, digits and '_', not beginning with a digit; got 'my-own'"),
    ("compute", r"cannot be called 'compute': a pipeline or the parameters of every run are"),
    ("training", r"cannot be called 'training'"),
    ("schneider2022", r"cannot be called 'schneider2022'"),
]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({"name": name}, f"reconstructor.* {message}") for name, message in NAMES),
        ({"name": "cae"}, "there is a reconstructor 'cae' already; give this one another name"),
        (
            {"name": "patch_memory"},
            "the method and the reconstructor 'patch_memory' share a branch of the parameters, so they must name the "
            "same type; got PatchMemoryMethodParams and CAEParams",
        ),
        (
            {"parts": ("patches", "grid")},
            "the parameters CAEParams of the reconstructor 'mine' lack grid; they have patches, train, scorer, model",
        ),
        ({"network": None}, "'mine' needs either a network, .* or fit, .*; got neither"),
        ({"fit": fit_mean}, "'mine' needs either a network, .* or fit, .*; got both"),
        (
            {"params": PixelMethodParams, "parts": ()},
            "the parameters PixelMethodParams of the reconstructor 'mine' lack patches, model, train; they have scorer",
        ),
        ({"network": replace(NETWORK, folds=True)}, "the parameters CAEParams of the reconstructor 'mine' lack folds"),
        (
            {"network": replace(NETWORK, pseudo_defects=("calibration",))},
            "pseudo_defects of 'mine' must be of train, validation: thresholds and figures .*; got 'calibration'",
        ),
        (
            {"residuals_of": ("test", "tset")},
            "residuals_of of 'mine' must be of train, validation, calibration, test, got tset",
        ),
    ],
)  # fmt: skip
def test_a_reconstructor_whose_row_does_not_hold_is_refused(own_rows, changes, message):
    before = dict(own_rows.RECONSTRUCTORS)
    with pytest.raises(FlawlineError, match=message):
        register_reconstructor(replace(MINE, **changes))
    assert before == own_rows.RECONSTRUCTORS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        *(({"name": name}, f"method.* {message}") for name, message in NAMES),
        ({"name": "cae"}, "there is a method 'cae' already; give this one another name"),
        (
            {"name": "mine"},
            "the method and the reconstructor 'mine' share a branch of the parameters, so they must name the same "
            "type; got CAEParams and PixelMethodParams",
        ),
        ({"params": TrainParams}, "the parameters TrainParams of the method 'mine_too' lack scorer; they have epochs"),
        (
            {"scorer": ResidualMap},
            "the parameters PixelScorerParams of the scorer of the method 'mine_too' lack image_score; they have",
        ),
        (
            {"views": ("cpcea",)},
            r"'mine_too' needs views: 'image' or a registered reconstructor \(cae, .*, mine\)"
            r", got cpcea \(did you mean 'cpcae'\?\)",
        ),
        ({"views": ()}, "the method 'mine_too' needs views: .*, got none"),
        ({"views": ("cpcae", "mean_image")}, "'mine_too' may see one reconstructor's residual images, got .*'cpcae'"),
        (
            {"scorer": AAEParams},
            "the scorer of the method 'mine_too' must be a class of .*OneClassScorer, got 'AAEParams'",
        ),
        ({"scorer": partial(Learning, None)}, "the scorer of the method 'mine_too' must be a class .* got .*partial"),
        (
            {"views": ("mine",)},
            "the scorer of the method 'mine_too' learns from residual images of training images, which the "
            "reconstructor 'mine' does not make: set its residuals_of to .*'train'",
        ),
    ],
)  # fmt: skip
def test_a_method_whose_row_does_not_hold_is_refused(own_rows, changes, message):
    register_reconstructor(MINE)
    before = dict(own_rows.METHODS)
    with pytest.raises(FlawlineError, match=message):
        register(replace(METHOD, **changes))
    assert before == own_rows.METHODS


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "schneider2022"}, "there is a pipeline 'schneider2022' already; give the paper another name"),
        ({"name": "cae"}, "there is a pipeline 'cae' already"),
        ({"name": "ingestion"}, "there is a pipeline 'ingestion' already"),
        ({"methods": ()}, "the paper 'mine2026' must name its methods, got none"),
        (
            {"methods": ("cae", "vea")},
            r"'mine2026' names the method 'vea', which is not there \(did you mean 'vae'\?\); there are: cae, vae, aae",
        ),
    ],
)
def test_a_paper_whose_row_does_not_hold_is_refused(own_rows, changes, message):
    with pytest.raises(FlawlineError, match=message):
        register_paper(replace(Paper("mine2026", "Mine 2026", ("cae",)), **changes))
    assert own_rows.PAPERS.keys() == PAPERS.keys()


def test_a_papers_pipeline_may_run_more_methods_behind_its_own(own_rows):
    add_to_paper("schneider2022", "cpcae", "patch_memory")
    assert own_rows.PAPERS["schneider2022"].methods == ("cae", "vae", "aae", "cpcae", "patch_memory")
    with pytest.raises(FlawlineError, match="names the method 'nobody', which is not there"):
        add_to_paper("schneider2022", "nobody")
    assert own_rows.PAPERS["schneider2022"].methods == ("cae", "vae", "aae", "cpcae", "patch_memory")
