import copy
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from flawline.checks import FlawlineError
from flawline.conf import read_tree
from flawline.methods.tree import parameters_type, validate_parameters
from flawline.params import BaseParameters, CostParams, InspectionParams, ReportingParams, check_category

PROJECT = Path(__file__).parents[1]
ENVS = ("base", "full", "smoke", "paper")


def load(env, **runtime):
    return read_tree(PROJECT, env, **runtime)


BASE = load("base")


def changed(path, value):
    """Return the base parameters with ``value`` at ``path``."""
    tree = copy.deepcopy(BASE)
    *heads, last = path.split(".")
    node = tree
    for head in heads:
        node = node.setdefault(head, {})
    node[last] = value
    return tree


# --- every environment -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("env", ENVS)
def test_every_environment_is_valid_and_keeps_what_it_does_not_override(env):
    parameters = validate_parameters(load(env))
    assert parameters.evaluation.target_overkill == BASE["evaluation"]["target_overkill"]
    assert parameters.cae.train.learning_rate == BASE["cae"]["train"]["learning_rate"]


def test_environments_override_what_they_say():
    assert validate_parameters(load("smoke")).cae.patches.size == 32
    assert validate_parameters(load("paper")).cae.model.encoder == "industrial"
    full = validate_parameters(load("full"))
    assert [(full.vae.model.warmup, each.train.epochs) for each in (full.cae, full.vae, full.aae)] == 3 * [(10, 200)]


def test_runtime_parameters_reach_the_tree():
    parameters = validate_parameters(load("base", category="bolt", seed=7))
    assert (parameters.category, parameters.seed) == ("bolt", 7)


def test_base_says_every_parameter_there_is():
    def missing(model, tree, where):
        for name, field in type(model).model_fields.items():
            value = getattr(model, name)
            if name not in tree:
                yield f"{where}{name}"
            elif isinstance(value, BaseModel):
                yield from missing(value, tree[name], f"{where}{name}.")
            assert field is not None

    assert list(missing(validate_parameters(BASE), BASE, "")) == []


def test_no_parameter_has_a_value_in_the_code_too():
    def defaults(model, where):
        for name, field in model.model_fields.items():
            if not field.is_required() and field.get_default(call_default_factory=True) not in (None, "auto"):
                yield f"{where}{name}"
            if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
                yield from defaults(field.annotation, f"{where}{name}.")

    assert list(defaults(parameters_type(), "")) == []


def test_changed_parameters_are_checked_again():
    splits = validate_parameters(BASE).ingestion.splits
    assert splits.but(test=0.3) == type(splits)(**(splits.model_dump() | {"test": 0.3}))
    assert validate_parameters(BASE).ingestion.but(splits={"test": 0.3}).splits == splits.but(test=0.3)
    with pytest.raises(ValidationError, match=r"must stay below 1, got 1\.2"):
        splits.but(test=0.9)
    with pytest.raises(ValidationError, match="tset"):
        splits.but(tset=0.3)


def test_parameters_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        validate_parameters(BASE).cae.train.epochs = 3


COSTS = {"escape": 100, "overkill": 5, "review": 1, "defect_rate": 0.01}


