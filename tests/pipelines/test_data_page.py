import numpy as np
import pandas as pd
import pytest

from flawline.pipelines.ingestion.page import (
    count_defects,
    count_sizes,
    data_cautions,
    found,
    groups_on_two_sides,
    in_proportion,
    nearly_full_masks,
    thumbnails,
    with_splits,
)

NOTHING = pd.DataFrame(columns=["path", "reason"])
NO_MASKS = pd.DataFrame(columns=["format", "marked", "height", "width"])
NO_SHORTCUT = pd.DataFrame(columns=["question", "feature", "auroc", "direction", "flagged"])


@pytest.fixture
def manifest():
    """Two items: of the first a good part is learned from, of the second only tested on."""
    rows = [
        ("k1/0", "train", 0, "good", "k1", None),
        ("k1/1", "test", 1, "dent", "k1", "m"),
        ("k2/0", "test", 0, "good", "k2", None),
        ("k2/1", "test", 1, "hole", "k2", None),
        ("k3/0", "calibration", 0, "good", "k3", None),
    ]
    table = pd.DataFrame(rows, columns=["image", "split", "label", "defect", "group", "mask"])
    return table.assign(height=[4, 4, 4, 6, 4], width=5, channels=1, depth=8)


def pairs_of(manifest, *pairs):
    near_duplicates = pd.DataFrame(
        [(*pair, "near", 0.97) for pair in pairs], columns=["image", "duplicate", "kind", "likeness"]
    )
    return with_splits(near_duplicates, manifest)


def test_pairs_get_splits_and_labels_and_lose_what_is_in_quarantine(manifest):
    (pair,) = pairs_of(manifest, ("k1/0", "k2/1"), ("k1/0", "gone")).to_dict("records")
    assert (pair["split"], pair["duplicate_split"], pair["label"], pair["duplicate_label"]) == ("train", "test", 0, 1)


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
    assert found(manifest, NOTHING, pairs_of(manifest), "kolektorsdd") == [
        "5 images: 1 train, 1 calibration, 3 test.",
        "3 are normal, 2 defective; layout kolektorsdd.",
        "1 of the defective images have no mask: they count by image, not by pixel.",
        "0 files in quarantine.",
    ]


def test_counts_by_hand(manifest):
    assert count_defects(manifest).to_numpy().tolist() == [["dent", 1, 1], ["hole", 1, 0]]
    assert count_sizes(manifest).to_numpy().tolist() == [[4, 5, 1, 8, 4], [6, 5, 1, 8, 1]]


@pytest.mark.parametrize(
    ("size", "shape"),
    [((300, 300), (128, 128)), ((100, 200), (64, 128)), ((256, 1024), (64, 256)), ((10, 4000), (32, 256))],
)
def test_small_pictures_have_their_images_proportions(size, shape):
    assert in_proportion(np.zeros((128, 128), np.uint8), *size).shape == shape


def test_groups_come_in_the_order_of_the_splits(manifest):
    shown = thumbnails(manifest, lambda name: np.zeros((2, 2), np.uint8))
    assert [(each.group, each.name) for each in shown] == [
        ("train good", "k1/0"),
        ("calibration good", "k3/0"),
        ("test dent", "k1/1"),
        ("test good", "k2/0"),
        ("test hole", "k2/1"),
    ]


def test_many_images_are_shown_by_a_few_spread_over_all():
    rows = {"image": [f"{i:03}" for i in range(100)], "split": "train", "defect": "good"}
    names = [each.name for each in thumbnails(pd.DataFrame(rows), lambda name: np.zeros((2, 2), np.uint8))]
    assert len(names) == 8
    assert (names[0], names[-1]) == ("000", "099")
