"""Image scores made from maps in other ways than by their maximum: the stages, the detector, an inspection and the
served model say the same."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from base_params import BASE

from flawline.detector.evaluating import compare_reductions
from flawline.detector.file import load_detector, save_detector
from flawline.detector.judging import Judge
from flawline.detector.serving import DetectorModel
from flawline.intake.manifest import rows_of
from flawline.metrics.reductions import Reduction, learn_reduction
from flawline.params import ComputeParams

SCORED = ["validation", "calibration", "test"]
WAYS = {"top_share": 0.02, "region_mass": 0.05}
LENIENT = {"evaluation.target_overkill": 0.9, "evaluation.review_overkill": 0.95}  # so that something is rejected
COLUMNS = ["score", "threshold", "p_value", "verdict", "reason"]


@pytest.mark.parametrize("reduction", WAYS)
def test_stages_detector_inspection_and_served_model_say_the_same(finished, reduction, tmp_path):
    share = WAYS[reduction]
    params = {"cae.scorer.image_score.reduction": reduction, "cae.scorer.image_score.share": share} | LENIENT
    finished.make("embedding,evaluation", "cae.metrics", "cae.verdicts", "cae.detector", **params)
    scores, maps, manifest, images, verdicts, thresholds, metrics = finished.load_all(
        "cae.scores", "cae.maps", "manifest", "images", "cae.verdicts", "cae.thresholds", "cae.metrics", **params
    )

    calibration = [maps[k] for k in np.flatnonzero(scores["split"] == "calibration")]
    way = learn_reduction(BASE.cae.scorer.image_score.but(reduction=reduction, share=share), calibration)
    assert scores["score"].tolist() == [way(one) for one in maps]
    assert scores["map_maximum"].tolist() == [float(one.max()) for one in maps]
    assert thresholds["pixel"]["value"] == min(float(one.max()) for one in calibration)  # the first of 10 * 0.1
    assert {"image_auroc", "raw_image_auroc", "pixel_auroc"} <= metrics["values"].keys()

    detector = finished.load("cae.detector", **params)
    save_detector(tmp_path / "detector.safetensors", detector)
    assert load_detector(tmp_path / "detector.safetensors").reduction == detector.reduction == way
    judge = Judge(detector, compute=ComputeParams(device="cpu", threads=1, engine="torch"))
    rows, known = rows_of(manifest, SCORED), verdicts.set_index("image")
    for k in scores.index[scores["split"] == "test"]:
        judged = judge.judge_framed(images[rows[k]])
        assert (judged.scored.score, judged.judgement.score) == (scores["score"][k], scores["score"][k])
        row = known.loc[scores["image"][k]]
        assert (judged.judgement.verdict, judged.judgement.score) == (row["verdict"], row["score"])
        assert len(judged.judgement.regions) == row["regions"]
    assert "reject" in set(known["verdict"])
    assert all((row["regions"] > 0) == (row["verdict"] != "pass") for _, row in known.iterrows())

    folder = finished.path / "data/01_raw/chess/test"
    finished.make("inspection", "inspected", "verdicts", images=str(folder), **params)
    inspected = finished.load("verdicts", images=str(folder), **params)
    assert inspected["image"].tolist() == [name.removeprefix("test/") for name in verdicts["image"]]
    proof = ["engine", "detector", "run", "row", "previous"]  # a run's own verdicts do not say what made them
    told = inspected.columns.drop(["image", *proof])
    pd.testing.assert_frame_equal(inspected[told], verdicts[told])

    model = DetectorModel()
    model.load_context(SimpleNamespace(artifacts={"detector": str(tmp_path / "detector.safetensors")}))
    served = model.predict(None, pd.DataFrame({"image": [(folder / name).read_bytes() for name in inspected["image"]]}))
    pd.testing.assert_frame_equal(served[COLUMNS], inspected[COLUMNS], check_dtype=False)


def test_stored_maps_are_compared_by_several_ways_as_the_runs_would_score_them(finished_once):
    scores, maps, metrics = finished_once.load_all("cae.scores", "cae.maps", "cae.metrics")
    asked = BASE.cae.scorer.image_score
    ways = [asked.but(reduction="maximum"), asked.but(share=1e-9)]
    ways += [asked.but(reduction=reduction, share=share) for reduction, share in WAYS.items()]
    table = compare_reductions(scores, maps, ways)
    assert list(table.columns) == ["reduction", "share", "image_auroc", "image_ap"]
    assert table["reduction"].tolist() == ["maximum", "top_share", *WAYS]
    assert table["image_auroc"][0] == table["image_auroc"][1]
    assert compare_reductions(scores, maps, [asked])["image_auroc"][0] == metrics["values"]["image_auroc"]
    tests = scores["split"] == "test"
    means = np.array([Reduction(ways[2])(maps[k]) for k in np.flatnonzero(tests)])
    good, bad = (means[(scores.loc[tests, "label"] == label).to_numpy()] for label in (0, 1))
    assert table["image_auroc"][2] == pytest.approx((bad[:, None] > good).mean())
