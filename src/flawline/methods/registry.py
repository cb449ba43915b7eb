"""Every method, reconstructor and paper by its name, and what each is made of: a row each. Everything else asks here.

A name here is the name in conf, in the catalog and in the docs. A row may name its parts as "module:name", so that
looking a name up imports none of them. A package of somebody else's adds rows with `register`, `register_reconstructor`
and `register_paper` in a module that it names as entry point of the group "flawline.methods"."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cache, partial
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any

from flawline.checks import FlawlineError, near_name
from flawline.params import (
    AAEParams,
    AEParams,
    AutoMethodParams,
    BaseParameters,
    CAEParams,
    ComputeParams,
    CPCAEParams,
    DAEParams,
    DeepSVDDParams,
    IsolationForestMethodParams,
    LeNetParams,
    MeanBrightnessMethodParams,
    OCSVMMethodParams,
    Params,
    PatchGaussianFreeMethodParams,
    PatchGaussianMethodParams,
    PatchMemoryFreeMethodParams,
    PatchMemoryMethodParams,
    PCAParams,
    PixelMethodParams,
    PooledKNNMethodParams,
    RDCAEParams,
    STNAEParams,
    TextureMethodParams,
    VAEParams,
)
from flawline.training.runtime import TORCH_ON_CPU, Runtime

Reference = Callable[..., Any] | str  # a part of a row, or where it is: "module:name"
IMAGE = "image"  # the view that is the photograph itself
CODES = ":codes"  # ends the view that is a reconstructor's latent codes, in the place of its residual images
SCORED = ("validation", "calibration", "test")  # the splits that no network learned from
EVERY = ("train", *SCORED)
LEARNED = ("train", "validation")  # a scorer is not stopped early, so no image need be kept for that
DAMAGED = ("train", "validation")  # the splits whose images may be damaged for a training
GROUP = "flawline.methods"  # entry points of other packages
RESERVED = {*BaseParameters.model_fields, "patching", "training", "embedding"}  # branches and pipelines of every run


@cache
def resolve(reference: Reference) -> Any:
    """Return the part that ``reference`` is or names."""
    if not isinstance(reference, str):
        return reference
    module, _, name = reference.partition(":")
    return getattr(import_module(module), name)


@dataclass(frozen=True)
class Network:
    """How a reconstructor's network is made and learns; its branch of the parameters has patches, model and train."""

    build: Reference  # (model params, channels=, size=) -> nn.Module
    objective: Reference  # (model params) -> flawline.training.objective.Objective
    windows: Reference = "flawline.training.windows:windows_of"  # (images, rows, patches, seed=) -> Windows
    downsized: bool = False  # it learns from images downsized to patches.side
    folds: bool = False  # with the parameter folds, training images are reconstructed by networks that did not see them
    pseudo_defects: tuple[str, ...] = ()  # splits whose normal images are damaged for the objective: train, validation
    join: Reference | None = (
        None  # (train, damaged train, patches) -> the Windows that are learned from, where both are
    )
    compiled: bool = False  # an inference engine may run its forward: all that scoring needs of it, in one step


