import numpy as np
import pandas as pd
import pytest
from defect_images import PARAMS, rng

from flawline.checks import FlawlineError
from flawline.pipelines.defect_injection.nodes import (
    DrawnOnce,
    draw_gallery,
    inject_defects,
    make_inject_defects,
    normal_rows,
    tabulate_defects,
)
from flawline.storage.ragged import RaggedArray, write_ragged
from flawline.vision.defects import PseudoDefects, injection
from flawline.vision.defects.injection import spread

SPLITS = ("train", "validation", "calibration", "test")


@pytest.fixture
def images():
    return [rng(i).integers(0, 256, (1, 48, 48), dtype=np.uint8) for i in range(8)]


@pytest.fixture
def manifest():
    """Two images of each split; of the test, one is defective."""
    rows = [(f"{split}/{i}.png", split, int(split == "test" and i)) for split in SPLITS for i in range(2)]
    return pd.DataFrame(rows, columns=["image", "split", "label"])


@pytest.fixture
def injected(tmp_path, images, manifest):
    """A function that injects and stores: it returns the images, the masks and the table of the defects."""

    def stored(params, node=inject_defects):
        for name, made in zip(("images", "masks"), node(images, manifest, params, 0), strict=True):
            write_ragged(tmp_path / name, made)
        made, masks = (RaggedArray(tmp_path / name) for name in ("images", "masks"))
        return made, masks, tabulate_defects(made)

    return stored


@pytest.mark.parametrize("split", SPLITS)
def test_any_split_can_be_damaged_but_for_its_defective_images(images, manifest, injected, split):
    made, masks, table = injected(PARAMS.but(split=split, per_image=3))
    normal = [name for name in manifest["image"] if name.startswith(split) and name != "test/1.png"]
    assert table["image"].tolist() == [name for name in normal for _ in range(3)]
    assert len(made) == len(masks) == len(table)
    for i, name in enumerate(table["image"]):
        before = images[manifest["image"].tolist().index(name)]
        np.testing.assert_array_equal(made[i][:, ~masks[i]], before[:, ~masks[i]])


def test_every_number_of_each_defect_stands_in_its_row(injected):
    table = injected(PARAMS.but(per_image=len(PARAMS.kinds), region="disk"))[2].set_index("kind")
    assert set(table.index) == set(PARAMS.kinds)
    julia = ["family", "alpha", "beta", "dx", "dy", "cx", "cy", "zoom", "width", "height", "below", "weight"]
    wanted = {"elastic": ["amplitude", "smoothness"], "line": ["angle", "jitter"], "gaussian": ["sigma"],
              "poisson": ["photons"], "julia": julia, "patch": ["x", "y", "source_x", "brightness"],
              "scar": ["angle", "source_y", "contrast"], "blend": ["opacity", "share"],
              "stain": ["colour", "outline"]}  # fmt: skip
    for kind, names in wanted.items():
        assert table.loc[kind, names].notna().all(axis=None)
        assert table.loc[kind, ["centre", "radius", "changed"]].notna().all(axis=None)


def test_a_training_damages_its_own_split_whatever_the_parameters_say(manifest, injected):
    table = injected(PARAMS.but(split="test"), make_inject_defects(("validation", "train")))[2]
    assert set(table.loc[table["split"] == "validation", "image"]) == {"validation/0.png", "validation/1.png"}
    assert set(table["split"]) == {"validation", "train"}
    assert len(table) == PARAMS.per_image * (manifest["split"].isin(["validation", "train"])).sum()


def test_no_more_are_made_than_asked_for_spread_over_the_images(injected):
    made, masks, table = injected(PARAMS.but(split="validation", per_image=1, most=1))
    assert len(made) == len(masks) == len(table) == 1
    assert spread(10, 4) == [0, 2, 5, 7]
    assert spread(3, 4) == [0, 1, 2]


def test_each_defect_is_drawn_once(injected, monkeypatch):
    drawn = []
    inject = injection.inject
    monkeypatch.setattr(injection, "inject", lambda *given: drawn.append(1) or inject(*given))
    made, _, _ = injected(PARAMS.but(per_image=3))
    assert len(drawn) == len(made) == 6


def test_masks_are_the_same_with_and_without_their_images_before(images):
    defects = PseudoDefects(images, PARAMS.but(per_image=2), seed=0)
    once = DrawnOnce(defects)
    for i in (0, 3):
        np.testing.assert_array_equal(once.draw(i).image, defects[i].image)
    for i in (0, 1, 3, 3):
        np.testing.assert_array_equal(once.mask(i), defects[i].mask)
        assert once.mask(i).dtype == bool


def test_split_without_normal_images_names_those_that_have_some(manifest):
    some = manifest[manifest["split"] != "validation"].reset_index(drop=True)
    with pytest.raises(FlawlineError, match=r"'validation' has none; calibration, test, train has.*Set defect_inj"):
        normal_rows(some, "validation")


def test_gallery_shows_one_of_each_kind_and_family(images, manifest, injected):
    params = PARAMS.but(per_image=2, kinds=("line", "blend"))
    one = draw_gallery(images, manifest, *injected(params.but(kinds=("line",))))
    two = draw_gallery(images, manifest, *injected(params))
    assert one.mode == two.mode == "RGB"
    assert two.width == pytest.approx(2 * one.width, abs=10)
    assert one.height == two.height


def test_the_stage_writes_the_gallery_and_damages_the_split_that_is_asked_for(finished_once, finished):
    assert finished_once.load("pseudo_gallery").width > 300
    manifest = finished.load("manifest")
    finished.run("defect_injection", **{"defect_injection.split": "train"})
    made = finished.load("pseudo_defects")
    assert set(made["image"]) == set(manifest.loc[manifest["split"] == "train", "image"])