# --- ranges ----------------------------------------------------------------------------------------------------------
RATES = (
    "evaluation.target_overkill", "evaluation.review_overkill", "inspection.target_overkill", "promotion.margin",
    "promotion.significance",
)  # fmt: skip
FRACTIONS = (
    "ingestion.splits.validation",
    "ingestion.splits.calibration",
    "ingestion.splits.test",
    "examples.chess.dark",
)
POSITIVE_INTS = (
    "compute.threads", "ingestion.max_pixels", "ingestion.least_side", "examples.chess.square", "examples.chess.train",
    "examples.chess.validation", "examples.chess.calibration", "defect_injection.per_image", "cae.patches.size",
    "cae.patches.stride", "cae.patches.per_epoch", "cae.model.latent_size", "cae.model.hidden_size",
    "cae.train.epochs", "cae.train.batch_size", "cae.train.patience", "inspection.max_pixels", "reporting.examples",
    "defect_injection.places", "defect_injection.julia.attempts",
)  # fmt: skip
COUNTS = (
    "seed",
    "ingestion.splits.seed",
    "examples.chess.seed",
    "examples.chess.normal_test",
    "examples.chess.anomalous_test",
)
POSITIVE = (
    "examples.chess.deformation.amplitude", "examples.chess.deformation.smoothness", "examples.chess.bright",
    "defect_injection.elastic.amplitude", "defect_injection.elastic.smoothness", "defect_injection.line.width",
    "defect_injection.gaussian.sigma", "defect_injection.poisson.photons", "cae.train.learning_rate",
    "inspection.mm_per_pixel", "evaluation.aupro_limit",
)  # fmt: skip
NOT_NEGATIVE = (
    "defect_injection.line.jitter", "defect_injection.line.noise", "cae.scorer.smoothing", "inspection.min_area",
)  # fmt: skip
OUT_OF_RANGE = [
    *((path, value) for path in RATES for value in (0, 1, -0.1, math.nan)),
    *((path, value) for path in FRACTIONS for value in (-0.1, 1)),
    *((path, value) for path in POSITIVE_INTS for value in (0, -1, 1.5)),
    *((path, value) for path in COUNTS for value in (-1, 0.5)),
    *((path, value) for path in POSITIVE for value in (0, -1.0, math.inf, math.nan)),
    *((path, value) for path in NOT_NEGATIVE for value in (-1.0, math.inf)),
    *((path, 2**32) for path in ("seed", "ingestion.splits.seed", "examples.chess.seed")),
    ("defect_injection.elastic.smoothness", 101), ("defect_injection.line.intensity", 1.1),
    ("defect_injection.line.intensity", -1.1), ("examples.chess.bright", 1.1), ("evaluation.aupro_limit", 1.1),
    ("defect_injection.kinds", []), ("ingestion.good", []), ("ingestion.good", 7),
    ("ingestion.layout", "mvtek"), ("ingestion.sizes", "all"), ("registration.color", "gray"),
    ("cae.train.precision", "16"), ("cae.scorer.image_score.reduction", "mean"),
    *(("patch_memory.scorer.image_score.share", value) for value in (0, -0.1, 1.01, math.nan)),
    ("defect_injection.split", "calibration_"), ("defect_injection.region", "box"),
    ("defect_injection.julia.families", []), ("defect_injection.julia.below", 256),
    ("defect_injection.stain.points", 2),
    ("defect_injection.julia.weight", 0), ("defect_injection.stain.softness", 0), ("defect_injection.scar.jitter", 1),
    ("cae.model.encoder", "big"), ("compute.device", "tpu"), ("raw", 5), ("cae", None),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value"), OUT_OF_RANGE)
def test_out_of_range_names_the_parameter_and_what_came(path, value):
    with pytest.raises(FlawlineError, match=rf"parameters are not valid:\n  {path}: .*should .*, got ") as error:
        validate_parameters(changed(path, value))
    assert f"got {value!r}" in str(error.value)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (
            "ingestion.splits.test",
            0.8,
            r"ingestion.splits: validation \+ calibration \+ test must stay below 1, got 1.1",
        ),
        ("examples.chess.dark", 0.95, "examples.chess: dark must be below bright, got 0.95 and 0.9"),
        ("examples.chess.region_radius", [48, 28], "examples.chess: region_radius must be .* got .48.0, 28.0."),
        ("examples.chess.region_radius", [28, 128], "region_radius must be .* and fit the image"),
        (
            "defect_injection.radius",
            [0.3, 0.2],
            "defect_injection: radius must be .smallest, largest. .* got .0.3, 0.2.",
        ),
        ("defect_injection.radius", [0.1, 0.6], "largest at most 0.5"),
        ("defect_injection.patch.share", [0, 0.3], "patch.share.0: input should be greater than 0, got 0"),
        ("defect_injection.julia.share", [0.5, 1], "julia.share.1: input should be less than 1, got 1"),
        ("defect_injection.blend.opacity", [0.9, 0.3], r"blend.opacity: wanted .smallest, largest., got .0.9, 0.3."),
        (
            "defect_injection.julia.yarn.cx",
            [-1.0, -1.5],
            r"julia.yarn.cx: wanted .smallest, largest., got .-1.0, -1.5.",
        ),
        ("defect_injection.julia.hole.cy", [-2.0, 0.0], r"julia.hole: .c. must stay below the escape radius 2 .* 2.00"),
        ("defect_injection.kinds", ["line", "julja"], r"kinds.1: input should be 'elastic', .*did you mean 'julia'"),
        ("defect_injection.julia.families", ["yarns"], r"families.0: input should be .*, got 'yarns' .*'yarn'"),
        ("cae.patches.stride", 200, r"cae.patches: stride must not exceed size, or pixels stay uncovered; got 200 > "),
        ("cae.patches.size", 120, r"cae: patches.size must be a multiple of 16 .*, got 120"),
        (
            "evaluation.review_overkill",
            0.001,
            "evaluation: review_overkill must be at least target_overkill, got 0.001 <",
        ),
        (
            "evaluation.costs.escape",
            100,
            "costs: escape, overkill, .* go together, overkill and review and defect_rate got",
        ),
        ("evaluation.costs.review_capacity", 0.1, "review_capacity needs escape, overkill, .*, got 0.1 alone; without"),
        ("evaluation.costs", COSTS | {"escape": -1}, "costs.escape: input should be greater than 0, got -1"),
        (
            "evaluation.costs",
            COSTS | {"review": -1},
            "costs.review: input should be greater than or equal to 0, got -1",
        ),
        ("evaluation.costs", COSTS | {"defect_rate": 0}, "costs.defect_rate: input should be greater than 0, got 0"),
        (
            "inspection",
            BASE["inspection"] | {"costs": COSTS, "target_overkill": 0.1},
            "target_overkill or by costs: give",
        ),
        (
            "detector",
            "a champion",
            r"detector: must be a version of the catalog .*, an MLflow model .* or an alias .*, got",
        ),
        ("detector", "models:/a/b/c", "detector: must be a version"),
        ("detector", "{champion}", "detector: must be a version"),
    ],
)
def test_parameters_that_do_not_go_together(path, value, message):
    with pytest.raises(FlawlineError, match=message):
        validate_parameters(changed(path, value))


