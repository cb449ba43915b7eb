"""What a finished detector finds: tried in images that it never saw, told in the run, and of no effect on itself."""

import numpy as np
import pytest

from flawline.checks import FlawlineError
from flawline.detector.judging import Judge
from flawline.hooks.lineage import LineageHook
from flawline.methods.sized_defects import put_back
from flawline.metrics.detectability import measure_detectability, pod_metrics
from flawline.params import ComputeParams
from flawline.pipeline_registry import register_pipelines


def test_pseudo_defects_lie_in_good_test_images_and_are_judged_by_the_one_scorer(finished_once):
    names = ("images", "usable_manifest", "sized_defects", "cae.sized_verdicts", "cae.detector")
    images, manifest, defects, table, detector = finished_once.load_all(*names)
    known = manifest.set_index("image")
    assert len(defects) == len(table) == 12
    assert set(known.loc[table["image"], "split"]) == {"test"}
    assert set(known.loc[table["image"], "label"]) == {0}
    assert not table["learned"].any()
    judge = Judge(detector, compute=ComputeParams(device="cpu", threads=1, engine="torch"))
    row_of = dict(zip(manifest["image"], range(len(manifest)), strict=True))
    for k, row in table.iterrows():
        whole = images[row_of[row["image"]]]
        damaged = put_back(whole, defects[k], defects.notes[k])
        change = np.abs(damaged.astype(float) - whole) / 255
        assert change.sum() == pytest.approx(row["contrast"] * np.pi / 4 * row["size"] ** 2, rel=1e-3)
        said = judge.judge_framed(damaged).judgement
        assert said.score == pytest.approx(row["score"])
        assert row["hit"] == (said.verdict == "reject")


def test_what_is_found_is_told_in_tables_page_summary_and_mlflow(finished_once):
    names = ("cae.sized_verdicts", "cae.detectability", "cae.real_rates", "cae.verdicts", "report", "summary")
    found, table, rates, verdicts, page, summary = finished_once.load_all(*names)
    wanted = measure_detectability(found).table
    assert table["hits"].tolist() == wanted["hits"].tolist()
    assert table["defects"].sum() == (~found["rejected"]).sum()
    assert rates["defects"].sum() == (verdicts["label"] == 1).sum()
    assert rates["hits"].sum() == ((verdicts["label"] == 1) & (verdicts["verdict"] == "reject")).sum()
    assert "What it finds, and what it misses" in page
    assert "Nine in ten pseudo-defects in" in summary
    (run,) = [run for run in finished_once.mlflow_runs() if run.data.tags.get("method") == "cae"]
    logged = {name: size for name, size in run.data.metrics.items() if name.startswith("a90_95.")}
    assert logged == {name: size for name, size in pod_metrics(table).items() if name.startswith("a90_95.")}


def test_other_pseudo_defects_or_none_leave_the_detector_as_it_is(finished):
    off = {"detectability.defects": 0}
    line = register_pipelines()["cae"]
    with finished.session(**off) as session:
        hook = LineageHook.over(session.load_context(), line)
        assert hook.is_fresh("cae.detector")
        assert hook.is_fresh("cae.thresholds")
        assert not hook.is_fresh("cae.detectability")
    finished.make("cae", "cae.detectability", "sized_defects", missing=False, **off)
    defects, table, rates = finished.load_all("sized_defects", "cae.detectability", "cae.real_rates", **off)
    assert len(defects) == 0
    assert table.empty
    assert rates["defects"].sum() > 0  # real ones are counted all the same


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"detectability.kinds": ["stian"]}, r"detectability\.kinds.*stain"),
        ({"detectability.sizes": [0.2, 0.1]}, r"detectability\.sizes: .*smallest, largest"),
        ({"detectability.contrasts": [0.1, 0.1]}, "contrasts must differ"),
        ({"detectability.defects": -1}, r"detectability\.defects"),
        ({"detectability.size": [0.1, 0.2]}, "did you mean 'sizes'"),
    ],
)
def test_bad_parameters_are_refused_before_anything_is_read(project, params, said):
    with pytest.raises(FlawlineError, match=said):
        project.run("ingestion", **params)
