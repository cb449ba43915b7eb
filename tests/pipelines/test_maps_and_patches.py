"""Raw maps beside smoothed ones, patch losses, and whether the material suits: what the stages store of a method."""

import numpy as np
import pytest
from base_params import BASE

from flawline.intake.manifest import rows_of
from flawline.methods.maps import smooth
from flawline.metrics.maps import MapCounts

SCORED = ["validation", "calibration", "test"]
RAW = {
    "raw_image_auroc", "raw_pixel_auroc", "raw_aupro", "raw_A", "raw_iou", "raw_oracle_A", "raw_oracle_iou",
    "raw_oracle_pixel_threshold",
}  # fmt: skip


def test_maps_are_the_raw_ones_smoothed(finished_once):
    manifest, residuals, maps = finished_once.load_all("manifest", "cae.residuals", "cae.maps")
    rows = rows_of(manifest, SCORED)
    assert len(residuals) == len(manifest) > len(maps) == len(rows) > 0
    for row, other in zip(rows, maps, strict=True):
        np.testing.assert_array_equal(smooth(residuals[row], 4.0), other)
    assert not np.array_equal(residuals[rows[0]], maps[0])
    assert not any(residuals[row].size for row in rows_of(manifest, ["train"]))  # nobody looks at these


def test_raw_metrics_are_those_of_the_raw_maps(finished_once):
    metrics, manifest, raw, masks = finished_once.load_all("cae.metrics", "manifest", "cae.residuals", "masks")
    values = metrics["values"]
    assert values.keys() >= RAW
    counts = MapCounts()
    for row in rows_of(manifest, SCORED):
        if manifest["split"].iloc[row] == "test" and manifest["label"].iloc[row] == 1:
            counts.add(raw[row], masks[row])
    assert (values["raw_oracle_A"], values["raw_oracle_iou"]) == pytest.approx(counts.oracle_iou()[1:])


def test_without_smoothing_both_are_the_same(finished):
    finished.make("embedding,evaluation", "cae.metrics", **{"cae.scorer.smoothing": 0.0})
    values = finished.load("cae.metrics")["values"]
    assert {name: values[name] for name in RAW} == {name: values[name.removeprefix("raw_")] for name in RAW}


def test_patch_losses_are_the_test_images_raw_maps_averaged_over_each_patch(finished_once):
    losses, index = finished_once.load_all("cae.patch_losses", "cae.patch_index")
    manifest, raw = finished_once.load_all("manifest", "cae.residuals")
    tests = rows_of(manifest, ["test"])
    assert len(losses) == index["image"].isin(tests).sum()
    assert set(losses["image"]) == set(tests)
    for patch in losses.sample(20, random_state=0).itertuples():
        window = raw[patch.image][patch.y : patch.y + 32, patch.x : patch.x + 32]
        assert patch.loss == pytest.approx(window.astype(np.float64).mean(), rel=1e-9)
    assert (losses["mask_share"] > 0).any()
    assert (losses["mask_share"] == 0).any()


def test_verdicts_on_the_material_are_stored_tracked_and_told(finished, capsys):
    expected_suitability, judged, comparison = finished.load_all(
        "cae.expected_suitability", "cae.suitability", "comparison"
    )
    assert judged["before"] == expected_suitability
    row = comparison.iloc[0]
    assert (row["before"], row["suitability"]) == (expected_suitability["verdict"], judged["verdict"])
    parent = next(run for run in finished.mlflow_runs() if "mlflow.parentRunId" not in run.data.tags)
    child = next(run for run in finished.mlflow_runs() if run.data.tags.get("method") == "cae")
    assert child.data.tags["suitability_before"] == expected_suitability["verdict"]
    assert parent.data.tags["cae.suitability"] == judged["verdict"]
    finished.run("patching")
    assert (
        f"before training, {expected_suitability['verdict']} for cae: {expected_suitability['reason']}"
        in capsys.readouterr().err
    )


def test_the_material_is_judged_by_held_out_patches_of_no_test_image(finished_once):
    """The share is that of the network's squared error on validation patches: computed here from the stored weights."""
    from functools import partial

    from flawline.methods.cae import CAE
    from flawline.training.windows import windows_of

    images, manifest, weights, judged = finished_once.load_all("images", "manifest", "cae.weights", "cae.suitability")
    patches = BASE.cae.patches.but(size=32, stride=16, per_epoch=64)
    windows = windows_of(images, rows_of(manifest, ["validation"]), patches, seed=0)
    x = windows.cut(windows.fixed())
    model = partial(CAE, BASE.cae.model.but(latent_size=8, hidden_size=32), channels=1, size=32)()
    model.load_state_dict(weights)
    error = (model.eval()(x) - x).square().mean().item()
    spread = x.var(dim=(2, 3), correction=0).mean().item()
    assert judged["explained"] == pytest.approx(max(0.0, 1 - error / spread), abs=1e-5)


def test_patches_of_defective_images_without_a_mask_are_no_normal_ones(project, parts):
    (parts / "ground_truth" / "scratch" / "001_mask.png").unlink()
    project.make("cae,defect_injection", "cae.patch_losses", category="parts", raw=str(parts))
    losses, manifest = project.load_all("cae.patch_losses", "manifest", category="parts")
    tests = manifest[manifest["split"] == "test"]
    unmarked = tests.index[(tests["label"] == 1) & tests["mask"].isna()]
    assert len(unmarked) == 1
    assert set(losses["image"]) == set(tests.index) - set(unmarked)
