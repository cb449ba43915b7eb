"""What a finished detector keeps of the images it learned from."""

import numpy as np
import pandas as pd
import pytest
from base_params import BASE

from flawline.detector import making
from flawline.detector.making import figures_learned, files_learned, learned_from
from flawline.intake.measuring import Measurements, measure
from flawline.storage.ragged import RaggedArray, write_ragged
from flawline.vision.appearance import FIGURES, appearance_of


@pytest.mark.parametrize("patches", [False, True])
def test_ends_of_strips_are_cut_and_patches_of_strips_are_not(tmp_path, patches):
    write_ragged(tmp_path / "images", [np.zeros((1, 32, 32), np.uint8)] * 2)
    manifest = pd.DataFrame(
        {"image": ["a", "b"], "split": "train", "layout": "aitex", "height": 32, "width": 32, "bits": 8}
    )
    manifest = manifest.assign(source="strip") if patches else manifest
    found = learned_from(RaggedArray(tmp_path / "images"), manifest, BASE.registration, aligned=False)
    assert found["trim_ends"] is not patches


@pytest.fixture
def photographs():
    rng = np.random.default_rng(0)
    return [(rng.integers(0, 4096, (1, 40, 40)) * (k + 1) / 4).astype(np.uint16) for k in range(4)]


def figures_of(tmp_path, photographs, stored, **columns):
    """Return what a detector keeps of three photographs of 12 bits that it was made of and one that was tested."""
    measured = Measurements.of((measure(each, str(k)) for k, each in reversed(list(enumerate(photographs)))), "key")
    write_ragged(tmp_path / "images", stored)
    manifest = pd.DataFrame({"image": list("abcd"), "split": ["train", "test", "validation", "calibration"], "bits": 12,
                             "sha256": list("0123"), "page": 0, **columns})  # fmt: skip
    return figures_learned(RaggedArray(tmp_path / "images"), manifest, measured)["training_figures"]


def test_figures_are_those_of_the_photographs_though_others_are_stored(tmp_path, photographs):
    found = figures_of(tmp_path, photographs, [np.zeros((1, 8, 8), np.uint16)] * 4)
    wanted = [appearance_of(photographs[k], 12) for k in (0, 2, 3)]
    assert tuple(found) == FIGURES
    for name in FIGURES:
        assert found[name] == pytest.approx([each[name] for each in wanted], rel=1e-5), name


def test_figures_of_patches_are_their_own(tmp_path, photographs):
    patches = [np.full((1, 8, 8), 40 * k, np.uint8) for k in range(4)]
    found = figures_of(tmp_path, photographs, patches, source="strip")
    assert found["shadows"] == (0.0, 80.0, 120.0)


def test_of_many_images_some_at_even_steps_stand_for_all(tmp_path, photographs, monkeypatch):
    monkeypatch.setattr(making, "MOST_FIGURES", 2)
    found = figures_of(tmp_path, photographs, photographs)
    assert found["focus"] == tuple(appearance_of(photographs[k], 12)["focus"] for k in (0, 3))


def test_files_that_were_learned_from_are_told_by_how_their_digests_begin():
    digests = [f"{k}" * 64 for k in "cabbd"]
    splits = ["train", "test", "calibration", "calibration", "validation"]
    manifest = pd.DataFrame({"image": list("12345"), "split": splits, "sha256": digests})
    assert files_learned(manifest) == {"learned": ("b" * 16, "c" * 16, "d" * 16)}
