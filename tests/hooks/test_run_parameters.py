import json
from types import SimpleNamespace

import pytest
from base_params import BASE

from flawline.hooks.run_parameters import of_candidate, of_method, what_counts
from flawline.params import flatten


@pytest.fixture(scope="module")
def tree():
    return BASE.model_dump(mode="json")


def reading(*names):
    """Return a pipeline as it is asked for what it reads."""
    return SimpleNamespace(inputs=lambda: {"images", *(f"params:{name}" for name in names)})


def test_what_no_pipeline_reads_is_not_kept(tree):
    kept = what_counts(tree, [reading("cae.train", "category")])
    assert kept == flatten({"cae": {"train": tree["cae"]["train"]}}) | {"category": tree["category"]}


@pytest.mark.parametrize(
    ("changed", "branch", "kept"),
    [
        ({}, "examples.chess", True),
        ({"raw": "/photos"}, "examples.chess", False),
        ({}, "examples.noise", False),
        ({}, "registration.stn", False),
        ({"registration": {"align": "stn"}}, "registration.stn", True),
        ({"registration": {"align": "auto"}}, "registration.auto", True),
        ({}, "registration.auto", False),
        ({}, "patch_set", False),
        ({"protocol": "leak_free"}, "patch_set", True),
        ({}, "defect_injection.julia", True),
        ({"defect_injection": {"kinds": ["stain"]}}, "defect_injection.julia", False),
        ({}, "auto.candidates", False),
    ],
)
def test_what_has_no_part_in_a_run_is_not_kept(tree, changed, branch, kept):
    given = {name: value | changed.get(name, {}) if isinstance(value, dict) else changed.get(name, value)
             for name, value in tree.items()}  # fmt: skip
    read = reading("examples", "registration", "patch_set", "defect_injection", "auto.candidates", "auto.choice")
    names = what_counts(given, [read])
    assert any(f"{name}.".startswith(f"{branch}.") for name in names) is kept


def test_a_kind_of_pseudo_defect_is_one_parameter(tree):
    kept = what_counts(tree, [reading("defect_injection")])
    assert json.loads(kept["defect_injection.julia"]) == tree["defect_injection"]["julia"]
    assert kept["defect_injection.per_image"] == tree["defect_injection"]["per_image"]


def test_a_method_keeps_its_own_and_its_candidates_have_theirs(tree):
    own = of_method(tree, "auto")
    assert own["category"] == tree["category"]
    assert {name.partition(".")[0] for name in own if "." in name} == {"auto"}
    assert "auto.choice.folds" in own
    assert not any(".candidates." in name for name in own)
    candidate = of_candidate(tree, "auto", "patch_memory_wide")
    assert candidate["method"] == "patch_memory"
    assert candidate["change.search_radius"] == 3
    assert of_candidate(tree, "auto", "no candidate") == {}


def test_a_method_keeps_of_the_run_what_it_was_given(tree):
    plain = {name for name in of_method(tree, "pca") if "." not in name}
    assert plain == {"category", "seed", "protocol"}
    given = tree | {"raw": "/photos", "images": "/new"}
    assert {name for name in of_method(given, "pca") if "." not in name} == plain | {"raw", "images"}


def test_a_default_run_keeps_what_a_person_can_read(tree):
    """A run of `auto` on photographs: 369 parameters before they were grouped."""
    aligned = tree | {"raw": "/photos", "registration": tree["registration"] | {"align": "auto"}}
    stages = reading("category", "seed", "raw", "ingestion", "registration", "patch_set", "defect_injection",
                     "evaluation", "compute", "auto.choice", "auto.candidates", "auto.scorer")  # fmt: skip
    assert len(what_counts(aligned, [stages])) < 120
