"""What is refused of the parameters of a command before anything is read."""

import pytest
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.hooks.parameters import check_chosen, check_detector, check_raw


@pytest.mark.parametrize(("runtime", "message"), [
    ({"raw": "", "category": "bolt"}, "raw is empty; wanted a folder of photographs"),
    ({"raw": "  "}, "raw is empty"),
    ({"raw": "/photos/bolt"}, "raw=/photos/bolt has no category; wanted the name of what the photographs show"),
])  # fmt: skip
def test_raw_folder_needs_a_name_and_a_category(runtime, message):
    with pytest.raises(FlawlineError, match=message):
        check_raw(runtime)


@pytest.mark.parametrize("runtime", [{}, {"raw": None}, {"raw": "/photos/bolt", "category": "bolt"}, {"category": "x"}])
def test_other_commands_are_fine(runtime):
    check_raw(runtime)


# --- which detector judges -------------------------------------------------------------------------------------------
VERSION = "2026-01-31T12.00.00.000Z"


@pytest.mark.parametrize(("run", "message"), [
    ({"pipeline_names": ["inspection", "cae"]}, "names what judges in an inspection or a promotion, but cae is"),
    ({}, "but __default__ is neither. Leave it out, or give --pipelines=inspection"),
    ({"pipeline_names": ["inspection"], "load_versions": {"auto.detector": VERSION}}, "both name the detector that"),
])  # fmt: skip
def test_a_detector_is_named_once_and_where_one_judges(run, message):
    with pytest.raises(FlawlineError, match=message):
        check_chosen("champion", run)
    check_chosen(None, run)


def test_a_detector_may_judge_in_inspections_and_promotions():
    check_chosen("champion", {"pipeline_names": ["cae_inspection", "cae_promotion"]})


def test_a_version_of_the_catalog_that_is_not_there_is_told_with_those_that_are(tmp_path):
    path = tmp_path / "detector.safetensors"
    asked = BASE.but(detector=VERSION)
    with pytest.raises(FlawlineError, match=r"no detector at .*Make it with: make run"):
        check_detector(path, "cae", asked)
    for version in (VERSION, "2025-01-31T12.00.00.000Z"):
        (path / version).mkdir(parents=True)
        (path / version / path.name).touch()
    check_detector(path, "cae", asked)
    check_detector(path, "cae", BASE)
    check_detector(tmp_path / "none", "cae", BASE.but(detector="champion"))  # MLflow's, which is not asked yet
    wanted = f"no version 2027-.* of the detector at .*; the newest are: 2025-.*, {VERSION}"
    with pytest.raises(FlawlineError, match=wanted):
        check_detector(path, "cae", BASE.but(detector="2027-01-31T12.00.00.000Z"))