@dataclass(frozen=True)
class Reconstructor:
    """What reconstructs images: how it learns to, and which parts of its parameters shape it once it has."""

    name: str
    params: type[Params]  # its branch of the tree
    load: Reference  # (weights, channels=, compute=, and its parts; build= of one with a network) -> reconstructor
    network: Network | None = None
    fit: Reference | None = None  # (images, its parts, seed=) -> weights, of one without a network
    check: Reference | None = None  # (shapes, and its parts): raises FlawlineError where the images do not suit
    parts: tuple[str, ...] = ("patches", "model")  # of its branch, which a detector keeps
    residuals_of: tuple[str, ...] = SCORED  # splits whose residual images are made
    any_size: bool = False  # images may have any size that holds one of its patches
    codes_of: tuple[str, ...] = ()  # splits whose latent codes ``codes(image)`` (h, w, d) are made
    similarity: bool = False  # its reconstructions are compared with the images, by error and structural similarity
    suitability: str | None = None  # field of its model with the code's length: it is told whether the material suits

    def typed(self, **values: Any) -> dict[str, Any]:
        """Return parts of its branch, given as they stand in conf, as the parameters that they are."""
        return {name: part_of(self.params, name, value) for name, value in values.items()}

    def ready(self, weights: dict[str, Any], parts: dict[str, Any], *, channels: int, compute: ComputeParams) -> Any:
        """Return the trained reconstructor, where it is to run."""
        build = {"build": resolve(self.network.build)} if self.network else {}
        return resolve(self.load)(weights, channels=channels, compute=self.computing(compute), **build, **parts)

    def computing(self, compute: ComputeParams) -> ComputeParams:
        """Return where it runs, and by which engine: PyTorch, unless its network is compiled."""
        return compute if self.network is not None and self.network.compiled else compute.but(engine="torch")


@dataclass(frozen=True)
class Method:
    """What a method is made of: what its scorer sees of an image, and the scorer."""

    name: str
    paper: str  # the title of the paper that it is of
    params: type[Params]  # its branch of the tree, with the field scorer
    scorer: Reference  # a class of flawline.methods.one_class.OneClassScorer
    # "image", and the reconstructor whose residual images it sees, or with ":codes" behind its name, whose codes
    views: tuple[str, ...] = (IMAGE,)
    chooses: bool = False  # its scorer is chosen by the normal images, from candidates

    @property
    def reconstructor(self) -> Reconstructor | None:
        """The reconstructor whose residual images or codes the scorer sees, or None."""
        return next((RECONSTRUCTORS[reconstructor_of(view)] for view in self.views if view != IMAGE), None)

    @property
    def sees_codes(self) -> bool:
        """True if the scorer sees its reconstructor's codes, not its residual images."""
        return any(view.endswith(CODES) for view in self.views)

    @property
    def folds(self) -> bool:
        """True if all that the method learns is its scorer's, from photographs: then it can learn fold by fold."""
        return self.reconstructor is None and self.scorer_class.learns

    @property
    def own_reconstructor(self) -> Reconstructor | None:
        """The reconstructor of the method's own name: the two are one method, so its results tell of the training."""
        found = self.reconstructor
        return found if found and found.name == self.name else None

    @property
    def runs_network(self) -> bool:
        """True if a network runs where an image is scored: a pretrained one, or the reconstructor's."""
        return self.scorer_class.embeds or (self.reconstructor is not None and self.reconstructor.network is not None)

    def computing(self, compute: ComputeParams) -> ComputeParams:
        """Return where its networks run, and by which engine. Codes are PyTorch's: they are a part of a network."""
        if self.scorer_class.embeds or self.reconstructor is None:
            return compute
        return compute.but(engine="torch") if self.sees_codes else self.reconstructor.computing(compute)

    @property
    def trains(self) -> bool:
        """True if the method's own reconstructor is a network."""
        return self.own_reconstructor is not None and self.own_reconstructor.network is not None

    @property
    def damages(self) -> bool:
        """True if the method's own network learns with pseudo-defects."""
        own = self.own_reconstructor
        return own is not None and own.network is not None and bool(own.network.pseudo_defects)

    @property
    def scorer_class(self) -> Any:
        return resolve(self.scorer)

    @property
    def raw_maps(self) -> bool:
        """True if the residual images are maps themselves, so that figures of them, unsmoothed, can be told too."""
        return self.own_reconstructor is not None and self.scorer_class.sees_maps

    @property
    def has_patch_losses(self) -> bool:
        """True if the residual map of every patch of the scoring grid can be told by itself."""
        return self.raw_maps and self.own_reconstructor is not None and self.own_reconstructor.any_size

    @property
    def suitability(self) -> bool:
        """True if it is told whether the material suits the method."""
        return self.own_reconstructor is not None and self.own_reconstructor.suitability is not None

    @property
    def codes(self) -> bool:
        """True if the method's own reconstructor has latent codes to look at beside the scorer's embeddings."""
        own = self.own_reconstructor
        return own is not None and bool(own.codes_of) and self.scorer_class.embeds

    @property
    def similarity(self) -> bool:
        """True if the method's own reconstructor is told to reconstruct more or less alike."""
        return self.own_reconstructor is not None and self.own_reconstructor.similarity

    @property
    def scorer_dataset(self) -> str:
        """The dataset of the method's namespace that holds the parameters of its scorer."""
        return "chosen_scorer" if self.chooses else "params:scorer"

    @property
    def by_map(self) -> bool:
        """True if the image score is made from the map, so that regions and their size can count."""
        return self.scorer_class.by_map

    def typed(self, scorer: Any) -> Params:
        """Return the scorer's parameters, given as they stand in conf."""
        return part_of(self.params, "scorer", scorer)

    def make_scorer(self, scorer: Any, *, runtime: Runtime = TORCH_ON_CPU) -> Any:
        """Return the scorer of parameters given as they stand in conf, before it has learned anything."""
        return self.scorer_class(self.typed(scorer), self.views, runtime=runtime)


