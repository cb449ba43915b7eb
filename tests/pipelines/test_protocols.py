"""A session whose methods see patches of photographs, divided by a protocol: all those of a paper that measures so."""

import pytest
from base_params import BASE

from flawline.hooks.lineage import StaleError
from flawline.methods.registry import PAPERS

pytestmark = pytest.mark.slow
PAPER = "alpdemir2022"
ASKED = {"category": "fabric", "protocol": "leak_free"}
SMOKE = BASE.patch_set.but(normal=64)  # as conf/smoke has it


@pytest.fixture(scope="session")
def divided_path(once, blank_project):
    """Where a project lies in which the paper's methods ran on patches of the example. Copy it."""

    def work(project):
        with pytest.MonkeyPatch.context() as patch:
            for kept in ("_log_figures", "_log_detector"):
                patch.setattr(f"flawline.hooks.tracked_run.TrackedRun.{kept}", lambda *_: None)
            project.run(PAPER, **ASKED)

    return once("divided", work, source=blank_project).path


@pytest.fixture
def divided(here, divided_path):
    return here(divided_path)


def test_the_line_runs_on_patches_in_folders_of_their_own(divided):
    images, masks, table = divided.load_all("images", "masks", "usable_manifest", **ASKED)
    assert len(images) == len(masks) == len(table)
    assert set(images.shapes) == {(1, SMOKE.size, SMOKE.size)}
    normal = table[table["label"] == 0]
    assert normal["split"].value_counts().to_dict() == SMOKE.counts()
    assert all(mask.any() == bool(label) for mask, label in zip(masks, table["label"], strict=True))
    assert table.loc[table["label"] == 1, "split"].eq("test").all()
    made = divided.path / "data"
    assert (made / "03_primary/fabric/leak_free/seed-0/images").is_dir()
    assert (made / "06_models/fabric/leak_free/seed-0/pca/weights.safetensors").is_file()
    assert not (made / "03_primary/fabric/images").exists()


def test_no_photograph_is_on_two_sides(divided):
    table = divided.load("usable_manifest", **ASKED)
    side = table["split"].replace("validation", "train")  # which only stops a training
    assert side.groupby(table["source"]).nunique().eq(1).all()
    assert set(side) == {"train", "calibration", "test"}
    labels = table[side == "test"].groupby("source")["label"].max()
    assert set(labels) == {0, 1}  # normal and defective strips are tested on


def test_every_method_judges_patches(divided):
    comparison = divided.load("comparison", **ASKED)
    assert comparison["method"].tolist() == list(PAPERS[PAPER].methods)
    assert comparison["image_auroc"].between(0, 1).all()


def test_all_patches_that_are_tested_on_are_judged_and_counted(divided):
    table, scores, verdicts, metrics = divided.load_all(
        "usable_manifest", "pca.scores", "pca.verdicts", "pca.metrics", **ASKED
    )
    tests = table.loc[table["split"] == "test", "image"]
    assert verdicts["image"].tolist() == tests.tolist()
    assert sorted(scores.loc[scores["split"] == "test", "image"]) == sorted(tests)
    assert 0 <= metrics["values"]["image_auroc"] <= 1
    assert "leak_free" in divided.newest("08_reporting/fabric/leak_free/seed-0/report.html/*/report.html").read_text()


def test_other_patches_make_what_was_learned_stale_and_the_command_names_the_protocol(divided):
    options = {"tags": ["evaluation"]}
    with pytest.raises(StaleError) as refused:
        divided.run("pca", options=options, **ASKED, **{"patch_set.least_pixels": 5})
    assert "patch_set.least_pixels went from 1 to 5" in str(refused.value)
    assert "--params category=fabric,seed=0,protocol=leak_free" in str(refused.value)


def test_photographs_do_not_depend_on_patch_sets(finished):
    finished.run("evaluation", **{"patch_set.least_pixels": 5})
