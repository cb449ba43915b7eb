"""The line on inspection images that nobody on the project made."""

import shutil
from pathlib import Path

import pytest
from base_params import BASE

from flawline.intake.manifest import count_images, ingest_folder
from flawline.pipelines.ingestion.nodes import look_for_shortcuts

EVERYTHING = Path(__file__).parents[2] / "shared" / "data"
DATA = EVERYTHING / "mvtec"
pytestmark = pytest.mark.real_data


def ingested(category, folder):
    """Return what the nodes make of a whole category: manifest, quarantine, measurements, near-duplicates."""
    return ingest_folder(EVERYTHING / folder, BASE.ingestion, category=category)


def check_mvtec_category(manifest, quarantine, *, good, test_good, defective):
    counts = count_images(manifest).set_index("split")
    assert counts.loc[["train", "validation", "calibration"], "normal"].sum() == good
    assert (counts.loc[["train", "validation", "calibration"], "normal"] > 0).all()
    assert counts.loc["test"].tolist() == [test_good, defective]
    assert quarantine.empty


def test_mvtec_category_is_ingested_and_registered_whole(project):
    project.run("ingestion,registration", category="toothbrush", raw=str(DATA / "toothbrush"))
    manifest, quarantine, images, masks = project.load_all(
        "manifest", "quarantine", "images", "masks", category="toothbrush"
    )
    check_mvtec_category(manifest, quarantine, good=48, test_good=12, defective=30)
    assert set(images.shapes) == {(3, 256, 256)}
    assert [mask.size > 0 for mask in masks] == (manifest["label"] == 1).tolist()


def test_bottles_are_ingested_whole_and_have_no_shortcut():
    manifest, quarantine, measurements, *_ = ingested("bottle", "mvtec/bottle")
    check_mvtec_category(manifest, quarantine, good=209, test_good=20, defective=63)
    assert set(manifest[["channels", "height", "width"]].itertuples(index=False, name=None)) == {(3, 256, 256)}
    assert manifest["mask"].notna().tolist() == (manifest["label"] == 1).tolist()
    assert not look_for_shortcuts(manifest, measurements)["flagged"].any()


def check_counts(manifest, quarantine, *, layout, normal, defective):
    assert manifest["layout"].unique().tolist() == [layout]
    assert manifest["label"].value_counts().to_dict() == {0: normal, 1: defective}
    assert manifest.loc[manifest["label"] == 1, "mask"].notna().all()
    assert quarantine.empty
    learned = manifest[manifest["label"] == 0]
    assert (learned.groupby("group")["split"].nunique() == 1).all()


@pytest.mark.parametrize(
    ("category", "folder", "normal", "defective"),
    [
        ("fabric00", "aitex", 4, 7),
        ("fabric01", "aitex", 4, 12),
        ("fabric02", "aitex", 4, 12),
        ("kolektor", "kolektorsdd", 126, 18),
    ],
)
def test_counts_are_those_of_the_data_set(category, folder, normal, defective):
    manifest, quarantine, *_ = ingested(category, folder)
    check_counts(manifest, quarantine, layout=folder, normal=normal, defective=defective)


def test_screws_are_ingested_whole_and_their_shortcut_and_near_duplicates_found():
    manifest, quarantine, measurements, near_duplicates, _ = ingested("screw", "mvtec/screw")
    check_counts(manifest, quarantine, layout="mvtec", normal=361, defective=119)
    first = look_for_shortcuts(manifest, measurements).iloc[0]
    assert (first["question"], first["feature"], first["flagged"]) == ("label", "mean", True)
    assert first["auroc"] == 1.0
    assert first["direction"] == "defective images are brighter"
    (pair,) = near_duplicates.to_dict("records")
    assert (pair["image"], pair["duplicate"]) == ("train/good/053.jpg", "train/good/173.jpg")


def test_first_images_of_a_category_go_through_the_line(project, tmp_path):
    folder = tmp_path / "bottles"
    for source, target, count in (
        ("train/good", "good", 7), ("test/broken_large", "broken", 2), ("ground_truth/broken_large", "masks/broken", 2)
    ):  # fmt: skip
        (folder / target).mkdir(parents=True)
        for path in sorted((DATA / "bottle" / source).iterdir())[:count]:
            shutil.copy(path, folder / target)
    project.run(category="bottles", raw=str(folder), **{"cae.patches.size": 64, "cae.patches.stride": 64})
    values = project.load("cae.metrics", category="bottles")["values"]
    assert (values["normals"], values["defectives"]) == (1, 2)
    assert 0 <= values["aupro"] <= 1