@dataclass(frozen=True)
class Paper:
    """A paper, or a comparison: the methods that its pipeline runs, in the order of its tables."""

    name: str  # of its pipeline
    title: str
    methods: tuple[str, ...]
    note: str = ""  # what a reader must know of its published figures
    alike: tuple[str, ...] = ()  # parts of the methods' branches that are to be the same for a comparison
    placed: tuple[str, ...] = ()  # metrics by which the methods are placed, first, second and so on


RECONSTRUCTORS: dict[str, Reconstructor] = {}
METHODS: dict[str, Method] = {}
PAPERS: dict[str, Paper] = {}


def register_reconstructor(row: Reconstructor) -> None:
    """Add a reconstructor. Raise FlawlineError if its row lacks something, or its name is taken."""
    _check_name(row.name, RECONSTRUCTORS, METHODS, "reconstructor", params=row.params)
    _check_fields("reconstructor", row.name, row.params, row.parts)
    if (row.network is None) == (row.fit is None):
        raise FlawlineError(
            f"the reconstructor '{row.name}' needs either a network, which is trained, or fit, which computes "
            f"its weights from the images; got {'neither' if row.fit is None else 'both'}"
        )
    if row.network is not None:
        _check_network(row, row.network)
    for field in ("residuals_of", "codes_of"):
        if unknown := set(getattr(row, field)) - set(EVERY):
            raise FlawlineError(f"{field} of '{row.name}' must be of {', '.join(EVERY)}, got {', '.join(unknown)}")
    RECONSTRUCTORS[row.name] = row


def _check_network(row: Reconstructor, network: Network) -> None:
    _check_fields("reconstructor", row.name, row.params, ("patches", "model", "train"))
    if network.folds:
        _check_fields("reconstructor", row.name, row.params, ("folds",))
    if wrong := [split for split in network.pseudo_defects if split not in DAMAGED]:
        raise FlawlineError(
            f"pseudo_defects of '{row.name}' must be of {', '.join(DAMAGED)}: thresholds and figures are made of the "
            f"other splits, and a stop must not see these; got '{wrong[0]}'"
        )