def test_epochs_of_zero_in_full():
    with pytest.raises(FlawlineError) as error:
        validate_parameters(changed("cae.train.epochs", 0))
    assert str(error.value) == "parameters are not valid:\n  cae.train.epochs: input should be greater than 0, got 0"


def test_every_wrong_parameter_is_named_at_once():
    tree = changed("cae.train.epochs", 0) | {"seed": -1, "colour": "grey"}
    with pytest.raises(FlawlineError, match=r"(?s)seed: .*cae.train.epochs: .*colour: no such parameter"):
        validate_parameters(tree)


def test_ignore_regions():
    region = {"y": 0, "x": 3, "height": 4, "width": 5}
    assert validate_parameters(changed("inspection.ignore", [region])).inspection.ignore[0].width == 5
    with pytest.raises(FlawlineError, match=r"inspection.ignore.0.height: input should be greater than 0, got 0"):
        validate_parameters(changed("inspection.ignore", [region | {"height": 0}]))
    with pytest.raises(FlawlineError, match=r"ignore.1.hieght: no such parameter \(did you mean 'height'\?\)"):
        validate_parameters(changed("inspection.ignore", [region, region | {"hieght": 2}]))


# --- names -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("path", "near"),
    [
        ("registraton", "registration"),
        ("cae.trian", "train"),
        ("cae.train.epoch", "epochs"),
        ("defect_injection.line.with", "width"),
        ("examples.ches", "chess"),
        ("examples.chess.deformation.smothness", "smoothness"),
        ("ingestion.splits.callibration", "calibration"),
    ],
)
def test_misspelt_parameter_gets_the_near_name_at_any_depth(path, near):
    with pytest.raises(FlawlineError, match=rf"\n  {path}: no such parameter \(did you mean '{near}'\?\)$"):
        validate_parameters(changed(path, 1))


