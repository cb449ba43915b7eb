"""The one-class methods through the line: what each stage stores, and that a detector says what the stages said."""

from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pytest
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.detector.judging import Judge
from flawline.hooks import RequirementsHook
from flawline.intake.manifest import rows_of
from flawline.methods.registry import PAPERS, RECONSTRUCTORS
from flawline.params import ComputeParams
from flawline.pipeline_registry import register_pipelines
from flawline.training.engines import CompiledNetwork
from flawline.training.folds import fold_of
from flawline.training.folds import fold_weights as weights_of_fold

COMPARED = PAPERS["saeedi2022"].methods
SCORED = ["validation", "calibration", "test"]
COMPUTE = ComputeParams(device="cpu", threads=1, engine="torch")
PATCHES = BASE.cpcae.patches.but(side=64, size=32, stride=16, per_epoch=64)
MODEL = BASE.cpcae.model.but(channels=(8, 16), latent_size=8)


def test_every_method_is_in_the_comparison(compared_once):
    comparison = compared_once.load("comparison")
    assert comparison["method"].tolist() == list(COMPARED)
    assert comparison["image_auroc"].between(0, 1).all()
    without_map = set(comparison.loc[comparison["pixel_auroc"].isna(), "method"])
    assert without_map == {"deep_feature_knn"}
    page = compared_once.newest("08_reporting/chess/seed-0/report.html/*/report.html").read_text()
    assert all(name in page for name in COMPARED)


def test_a_method_without_a_map_says_why_its_pixel_metrics_are_absent(compared_once):
    absent = compared_once.load("deep_feature_knn.metrics")["absent"]
    assert {"pixel_auroc", "aupro", "iou"} <= absent.keys()
    assert "makes no map" in absent["aupro"]


@pytest.mark.parametrize("name", COMPARED)
def test_the_detector_says_what_the_stages_said(compared_once, name):
    detector, images, manifest, scores, maps, verdicts = compared_once.load_all(
        f"{name}.detector", "images", "manifest", f"{name}.scores", f"{name}.maps", f"{name}.verdicts"
    )
    rows = rows_of(manifest, SCORED)
    k = int(scores.index[scores["split"] == "test"][-1])
    judged = Judge(detector, compute=COMPUTE).judge_framed(images[rows[k]])
    assert judged.scored.score == scores["score"][k]
    np.testing.assert_array_equal(judged.scored.map, maps[k])
    assert judged.judgement.verdict == verdicts.set_index("image")["verdict"][scores["image"][k]]
    if detector.reduction is not None:
        assert scores["score"].tolist() == [detector.reduction(one) for one in maps]
        assert scores["map_maximum"].tolist() == [float(one.max()) for one in maps]


def test_a_detector_refuses_a_network_of_other_weights_than_it_learned_with(compared_once):
    detector, pixels, images = compared_once.load_all("patch_memory.detector", "nearest_neighbour.detector", "images")
    other = replace(detector, about=detector.about | {"network": "00" * 32})
    with pytest.raises(FlawlineError, match=r"lite0 of weights 000000000000 sees, here its weights are [0-9a-f]{12}"):
        Judge(other).judge_framed(images[0])
    assert "network" not in pixels.about


def test_all_normal_images_that_are_not_tested_on_are_learned_where_no_network_is_and_no_calibration_images_else(
    compared_once,
):
    manifest, bank, memory = compared_once.load_all(
        "manifest", "nearest_neighbour.one_class", "patch_memory_map.one_class"
    )
    assert len(bank["bank"]) == len(rows_of(manifest, ["train", "validation", "calibration"]))
    assert memory["codes"].shape[3] == len(rows_of(manifest, ["train", "validation"]))


def test_what_is_projected_are_the_test_images_in_both_spaces(compared_once):
    projections, manifest = compared_once.load_all("cpcae.projections", "manifest")
    tests = manifest[manifest["split"] == "test"]
    assert projections["space"].nunique() == 2
    for _, table in projections.groupby("space"):
        assert table["label"].tolist() == tests["label"].tolist()


def test_in_folds_an_image_is_reconstructed_by_the_network_that_did_not_see_it(compared):
    folds = {"cpcae.folds": 2}
    compared.run("cpcae", options={"from_nodes": ["cpcae.train_folds"], "to_outputs": ["cpcae.residuals"]}, **folds)
    manifest, images, residuals, weights, own = compared.load_all(
        "manifest", "images", "cpcae.residuals", "cpcae.fold_weights", "cpcae.weights", **folds
    )
    row_of = RECONSTRUCTORS["cpcae"]

    def residual(tensors, image):
        parts, compute = {"patches": PATCHES, "model": MODEL}, COMPUTE
        return row_of.ready(tensors, parts, channels=1, compute=compute).reconstruct(image).residual

    rows = rows_of(manifest, ["train"])
    for row, fold in zip(rows, fold_of(len(rows), 2, 0), strict=True):
        np.testing.assert_array_equal(residual(weights_of_fold(weights, fold), images[row]), residuals[row])
    (test, *_) = rows_of(manifest, ["test"])
    np.testing.assert_array_equal(residual(own, images[test]), residuals[test])


