"""Rigid parts on inspection images that nobody on the project made."""

from functools import partial
from pathlib import Path

import pytest

DATA = Path(__file__).parents[2] / "shared" / "data" / "mvtec"
pytestmark = pytest.mark.real_data


@pytest.fixture
def some(tmp_path):
    """A function that links every n-th photograph of a category, with all masks, into a folder of MVTec layout."""

    def link(category, n):
        for split in ("train", "test"):
            for folder in (DATA / category / split).iterdir():
                for path in sorted(folder.iterdir())[1::n]:
                    put(path, tmp_path)
        for path in (DATA / category / "ground_truth").rglob("*.png"):
            if list((tmp_path / category / "test" / path.parent.name).glob(f"{path.stem.removesuffix('_mask')}.*")):
                put(path, tmp_path)
        return tmp_path / category

    return link


def put(path, folder):
    target = folder / path.relative_to(DATA)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(path.resolve())


def registered(project, category, raw, **params):
    names = ("images", "masks", "alignment", "aligner")
    project.make("ingestion,registration", *names, category=category, raw=str(raw), **params)
    return project.load_all(*names, category=category)


@pytest.mark.slow
def test_toothbrushes_come_into_one_frame_and_the_second_run_decodes_nothing(project, some, monkeypatch):
    params = {"registration.align": "rigid", "registration.brightness": "gain"}
    register = partial(registered, project, "toothbrush", some("toothbrush", 4), **params)
    images, masks, alignment, aligner = register()
    assert len(alignment) == 23
    assert alignment["aligned"].all()
    assert alignment["quality"].min() > 0.75
    assert alignment["angle"].abs().max() < 5
    assert alignment["defect_cut"].max() < 100  # pixels of stray bristles; the masks have thousands
    top, left, bottom, right = aligner["box"].tolist()
    assert set(images.shapes) == {(3, bottom - top, right - left)} == {(3, 256, 128)}
    assert {mask.shape for mask in masks if mask.size} == {(256, 128)}
    with monkeypatch.context() as patch:
        patch.setattr("flawline.intake.registration.decode", None)
        again = register()
    assert [each.digest for each in again[:2]] == [images.digest, masks.digest]
    assert again[2].equals(alignment)


@pytest.mark.slow
def test_every_twelfth_screw_is_turned_the_same_way(project, some):
    images, _, alignment, aligner = registered(project, "screw", some("screw", 12), **{"registration.align": "rigid"})
    assert len(alignment) == 41
    assert alignment["aligned"].all()
    assert alignment["quality"].min() > 0.65
    assert (alignment["outside"] == 0).all()
    assert alignment["angle"].abs().max() > 150
    top, _, bottom, _ = aligner["box"].tolist()
    assert bottom - top <= 160
    assert len(set(images.shapes)) == 1