def test_name_unlike_any_other_gets_no_suggestion():
    with pytest.raises(FlawlineError, match=r"\n  cae.train.zzz: no such parameter$"):
        validate_parameters(changed("cae.train.zzz", 1))


def test_missing_parameter():
    tree = copy.deepcopy(BASE)
    del tree["cae"]["train"]["epochs"]
    with pytest.raises(FlawlineError, match=r"\n  cae.train.epochs: is needed and was not given$"):
        validate_parameters(tree)


# --- the category ----------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("category", "name"), [("00", "00"), ("a", "a"), (7, "7"), ("A-b_9", "A-b_9"), ("a" * 64,) * 2]
)
def test_category_that_can_name_a_folder(category, name):
    assert check_category(category) == name


@pytest.mark.parametrize(
    "category",
    [
        "../x", "", "a/b", "a\\b", "a" * 65, ".", "..", ".a", "-a", "_a", "a b", "a\n", "é", "a,b", "a=b", "~", "$x",
        "{x}", None, True, 1.5, -1, ["a"],
    ],
)  # fmt: skip
def test_category_that_cannot(category):
    with pytest.raises(FlawlineError, match="category must be 1 to 64 letters") as error:
        check_category(category)
    assert f"got {category!r}. Give one as --params category=NAME." in str(error.value)


@given(st.text(st.characters(max_codepoint=0x2FF), max_size=70))
def test_category_never_leaves_its_folder(category):
    try:
        name = check_category(category)
    except FlawlineError:
        return
    assert (Path("/data") / name).resolve().parent == Path("/data")


@pytest.mark.parametrize("category", ["../x", None])
def test_category_is_checked_before_the_rest(category):
    with pytest.raises(FlawlineError, match="category must be"):
        validate_parameters(BASE | {"category": category, "nonsense": 1})


def test_number_as_category_becomes_text():
    assert validate_parameters(BASE | {"category": 7}).category == "7"
    assert BaseParameters.model_fields["category"].annotation is str


def test_strips_are_cut_and_parts_aligned_but_not_both():
    with pytest.raises(FlawlineError, match=r"is of strips and align of rigid parts: set one, got true and rigid"):
        validate_parameters(BASE | {"registration": BASE["registration"] | {"trim_ends": True, "align": "rigid"}})


# --- how images are judged -------------------------------------------------------------------------------------------
KEPT = InspectionParams(target_overkill=0.1, min_area=7, mm_per_pixel=0.5, max_pixels=1000)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),  # nothing given: all is kept
        ({"target_overkill": None, "min_area": None, "ignore": None}, {}),  # null keeps
        ({"target_overkill": 0.2}, {"target_overkill": 0.2}),
        ({"min_area": 0, "ignore": ()}, {"min_area": 0, "ignore": ()}),  # no area, no region: given, not null
        ({"max_pixels": 2000, "min_area": None}, {"max_pixels": 2000}),
        ({"costs": {}}, {}),
        ({"costs": COSTS}, {"costs": CostParams(**COSTS), "target_overkill": None}),  # the one for the other
    ],
)
def test_what_is_given_goes_before_what_a_detector_keeps_and_null_keeps_it(given, wanted):
    assert InspectionParams(**given).over(KEPT) == KEPT.model_copy(update=wanted)


@pytest.mark.parametrize("said", ["A. Person", "2026-01-31", " on 2026-01-31", "A. Person on Monday"])
def test_who_signs_off_gives_a_name_and_a_date(said):
    with pytest.raises(ValidationError, match=r"must be a name and a date, such as 'A\. Person on 2026-01-31'; got"):
        ReportingParams(examples=1, signed_off_by=said)
    assert ReportingParams(examples=1, signed_off_by="A. Person on 2026-01-31").signed_off_by
