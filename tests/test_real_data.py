"""The line on inspection images that nobody on the project made."""

import shutil
from pathlib import Path

import pytest

from flawline.intake.manifest import count_images

EVERYTHING = Path(__file__).parents[2] / "shared" / "data"
DATA = EVERYTHING / "mvtec"
pytestmark = pytest.mark.real_data


@pytest.mark.parametrize(
    ("category", "good", "test_good", "defective"), [("bottle", 209, 20, 63), ("toothbrush", 48, 12, 30)]
)
def test_mvtec_category_is_ingested_and_registered_whole(project, category, good, test_good, defective):
    project.run("ingestion,registration", category=category, raw=str(DATA / category))
    manifest = project.load("manifest", category=category)
    counts = count_images(manifest).set_index("split")
    assert counts.loc[["train", "validation", "calibration"], "normal"].sum() == good
    assert (counts.loc[["train", "validation", "calibration"], "normal"] > 0).all()
    assert counts.loc["test"].tolist() == [test_good, defective]
    assert project.load("quarantine", category=category).empty
    images, masks = project.load("images", category=category), project.load("masks", category=category)
    assert set(images.shapes) == {(3, 256, 256)}
    assert [mask.size > 0 for mask in masks] == (manifest["label"] == 1).tolist()


@pytest.mark.parametrize(
    ("category", "folder", "layout", "normal", "defective"),
    [
        ("fabric00", "aitex", "aitex", 4, 7),
        ("fabric01", "aitex", "aitex", 4, 12),
        ("fabric02", "aitex", "aitex", 4, 12),
        ("kolektor", "kolektorsdd", "kolektorsdd", 126, 18),
        ("screw", "mvtec/screw", "mvtec", 361, 119),
    ],
)
def test_counts_are_those_of_the_data_set(project, category, folder, layout, normal, defective):
    project.run("ingestion", category=category, raw=str(EVERYTHING / folder))
    manifest = project.load("manifest", category=category)
    assert manifest["layout"].unique().tolist() == [layout]
    assert manifest["label"].value_counts().to_dict() == {0: normal, 1: defective}
    assert manifest.loc[manifest["label"] == 1, "mask"].notna().all()
    assert project.load("quarantine", category=category).empty
    learned = manifest[manifest["label"] == 0]
    assert (learned.groupby("group")["split"].nunique() == 1).all()


def test_the_shortcut_of_the_screws_is_found_and_their_near_duplicates(project):
    project.run("ingestion", category="screw", raw=str(DATA / "screw"))
    shortcuts = project.load("shortcuts", category="screw")
    first = shortcuts.iloc[0]
    assert (first["question"], first["feature"], first["flagged"]) == ("label", "mean", True)
    assert first["auroc"] == 1.0
    assert first["direction"] == "defective images are brighter"
    (pair,) = project.load("near_duplicates", category="screw").to_dict("records")
    assert (pair["image"], pair["duplicate"]) == ("train/good/053.jpg", "train/good/173.jpg")


def test_no_shortcut_in_bottles(project):
    project.run("ingestion", category="bottle", raw=str(DATA / "bottle"))
    assert not project.load("shortcuts", category="bottle")["flagged"].any()


def test_first_images_of_a_category_go_through_the_line(project, tmp_path):
    folder = tmp_path / "bottles"
    for source, target, count in (
        ("train/good", "good", 7), ("test/broken_large", "broken", 2), ("ground_truth/broken_large", "masks/broken", 2)
    ):  # fmt: skip
        (folder / target).mkdir(parents=True)
        for path in sorted((DATA / "bottle" / source).iterdir())[:count]:
            shutil.copy(path, folder / target)
    project.run(
        "schneider2022", category="bottles", raw=str(folder), **{"cae.patches.size": 64, "cae.patches.stride": 64}
    )
    values = project.load("cae.metrics", category="bottles")["values"]
    assert (values["normals"], values["defectives"]) == (1, 2)
    assert 0 <= values["aupro"] <= 1
