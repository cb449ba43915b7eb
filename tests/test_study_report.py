"""What a study takes from the registry of methods for its sentences."""

import numpy as np
import pandas as pd

from flawline.methods.published import published_for
from flawline.methods.registry import PAPERS
from flawline.study_report import findings, notes, show_category, simple_first

RESULTS = pd.DataFrame({"category": ["chess"] * 2, "method": ["cae", "vae"], "shortcut": np.nan})
BOLT = "bolt: its figures may measure a shortcut in the data (label by mean 1.000); see its page."


def test_notes_say_that_published_images_are_others():
    parameters = {"cae": {"train": {}}, "vae": {"train": {}}}
    rows = published_for("chess")
    assert notes(RESULTS, rows, parameters)[0] == PAPERS["schneider2022"].note
    assert notes(RESULTS, rows[:0], parameters) == []


def test_only_autoencoders_must_share_their_settings():
    """A method of another kind has no patches to cut as the first has them."""
    others = RESULTS.assign(category="bolt", method=["cae", "patch_memory"], shortcut="label by mean 1.000")
    assert notes(others, published_for("brick"), {"cae": {"train": {"epochs": 1}}, "patch_memory": {}}) == [BOLT]


def test_simple_methods_come_first():
    methods = ["cae", "cpcae", "ae_l2", "nearest_neighbour", "mean_image", "patch_memory", "patch_memory_map",
               "patch_memory_fused", "patch_gaussian"]  # fmt: skip
    untrained = ["nearest_neighbour", "mean_image", "patch_memory", "patch_gaussian"]
    assert simple_first(methods) == [*untrained, "cae", "cpcae", "ae_l2", "patch_memory_map", "patch_memory_fused"]


def test_of_equals_the_one_that_trains_nothing_is_recommended():
    names = ["cpcae", "patch_memory_fused", "patch_gaussian"]
    rows = [(category, 0, name, 1.0) for category in ("bolt", "nut", "pin") for name in names]
    said = findings(pd.DataFrame(rows, columns=["category", "seed", "method", "image_auroc"]))
    assert any(sentence.startswith("Over all categories patch_gaussian has") for sentence in said)


class Held(dict):
    """A catalog that holds some datasets."""

    load = dict.__getitem__


def test_a_network_that_reconstructs_nothing_is_shown_without_reconstructions():
    image = np.full((1, 8, 8), 100, np.uint8)
    manifest = pd.DataFrame({"image": ["good/0.png", "cut/1.png"], "split": ["train", "test"], "label": [0, 1]})
    mask = np.zeros((8, 8), bool)
    mask[2:4, 2:4] = True
    values = {"oracle_pixel_threshold": 0.5, "raw_oracle_pixel_threshold": 0.5}
    catalog = Held({
        "usable_manifest": manifest, "images": [image, image], "masks": [np.zeros((0, 0), bool), mask],
        "deep_svdd.maps": [mask.astype(np.float16)], "deep_svdd.residuals": [image[0]] * 2,
        "deep_svdd.metrics": {"values": values}, "deep_svdd.sample_reconstructions": {},
        "deep_svdd.patch_losses": pd.DataFrame({"mask_share": [0.0], "loss": [0.1]}),
    })  # fmt: skip
    shown = show_category("bolt", catalog, ["deep_svdd"])
    assert shown.sample_reconstructions == {}
    np.testing.assert_array_equal(shown.flagged["deep_svdd"], mask)