def register(row: Method) -> None:
    """Add a method. Raise FlawlineError if its row lacks something, or its name is taken."""
    _check_name(row.name, METHODS, RECONSTRUCTORS, "method", params=row.params)
    _check_fields("method", row.name, row.params, ("scorer",))
    missing = [view for view in map(reconstructor_of, row.views) if view != IMAGE and view not in RECONSTRUCTORS]
    if missing or not row.views:
        hint = near_name(missing[0], RECONSTRUCTORS) if missing else ""
        raise FlawlineError(
            f"the method '{row.name}' needs views: '{IMAGE}' or a registered reconstructor "
            f"({', '.join(RECONSTRUCTORS)}), got {', '.join(row.views) or 'none'}{hint}"
        )
    if len([view for view in row.views if view != IMAGE]) > 1:
        raise FlawlineError(f"the method '{row.name}' may see one reconstructor's residual images, got {row.views}")
    if row.sees_codes and row.reconstructor is not None and set(row.reconstructor.codes_of) != set(EVERY):
        raise FlawlineError(
            f"the method '{row.name}' sees codes, which the reconstructor '{row.reconstructor.name}' does not make of "
            f"all images: set its codes_of to {EVERY}"
        )
    if not isinstance(row.scorer, str):
        check_scorer(row)
    METHODS[row.name] = row


def reconstructor_of(view: str) -> str:
    """Return the name of the reconstructor that a view is of."""
    return view.removesuffix(CODES)


def check_scorer(row: Method) -> None:
    """Raise FlawlineError unless the scorer of a row is one, and its reconstructor makes what it learns from."""
    from flawline.methods.one_class import OneClassScorer

    scorer = resolve(row.scorer)
    if not (isinstance(scorer, type) and issubclass(scorer, OneClassScorer)):
        raise FlawlineError(
            f"the scorer of the method '{row.name}' must be a class of flawline.methods.one_class.OneClassScorer, got "
            f"{getattr(scorer, '__name__', scorer)!r}"
        )
    if scorer.by_map:
        fields = row.params.model_fields["scorer"].annotation
        _check_fields("scorer of the method", row.name, fields, ("image_score",))  # type: ignore[arg-type]
    seen = row.reconstructor
    if scorer.learns and seen is not None and not row.sees_codes and "train" not in seen.residuals_of:
        raise FlawlineError(
            f"the scorer of the method '{row.name}' learns from residual images of training images, which the "
            f"reconstructor '{seen.name}' does not make: set its residuals_of to {EVERY}"
        )


def register_paper(row: Paper) -> None:
    """Add a paper. Raise FlawlineError if it names a method that is not there, or its name is taken."""
    if row.name in PAPERS or row.name in METHODS or row.name in RESERVED:
        raise FlawlineError(f"there is a pipeline '{row.name}' already; give the paper another name")
    if not row.methods:
        raise FlawlineError(f"the paper '{row.name}' must name its methods, got none")
    for name in row.methods:
        if name not in METHODS:
            raise FlawlineError(f"the paper '{row.name}' names the method '{name}', which is not there"
                                f"{near_name(name, METHODS)}; there are: {', '.join(METHODS)}")  # fmt: skip
    PAPERS[row.name] = row


def add_to_paper(paper: str, *methods: str) -> None:
    """Let a paper's pipeline run more methods, behind its own."""
    row = PAPERS.pop(paper)
    try:
        register_paper(replace(row, methods=(*row.methods, *methods)))
    except FlawlineError:
        PAPERS[paper] = row
        raise


def _check_name(name: str, own: Iterable[str], others: dict[str, Any], what: str, *, params: type[Params]) -> None:
    if not name.isidentifier():
        raise FlawlineError(
            f"a {what}'s name must be letters, digits and '_', not beginning with a digit; got '{name}'"
        )
    if name in own:
        raise FlawlineError(f"there is a {what} '{name}' already; give this one another name")
    if name in RESERVED or name in PAPERS:
        raise FlawlineError(f"a {what} cannot be called '{name}': a pipeline or the parameters of every run are")
    other = others.get(name)
    if other is not None and other.params is not params:
        raise FlawlineError(
            f"the method and the reconstructor '{name}' share a branch of the parameters, so they must name the same "
            f"type; got {other.params.__name__} and {params.__name__}"
        )


def _check_fields(what: str, name: str, params: type[Params], fields: Iterable[str]) -> None:
    missing = [each for each in fields if each not in params.model_fields]
    if missing:
        raise FlawlineError(
            f"the parameters {params.__name__} of the {what} '{name}' lack {', '.join(missing)}; they have "
            f"{', '.join(params.model_fields) or 'nothing'}"
        )