def check_one_way_to_judge(project, method):
    """The stages, an inspection, a detector in this process and the served model say the same, to the last bit."""
    folder = project.path / "data/01_raw/chess/test"
    project.make(f"{method}_inspection", "inspected", "verdicts", images=str(folder), **{"inspection.pictures": "all"})
    verdicts, known, detector = project.load_all("verdicts", f"{method}.verdicts", f"{method}.detector")
    known = known.set_index("sha256").loc[verdicts["sha256"]]
    assert verdicts["verdict"].tolist() == known["verdict"].tolist()
    assert verdicts["score"].tolist() == known["score"].tolist()
    judge = Judge(detector, compute=COMPUTE)
    for row in verdicts.to_dict("records"):
        said = judge.judge_file((folder / row["image"]).read_bytes()).judgement
        assert (said.verdict, said.score) == (row["verdict"], row["score"])
    files = project.load("inspected").pictures
    assert files.keys() == set(verdicts["image"])
    assert all(path.is_file() for path in files.values())


@pytest.mark.slow
def test_there_is_one_way_to_judge_whatever_the_method(compared):
    for method in COMPARED:
        check_one_way_to_judge(compared, method)


def test_there_is_one_way_to_judge_with_an_autoencoder(finished):
    methods = PAPERS["schneider2022"].methods  # of which the first ran in it
    wanted = [f"{method}.{name}" for method in methods for name in ("detector", "verdicts")]
    finished.make("schneider2022", *wanted, missing=True)
    for method in methods:
        check_one_way_to_judge(finished, method)


def test_regions_cannot_be_left_out_where_an_image_is_judged_as_a_whole(compared):
    folder = compared.path / "data/01_raw/chess/test"
    with pytest.raises(FlawlineError, match=r"inspection\.ignore and inspection\.min_area need a method whose score"):
        compared.run("deep_feature_knn_inspection", images=str(folder), **{"inspection.min_area": 5})
    compared.make("deep_feature_knn_inspection", images=str(folder))
    assert compared.newest("08_reporting/chess/seed-0/inspection/report.html/*/report.html")


# --- what cannot work is said before anything long starts ------------------------------------------------------------
TOO_MANY = r"scorer\.k = 50 neighbours are asked for, but there are 5 normal images"


def test_what_cannot_work_is_said_before_the_training_and_before_images_are_embedded(project):
    with pytest.raises(FlawlineError, match=TOO_MANY):
        project.run("cpcae", **{"cpcae.scorer.k": 50})
    data = project.path / "data"
    assert list(data.rglob("manifest*"))
    assert not list(data.rglob("images"))
    assert not [*data.rglob("weights*"), *data.rglob("embeddings*")]


@pytest.mark.parametrize(
    ("method", "params", "message"),
    [
        ("deep_feature_knn", {"deep_feature_knn.scorer.k": 50}, TOO_MANY),
        ("mean_image", {"mean_image.scorer.k": 50}, TOO_MANY),
        ("cpcae", {"cpcae.scorer.features.backbone": "lite"}, r"no backbone 'lite' \(did you mean 'lite[012]'\?\)"),
        ("cpcae", {"cpcae.scorer.features.weights": "own.pth"}, r"features\.weights must be null for lite0"),
        ("cpcae", {"cpcae.patches.size": 48, "cpcae.patches.side": 40}, r"size must not exceed side"),
        ("cpcae", {"cpcae.patches.stride": 33}, r"stride must not exceed size, or pixels stay uncovered"),
        (
            "cpcae",
            {"cpcae.patches.size": 128, "cpcae.patches.side": 128},
            r"patches\.size = 128 is larger than the images",
        ),
    ],
)
def test_what_cannot_work_is_said_as_soon_as_the_manifest_is_made(compared_once, method, params, message):
    with pytest.raises(FlawlineError, match=message):
        ask(compared_once, compared_once.load("manifest"), method, **params)


def ask(project, manifest, method, **params):
    """Do what the hooks do before a run and, in it, once the manifest is made."""
    with project.session(**params) as session:
        context = session.load_context()
    hook = RequirementsHook()
    hook.after_context_created(context)
    hook.before_pipeline_run(register_pipelines()[method], context.catalog)
    assert hook.methods == [method]
    hook.after_dataset_saved("manifest", manifest)


def test_images_of_mixed_size_are_refused_with_what_to_do(blank_once, compared_once):
    manifest = compared_once.load("manifest")
    manifest.loc[manifest.index[:3], ["height", "width"]] = (40, 44)
    with pytest.raises(FlawlineError, match=r"compares images position by position, .*: 40 x 44, 96 x 96"):
        ask(blank_once, manifest, "patch_memory")


def test_a_detector_is_as_strict_as_the_ingestion_that_it_learned_from_unless_told(compared_once):
    assert compared_once.load("patch_memory.detector").inspection.strict is True


@pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
def test_an_inspection_by_another_engine_says_the_same(compared, monkeypatch):
    folder, made, called = compared.path / "data/01_raw/chess/test", {}, []
    call = CompiledNetwork.__call__
    monkeypatch.setattr(CompiledNetwork, "__call__", lambda self, x: called.append(len(x)) or call(self, x))
    for engine in ("torch", "openvino"):
        asked = {"compute.engine": engine}
        compared.make("patch_memory_inspection", "inspected", "verdicts", images=str(folder), **asked)
        made[engine] = compared.load("verdicts", images=str(folder), **asked)
        assert bool(called) == (engine == "openvino")
    torch, openvino = made["torch"], made["openvino"]
    assert torch["verdict"].tolist() == openvino["verdict"].tolist()
    np.testing.assert_allclose(torch["score"], openvino["score"], rtol=1e-3)
