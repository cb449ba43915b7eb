import numpy as np
import pandas as pd
import pytest
from base_params import BASE

from flawline.checks import FlawlineError
from flawline.intake.patch_sets import candidates, make_patch_set

SMALL = BASE.patch_set.but(size=8, normal=20, test=0.3, validation=0.2, calibration=0.3)
COUNTS = {"train": 7, "validation": 3, "calibration": 4, "test": 6}


def material(seed, height=32, width=64):
    return np.random.default_rng(seed).integers(80, 120, (1, height, width), dtype=np.uint8)


def made_of(count, defective=()):
    """Images of 32 x 64 pixels, that is 32 patches of 8; the defective ones have 3 pixels of a mask in one patch."""
    images = [material(i) for i in range(count)]
    masks = [np.zeros((0, 0), bool) for _ in range(count)]
    for i in defective:
        masks[i] = np.zeros((32, 64), bool)
        masks[i][9, 17:20] = True
    labels = [int(i in defective) for i in range(count)]
    names = [f"{i}.png" for i in range(count)]
    manifest = pd.DataFrame(
        {"image": names, "page": 0, "label": labels, "defect": ["cut" if i else "good" for i in labels], "group": names,
         "split": ["test" if i else "train" for i in labels], "sha256": names, "mask": names, "height": 32, "width": 64}
    )  # fmt: skip
    return images, masks, manifest


def patches(protocol, material=None, params=SMALL, **more):
    images, masks, manifest = material or made_of(9, defective=(6, 7, 8))
    return make_patch_set(images, masks, manifest, params, protocol=protocol, **more)


# --- which windows there are -----------------------------------------------------------------------------------------
def test_window_is_defective_from_one_pixel_on_and_normal_without_any():
    found = candidates(*made_of(2, defective=(1,)), SMALL)
    assert len(found) == 64
    assert found[found["label"] == 1][["row", "y", "x", "defective"]].to_numpy().tolist() == [[1, 8, 16, 3]]


@pytest.mark.parametrize("rule", [{"least_pixels": 4}, {"least_share": 0.05}])
def test_window_with_too_few_defective_pixels_is_neither(rule):
    found = candidates(*made_of(2, defective=(1,)), SMALL.but(**rule))
    assert len(found) == 63
    assert (found["label"] == 0).all()


def test_bare_window_is_no_normal_one():
    images, masks, manifest = made_of(1)
    images[0][:, :, 32:] = 255
    assert len(candidates(images, masks, manifest, SMALL)) == 16


def test_windows_of_a_defective_image_without_a_mask_are_unknown():
    images, masks, manifest = made_of(2, defective=(1,))
    masks[1] = np.zeros((0, 0), bool)
    assert candidates(images, masks, manifest, SMALL)["row"].unique().tolist() == [0]


def test_nothing_but_background_is_refused():
    images, masks, manifest = made_of(1)
    images[0][:] = 255
    with pytest.raises(FlawlineError, match="no window of 8 x 8 pixels of 1 images shows material"):
        candidates(images, masks, manifest, SMALL)


# --- patches ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("protocol", ["leak_free", "within_images"])
def test_patches_are_windows_of_their_images_with_their_masks(protocol):
    images, _, _ = made_of(9, defective=(6, 7, 8))
    found, found_masks, table = patches(protocol)
    assert len(found) == len(found_masks) == len(table)
    for i, row in table.iterrows():
        source = int(row["source"].removesuffix(".png"))
        y, x = row["y"], row["x"]
        np.testing.assert_array_equal(found[i], images[source][:, y : y + 8, x : x + 8])
        assert found_masks[i].sum() == (3 if row["label"] else 0)
    assert table["image"].is_unique
    assert table.loc[table["label"] == 1, "mask_share"].tolist() == [3 / 64] * int(table["label"].sum())


@pytest.mark.parametrize("protocol", ["leak_free", "within_images"])
def test_every_split_has_its_share_and_no_patch_is_in_two(protocol):
    _, _, table = patches(protocol)
    normal = table[table["label"] == 0]
    assert normal["split"].value_counts().to_dict() == COUNTS
    assert not normal.duplicated(["source", "y", "x"]).any()
    assert (table.loc[table["label"] == 1, "split"] == "test").all()