def part_of(params: type[Params], name: str, value: Any) -> Any:
    """Return a part of a branch, given as it stands in conf, as the parameters that it is."""
    kind = params.model_fields[name].annotation
    return kind.model_validate(value) if hasattr(kind, "model_validate") else value  # type: ignore[union-attr]


def get_method(name: str) -> Method:
    """Return the method called ``name``; raise FlawlineError, with the near name, if there is none."""
    if name not in METHODS:
        raise FlawlineError(f"no method '{name}'{near_name(name, METHODS)}; there are: {', '.join(METHODS)}")
    return METHODS[name]


def branches() -> dict[str, type[Params]]:
    """Return the branches of the tree of parameters that methods and reconstructors have."""
    rows: list[Reconstructor | Method] = [*RECONSTRUCTORS.values(), *METHODS.values()]
    return {row.name: row.params for row in rows}


def complexity(name: str) -> tuple[bool, int]:
    """Return what methods are sorted by, the simpler first: whether a network is trained, and the number of views."""
    row = METHODS.get(name)
    if row is None:
        return False, 1
    return row.reconstructor is not None and row.reconstructor.network is not None, len(row.views)


# --- the rows --------------------------------------------------------------------------------------------------------
SCHNEIDER, SAEEDI, ALPDEMIR, OURS = "Schneider 2022", "Saeedi & Giusti 2022", "Alpdemir 2022", "flawline"
RADLI = "Rádli & Czúni 2022"
_HOME = "flawline.methods"
_patchwise = partial(Reconstructor, check=f"{_HOME}.maps:check_patches_fit", any_size=True)  # by patches of a grid

for _name, _class, _params in (("cae", "CAE", CAEParams), ("vae", "VAE", VAEParams), ("aae", "AAE", AAEParams)):
    register_reconstructor(
        _patchwise(
            _name,
            _params,
            load=f"{_HOME}.cae:load_autoencoder",
            network=Network(f"{_HOME}.{_name}:{_class}", f"{_HOME}.{_name}:{_name}_objective", compiled=True),
            suitability="latent_size",
        )
    )
    register(Method(_name, SCHNEIDER, _params, f"{_HOME}.residual_map:ResidualMap", (_name,)))

for _reconstructor in (
    Reconstructor(
        "cpcae",
        CPCAEParams,
        load=f"{_HOME}.cpcae:load_cpcae",
        network=Network(
            f"{_HOME}.cpcae:CPCAE",
            f"{_HOME}.cpcae:cpcae_objective",
            windows=f"{_HOME}.grid_positions:grid_windows",
            downsized=True,
            folds=True,
            compiled=True,
        ),
        check=f"{_HOME}.cpcae:check_images",
        residuals_of=EVERY,
        codes_of=SCORED,
    ),
    Reconstructor(
        "mean_image",
        PooledKNNMethodParams,
        load=f"{_HOME}.mean_image:load_mean",
        fit=f"{_HOME}.mean_image:fit_mean",
        check=f"{_HOME}.mean_image:check_images",
        parts=(),
        residuals_of=EVERY,
    ),
    _patchwise("pca", PCAParams, load=f"{_HOME}.pca:load_pca", fit=f"{_HOME}.pca:fit_pca", residuals_of=EVERY),
    _patchwise(
        "dcae",
        LeNetParams,
        load=f"{_HOME}.lenet:load_lenet",
        network=Network(f"{_HOME}.lenet:LeNet", f"{_HOME}.dcae:dcae_objective", compiled=True),
        residuals_of=EVERY,
        codes_of=EVERY,
        similarity=True,
    ),
    _patchwise(
        "rdcae",
        RDCAEParams,
        load=f"{_HOME}.rdcae:load_rdcae",
        network=Network(
            f"{_HOME}.rdcae:build_rdcae",
            f"{_HOME}.rdcae:rdcae_objective",
            pseudo_defects=("train", "validation"),
            join=f"{_HOME}.rdcae:join_pseudo",
        ),
        residuals_of=EVERY,
        codes_of=EVERY,
        similarity=True,
    ),
    _patchwise(
        "deep_svdd",
        DeepSVDDParams,
        load=f"{_HOME}.deep_svdd:load_deep_svdd",
        network=Network(f"{_HOME}.deep_svdd:DeepSVDD", f"{_HOME}.deep_svdd:deep_svdd_objective"),
    ),
):
    register_reconstructor(_reconstructor)
