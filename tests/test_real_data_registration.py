"""Rigid parts on inspection images that nobody on the project made."""

import shutil
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data" / "mvtec"
pytestmark = pytest.mark.real_data


def registered(project, category, raw=DATA, **params):
    names = ("images", "masks", "alignment", "aligner")
    project.run("ingestion,registration", category=category, raw=str(raw / category), **params)
    return project.load_all(*names, category=category)


def test_toothbrushes_come_into_one_frame_and_the_second_run_decodes_nothing(project, monkeypatch):
    params = {"registration.align": "rigid", "registration.brightness": "gain"}
    images, masks, alignment, aligner = registered(project, "toothbrush", **params)
    assert alignment["aligned"].all()
    assert alignment["quality"].min() > 0.75
    assert alignment["angle"].abs().max() < 5
    assert alignment["defect_cut"].max() < 100  # pixels of stray bristles; the masks have thousands
    top, left, bottom, right = aligner["box"].tolist()
    assert set(images.shapes) == {(3, bottom - top, right - left)} == {(3, 256, 128)}
    assert {mask.shape for mask in masks if mask.size} == {(256, 128)}
    with monkeypatch.context() as patch:
        patch.setattr("flawline.intake.registration.decode", None)
        again = registered(project, "toothbrush", **params)
    assert [each.digest for each in again[:2]] == [images.digest, masks.digest]
    assert again[2].equals(alignment)


@pytest.fixture
def screws(tmp_path):
    """Every fourth of the screws, MVTec layout."""
    for split in ("train", "test"):
        for path in sorted((DATA / "screw" / split).rglob("*.jpg"))[::4]:
            target = tmp_path / path.relative_to(DATA)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return tmp_path


@pytest.mark.slow
def test_every_fourth_screw_is_turned_the_same_way(project, screws):
    images, _, alignment, aligner = registered(project, "screw", screws, **{"registration.align": "rigid"})
    assert len(alignment) == 120
    assert alignment["aligned"].all()
    assert alignment["quality"].min() > 0.65
    assert (alignment["outside"] == 0).all()
    assert alignment["angle"].abs().max() > 150
    top, _, bottom, _ = aligner["box"].tolist()
    assert bottom - top <= 160
    assert len(set(images.shapes)) == 1