def test_leak_free_tests_on_images_that_were_not_learned_from():
    for seed in range(5):
        _, _, table = patches("leak_free", params=SMALL.but(seed=seed))
        sides = table["split"].replace("validation", "train")
        assert not sides.groupby(table["source"]).agg(set).map(len).gt(1).any()
        assert table["label"].sum() == 1  # of three defective images one is tested on, with its one defective patch


def test_leak_free_learns_from_normal_images_and_from_clean_parts_of_defective_ones():
    _, _, table = patches("leak_free")
    learned = table.loc[table["split"].isin(["train", "validation"]), "source"]
    assert learned.isin(["6.png", "7.png", "8.png"]).any()
    assert learned.isin([f"{i}.png" for i in range(6)]).any()


def test_leak_free_keeps_groups_and_near_duplicates_on_one_side():
    images, masks, manifest = made_of(9, defective=(6, 7, 8))
    manifest["group"] = [f"item {i // 2}" for i in range(9)]
    pairs = pd.DataFrame({"image": ["0.png"], "duplicate": ["5.png"]})
    for seed in range(5):
        params = SMALL.but(seed=seed, normal=12)
        _, _, table = patches("leak_free", (images, masks, manifest), params, near_duplicates=pairs)
        sides = table["split"].replace("validation", "train")
        numbers = table["source"].str.removesuffix(".png").astype(int) // 2
        assert (
            not sides.groupby(numbers.replace(2, 0)).agg(set).map(len).gt(1).any()
        )  # item 2 holds 5.png, item 0 holds 0.png


def test_within_images_has_all_defective_patches():
    assert patches("within_images")[2]["label"].sum() == 3


def test_as_published_tests_on_normal_patches_that_were_learned_from_and_ignores_normal_images():
    material = made_of(62, defective=range(60))
    _, _, table = patches("as_published", material, SMALL.but(normal=1600))
    normal = table[table["label"] == 0]
    assert normal["split"].value_counts().to_dict() == {
        "train": 1120, "test": 360, "calibration": 320, "validation": 160,
    }  # fmt: skip
    assert table["image"].is_unique
    assert not table["source"].isin(["60.png", "61.png"]).any()
    keys = normal[["source", "y", "x"]].apply(tuple, axis=1)
    assert set(keys[normal["split"] == "test"]) <= set(keys[normal["split"] == "train"])
    assert (normal["image"].str.endswith("+")).sum() == 360


def test_same_seed_draws_the_same_patches_and_another_one_others():
    first, again, other = (patches("leak_free", params=SMALL.but(seed=seed))[2] for seed in (0, 0, 1))
    pd.testing.assert_frame_equal(first, again)
    assert set(first["image"]) != set(other["image"])


# --- what cannot be --------------------------------------------------------------------------------------------------
def test_fewer_patches_than_asked_for_are_refused():
    with pytest.raises(FlawlineError, match=r"asks for 500 normal patches of all images, there are 285. Set patch_set"):
        patches("within_images", params=SMALL.but(normal=500))


def test_too_few_images_for_leak_free_name_the_other_protocol():
    with pytest.raises(FlawlineError, match=r"at least 3 images.*protocol=within_images"):
        patches("leak_free", made_of(2))


def test_as_published_takes_the_same_shares_of_fewer_patches():
    _, _, table = patches("as_published", made_of(20, defective=range(20)), SMALL.but(normal=100))
    assert table.loc[table["label"] == 0, "split"].value_counts().to_dict() == {
        "train": 70, "test": 23, "calibration": 20, "validation": 10,
    }  # fmt: skip


def test_as_published_needs_a_patch_for_each_purpose():
    with pytest.raises(FlawlineError, match=r"patch_set.normal must be at least 5, got 4"):
        patches("as_published", params=SMALL.but(normal=4, test=0.3, validation=0.3, calibration=0.3))


@pytest.mark.parametrize(
    ("changes", "said"),
    [({"normal": 4, "test": 0.1}, "leave none for test"),
     ({"validation": 0.6, "calibration": 0.5}, "must stay below 1"),
     ({"least_pixels": 65}, "must not exceed the 64 pixels")],
)  # fmt: skip
def test_parameters_that_cannot_be_are_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        SMALL.but(**changes)