_RESIDUAL = f"{_HOME}.residual_map:ResidualMap"
for _name, _file, _class, _model in (
    ("ae", "ae", "ae:AE", AEParams),
    ("stn_ae", "stn_ae", "stn_ae:STNAE", STNAEParams),
    ("stn_ae_random", "stn_ae", "stn_ae:STNAE", STNAEParams),
    ("stn_ae_refined", "stn_ae", "stn_ae:STNAE", STNAEParams),
    ("ssim_ae", "ssim_ae", "ae:AE", AEParams),
    ("dae", "dae", "ae:AE", DAEParams),
):
    register_reconstructor(
        Reconstructor(
            _name,
            _model,
            load=f"{_HOME}.frame_scoring:load_frames",
            network=Network(
                f"{_HOME}.{_class}",
                f"{_HOME}.{_file}:{_file}_objective",
                windows=f"{_HOME}.frames:frame_windows",
                downsized=True,
            ),
            check=f"{_HOME}.frames:check_frames",
            parts=("patches", "model", "residual"),
            any_size=True,
            similarity=True,
        )
    )
    register(Method(_name, RADLI, _model, _RESIDUAL, (_name,)))
_OC_SVM, _FOREST = f"{_HOME}.oc_svm:OCSVM", f"{_HOME}.isolation_forest:IsolationForest"
for _row in (
    Method("rdcae", ALPDEMIR, RDCAEParams, _RESIDUAL, ("rdcae",)),
    Method("dcae", ALPDEMIR, LeNetParams, _RESIDUAL, ("dcae",)),
    Method("deep_svdd", ALPDEMIR, DeepSVDDParams, _RESIDUAL, ("deep_svdd",)),
    Method("oc_svm_lrep", ALPDEMIR, OCSVMMethodParams, _OC_SVM, (IMAGE, f"dcae{CODES}")),
    Method("oc_svm_aere", ALPDEMIR, OCSVMMethodParams, _OC_SVM, (IMAGE, "dcae")),
    Method("isolation_forest_lrep", ALPDEMIR, IsolationForestMethodParams, _FOREST, (IMAGE, f"dcae{CODES}")),
    Method("isolation_forest_aere", ALPDEMIR, IsolationForestMethodParams, _FOREST, (IMAGE, "dcae")),
    Method("texture", OURS, TextureMethodParams, f"{_HOME}.texture:Texture", (IMAGE, "pca")),
    Method("patch_memory_free", OURS, PatchMemoryFreeMethodParams, f"{_HOME}.patch_memory_free:PatchMemoryFree"),
    Method("patch_gaussian_free", OURS, PatchGaussianFreeMethodParams,
           f"{_HOME}.patch_gaussian_free:PatchGaussianFree"),
    Method("pca", OURS, PCAParams, _RESIDUAL, ("pca",)),
    Method("mean_brightness", OURS, MeanBrightnessMethodParams, f"{_HOME}.mean_brightness:MeanBrightness"),
):  # fmt: skip
    register(_row)
