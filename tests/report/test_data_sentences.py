import pandas as pd

from flawline.report.data_contents import with_splits
from flawline.report.data_sentences import data_cautions, data_found, groups_on_two_sides, nearly_full_masks

NOTHING = pd.DataFrame(columns=["path", "reason"])
NO_MASKS = pd.DataFrame(columns=["format", "marked", "height", "width"])
NO_SHORTCUT = pd.DataFrame(columns=["question", "feature", "auroc", "direction", "flagged"])


def pairs_of(manifest, *pairs):
    near_duplicates = pd.DataFrame(
        [(*pair, "near", 0.97) for pair in pairs], columns=["image", "duplicate", "kind", "likeness"]
    )
    return with_splits(near_duplicates, manifest)


def test_cautions_name_pairs_on_two_sides_and_shared_groups(manifest):
    pairs = pairs_of(manifest, ("k1/0", "k2/0"), ("k1/0", "k3/0"))
    near, shared = data_cautions(manifest, NO_MASKS, pairs, NO_SHORTCUT)
    assert near == "1 near-identical pair lies on both sides of train and test, for one k1/0 and k2/0."
    assert shared.startswith(
        "1 of the defective test images are of a group (item, strip) whose good images are learned from"
    )


def test_no_caution_where_nothing_is_wrong(manifest):
    assert data_cautions(manifest[manifest["group"] != "k1"], NO_MASKS, pairs_of(manifest), NO_SHORTCUT) == []


def test_no_defective_image_is_said(manifest):
    (said,) = data_cautions(manifest[manifest["label"] == 0], NO_MASKS, pairs_of(manifest), NO_SHORTCUT)
    assert said.startswith("There is no defective image")


def test_contradicting_pair_and_missing_normal_test_images_are_said(manifest):
    lost = manifest.drop(index=2)
    said = data_cautions(lost.assign(group=lost["image"]), NO_MASKS, pairs_of(lost), NO_SHORTCUT)
    assert said == ["There is no normal test image, so nothing says how many good parts a detector would reject."]
    pairs = pairs_of(manifest, ("k2/0", "k2/1"))
    said = data_cautions(manifest.assign(group=manifest["image"]), NO_MASKS, pairs, NO_SHORTCUT)
    assert said == [
        "1 pair of a good and a defective image, nearly the same, for one k2/0 and k2/1: is one in the wrong folder?"
    ]


def test_masks_that_mark_nearly_all_are_counted():
    masks = pd.DataFrame({"format": ["mask", "mask", "PNG"], "marked": [91, 90, 0], "height": 10, "width": 10})
    assert nearly_full_masks(masks) == 1


def test_only_groups_that_are_learned_from_count(manifest):
    assert groups_on_two_sides(manifest) == 1
    assert groups_on_two_sides(manifest.assign(group=manifest["image"])) == 0


def test_sentences_by_hand(manifest):
    assert data_found(manifest.assign(layout="kolektorsdd"), NOTHING, pairs_of(manifest)) == [
        "5 images: 1 train, 1 calibration, 3 test.",
        "3 are normal, 2 defective; layout kolektorsdd.",
        "1 of the defective images have no mask: they count by image, not by pixel.",
        "0 files in quarantine.",
    ]