_POOLED = f"{_HOME}.pooled_knn:PooledKNN"
_MEMORY = f"{_HOME}.patch_memory:PatchMemory"
_GAUSSIAN = f"{_HOME}.patch_gaussian:PatchGaussian"
for _row in (
    Method("cpcae", SAEEDI, CPCAEParams, _POOLED, ("cpcae",)),
    Method("ae_l2", SAEEDI, PixelMethodParams, f"{_HOME}.ae_l2:AEL2", ("cpcae",)),
    Method("deep_feature_knn", SAEEDI, PooledKNNMethodParams, _POOLED),
    Method("nearest_neighbour", SAEEDI, PixelMethodParams, f"{_HOME}.nearest_neighbour:NearestNeighbour"),
    Method("variation_model", SAEEDI, PixelMethodParams, f"{_HOME}.variation_model:VariationModel"),
    Method("cpcae_fused", OURS, PooledKNNMethodParams, _POOLED, (IMAGE, "cpcae")),
    Method("mean_image", OURS, PooledKNNMethodParams, _POOLED, ("mean_image",)),
    Method("patch_memory", OURS, PatchMemoryMethodParams, _MEMORY),
    Method("patch_memory_map", OURS, PatchMemoryMethodParams, _MEMORY, ("cpcae",)),
    Method("patch_memory_fused", OURS, PatchMemoryMethodParams, _MEMORY, (IMAGE, "cpcae")),
    Method("patch_gaussian", OURS, PatchGaussianMethodParams, _GAUSSIAN),
    Method("patch_gaussian_map", OURS, PatchGaussianMethodParams, _GAUSSIAN, ("cpcae",)),
    Method("patch_gaussian_fused", OURS, PatchGaussianMethodParams, _GAUSSIAN, (IMAGE, "cpcae")),
    Method("auto", OURS, AutoMethodParams, f"{_HOME}.auto:Auto", chooses=True),
):
    register(_row)

DEFAULT = "auto"  # what a user gets who names no method
register_paper(
    Paper(
        "schneider2022",
        SCHNEIDER,
        ("cae", "vae", "aae"),
        note="The figures of Schneider 2022 were measured on the author's own images, which are not public: ours are "
        "of the same kind, not the same. Compare the order of the methods, not the last digit.",
        alike=("patches", "train", "scorer", "model.encoder", "model.latent_size", "model.hidden_size"),  # section 3
    )
)
register_paper(
    Paper(
        "saeedi2022",
        SAEEDI,
        (
            "cpcae", "ae_l2", "deep_feature_knn", "nearest_neighbour", "variation_model",
            "cpcae_fused", "mean_image", "patch_memory", "patch_memory_map", "patch_memory_fused",
            "patch_gaussian", "patch_gaussian_map", "patch_gaussian_fused",
        ),
        note="The figures of Saeedi & Giusti 2022 were measured on MVTec AD, which is public; a folder of that name "
        "may hold it in another size, format or number of images, and then a small difference says nothing.",
    )
)  # fmt: skip

register_paper(
    Paper(
        "alpdemir2022",
        ALPDEMIR,
        (
            "rdcae", "dcae", "deep_svdd", "oc_svm_lrep", "oc_svm_aere", "isolation_forest_lrep",
            "isolation_forest_aere", "texture", "patch_memory_free", "patch_gaussian_free", "pca", "mean_brightness",
        ),
        note="The figures of Alpdemir 2022 were measured on patches that were learned from: compare them with those of "
        "the protocol as_published alone.",
    )
)  # fmt: skip

register_paper(
    Paper(
        "radli2022",
        RADLI,
        ("ae", "stn_ae", "stn_ae_random", "stn_ae_refined", "ssim_ae", "dae"),
        note="Of screw, Rádli & Czúni 2022 test the defect thread_top alone, on patches of 128 pixels; PRC is compared "
        "with average precision, and the area under IoU over thresholds is ours to define: compare the order of the "
        "methods.",
        alike=("patches", "train", "scorer", "model.latent_size", "residual.measure"),  # section 8.1
        placed=("pixel_auroc", "pixel_ap", "pixel_iou_auc"),  # Table 9
    )
)

for _point in entry_points(group=GROUP):
    _point.load()
