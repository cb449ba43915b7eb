from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from kedro_datasets.pandas import CSVDataset
from PIL import Image

from flawline.checks import FlawlineError
from flawline.params import SplitParams
from flawline.vision.layouts import list_raw_files
from flawline.vision.manifest import (
    COLUMNS,
    assign_splits,
    build_manifest,
    count_images,
    read_raw_files,
    rows_of,
)

NOTHING = pd.DataFrame(columns=["path", "reason"])
CATALOG = Path(__file__).parents[2] / "conf" / "base" / "catalog" / "intermediate.yml"


def make_rows(*images):
    """Return rows of (image, split, label, digest)."""
    names = ("image", "split", "label", "sha256")
    return pd.DataFrame([dict(zip(names, image, strict=True)) | {"depth": 8} for image in images], columns=COLUMNS)


def normals(count, *, split=None, start=0):
    return [(f"good/{i:04}.png", split, 0, f"d{i}") for i in range(start, start + count)]


def draw(path, *, size=(6, 8), seed=0, mask=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size, np.uint8) if mask is None else mask
    Image.fromarray(pixels).save(path)


def read(folder):
    return read_raw_files(folder, list_raw_files(folder), max_pixels=10_000)


def sizes(manifest):
    return manifest["split"].value_counts().to_dict()


# --- splits ----------------------------------------------------------------------------------------------------------
def test_shares_are_of_all_normal_images():
    splits = SplitParams(validation=0.1, calibration=0.2, test=0.2)
    manifest = assign_splits(make_rows(*normals(100)), splits)
    assert sizes(manifest) == {"train": 50, "test": 20, "calibration": 20, "validation": 10}


def test_at_least_one_image_in_each_split():
    manifest = assign_splits(make_rows(*normals(4)), SplitParams(validation=0.01, calibration=0.01, test=0.01))
    assert sizes(manifest) == {"train": 1, "test": 1, "calibration": 1, "validation": 1}


def test_share_of_zero_holds_nothing_out():
    manifest = assign_splits(make_rows(*normals(3)), SplitParams(validation=0.2, calibration=0.2, test=0))
    assert sizes(manifest) == {"train": 1, "validation": 1, "calibration": 1}


def test_defective_images_do_not_keep_normal_ones_out_of_the_test_split():
    rows = make_rows(*normals(10), ("scratch/0.png", None, 1, "x"))
    manifest = assign_splits(rows, SplitParams(validation=0.1, calibration=0.2, test=0.2))
    counts = count_images(manifest).set_index("split")
    assert counts.loc["test"].to_dict() == {"normal": 2, "defective": 1}
    assert counts["normal"].sum() == 10


def test_data_sets_own_splits_stay_and_its_test_is_the_only_one():
    rows = make_rows(*normals(10, split="train"), ("test/good/0.png", "test", 0, "t"), ("test/s/0.png", "test", 1, "s"))
    manifest = assign_splits(rows, SplitParams(validation=0.1, calibration=0.2, test=0.2))
    assert sizes(manifest) == {"train": 7, "calibration": 2, "test": 2, "validation": 1}
    assert manifest.set_index("image")["split"]["test/good/0.png"] == "test"


def test_all_splits_are_the_data_sets_own():
    own = ["train", "validation", "calibration", "test"]
    rows = make_rows(*((f"{split}/good/0.png", split, 0, split) for split in own))
    manifest = assign_splits(rows, SplitParams())
    assert manifest.set_index("image")["split"].to_dict() == {f"{split}/good/0.png": split for split in own}


def test_data_set_without_a_test_folder_gets_none():
    manifest = assign_splits(make_rows(*normals(10, split="train")), SplitParams(test=0.5))
    assert "test" not in sizes(manifest)


@given(
    st.integers(4, 60),
    st.floats(0.001, 0.33),
    st.floats(0.001, 0.33),
    st.floats(0, 0.33),
    st.integers(0, 2**32 - 1),
)
def test_every_image_has_one_split_and_train_is_never_empty(count, validation, calibration, test, seed):
    splits = SplitParams(validation=validation, calibration=calibration, test=test, seed=seed)
    manifest = assign_splits(make_rows(*normals(count)), splits)
    found = sizes(manifest)
    assert sum(found.values()) == count
    assert found["train"] >= 1
    for name in ("validation", "calibration", "test"):
        share = getattr(splits, name)
        assert (found.get(name, 0) > 0) == (share > 0)
        assert found.get(name, 0) <= max(1, round(share * count))


def test_splits_follow_the_seed_and_not_the_order_of_the_rows():
    rows = make_rows(*normals(30))
    first = assign_splits(rows, SplitParams(seed=0))
    pd.testing.assert_frame_equal(first, assign_splits(rows[::-1], SplitParams(seed=0)))
    assert (first["split"] != assign_splits(rows, SplitParams(seed=1))["split"]).any()


def test_byte_identical_images_stay_together():
    rows = make_rows(*((f"good/{i:02}.png", None, 0, f"d{i % 5}") for i in range(20)))
    for seed in range(5):
        manifest = assign_splits(rows, SplitParams(seed=seed))
        assert not manifest[["sha256", "split"]].drop_duplicates()["sha256"].duplicated().any()
        assert set(manifest["split"]) == {"train", "validation", "calibration", "test"}


def test_too_few_different_images_says_how_many_are_wanted():
    rows = make_rows(*((f"good/{i}.png", None, 0, f"d{i % 3}") for i in range(9)))
    wanted = "wanted at least 4 different ones, one each for train, test, validation, calibration; got 3. Add normal"
    with pytest.raises(FlawlineError, match=wanted):
        assign_splits(rows, SplitParams())


def test_no_normal_image_left_names_the_first_reason():
    quarantine = pd.DataFrame({"path": ["good/b.png", "good/a.png"], "reason": ["is damaged", "is empty (0 bytes)"]})
    with pytest.raises(FlawlineError, match=r"got 0\..* quarantine: 2, the first: good/a.png is empty \(0 bytes\)\."):
        build_manifest(make_rows(("s/0.png", None, 1, "x")), quarantine, SplitParams())
    with pytest.raises(FlawlineError, match=r"got 0\..* No file is in quarantine\."):
        build_manifest(make_rows(), NOTHING, SplitParams())


# --- leaks -----------------------------------------------------------------------------------------------------------
def test_train_image_identical_to_an_own_test_image_is_quarantined():
    rows = make_rows(*normals(6, split="train"), ("test/good/9.png", "test", 0, "d3"))
    manifest, quarantine = build_manifest(rows, NOTHING, SplitParams())
    assert quarantine.to_dict("records") == [
        {"path": "good/0003.png", "reason": "is identical to the test image test/good/9.png"}
    ]
    assert "good/0003.png" not in set(manifest["image"])
    assert len(manifest) == 6


def test_normal_image_identical_to_a_defective_one_is_quarantined():
    rows = make_rows(*normals(6), ("scratch/9.png", None, 1, "d0"))
    manifest, quarantine = build_manifest(rows, NOTHING, SplitParams())
    assert quarantine["reason"].tolist() == ["is identical to the test image scratch/9.png"]
    assert manifest["label"].tolist() == [0] * 5 + [1]


def test_images_are_never_shared_between_own_held_out_splits():
    rows = make_rows(
        *normals(4, split="train"),
        ("validation/good/a.png", "validation", 0, "d0"),
        ("validation/good/b.png", "validation", 0, "v"),
        ("calibration/good/a.png", "calibration", 0, "v"),
    )
    manifest, quarantine = build_manifest(rows, NOTHING, SplitParams())
    assert dict(quarantine.itertuples(index=False)) == {
        "good/0000.png": "is identical to the validation image validation/good/a.png",
        "validation/good/b.png": "is identical to the calibration image calibration/good/a.png",
    }
    assert not manifest[["sha256", "split"]].drop_duplicates()["sha256"].duplicated().any()


def test_twins_within_a_split_are_no_leak():
    rows = make_rows(*normals(4), ("good/twin.png", None, 0, "d0"))
    manifest, quarantine = build_manifest(rows, NOTHING, SplitParams())
    assert quarantine.empty
    assert len(manifest) == 5


def test_images_of_another_depth_than_most_normal_ones_are_quarantined():
    rows = make_rows(*normals(6), ("s/0.png", None, 1, "x"))
    rows.loc[[2, 6], "depth"] = 16
    manifest, quarantine = build_manifest(rows, NOTHING, SplitParams())
    reason = "has 16 bits a channel; most normal images have 8"
    assert dict(quarantine.itertuples(index=False)) == {"good/0002.png": reason, "s/0.png": reason}
    assert set(manifest["depth"]) == {8}


# --- reading ---------------------------------------------------------------------------------------------------------
def test_row_of_an_image_by_hand(tmp_path):
    draw(tmp_path / "good" / "a.png", size=(6, 8))
    rows, quarantine = read(tmp_path)
    row = rows.to_dict("records")[0]
    assert quarantine.empty
    assert list(rows.columns) == COLUMNS
    assert {name: row[name] for name in ("channels", "height", "width", "depth", "label", "defect")} == {
        "channels": 1, "height": 6, "width": 8, "depth": 8, "label": 0, "defect": "good",
    }  # fmt: skip
    assert row["bytes"] == (tmp_path / "good" / "a.png").stat().st_size


def test_unreadable_images_among_good_ones_are_quarantined(tmp_path):
    for i in range(4):
        draw(tmp_path / "good" / f"{i}.png", seed=i)
    content = (tmp_path / "good" / "0.png").read_bytes()
    (tmp_path / "good" / "cut.png").write_bytes(content[: len(content) // 2])
    (tmp_path / "good" / "empty.png").touch()
    (tmp_path / "good" / "notes.txt").write_text("hello")
    (tmp_path / "good" / "text.png").write_text("hello")
    manifest, quarantine = build_manifest(*read(tmp_path), SplitParams())
    reasons = dict(quarantine.itertuples(index=False))
    assert list(reasons) == ["good/cut.png", "good/empty.png", "good/notes.txt", "good/text.png"]
    assert reasons["good/cut.png"].startswith("is damaged (")
    assert reasons["good/empty.png"] == "is empty (0 bytes)"
    assert reasons["good/notes.txt"] == "is not an image"
    assert reasons["good/text.png"].startswith("is not an image in one of the formats")
    assert len(manifest) == 4


@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (np.ones((5, 8), np.uint8), "its mask 0_mask.png has size 5 x 8, the image 6 x 8"),
        (np.zeros((6, 8), np.uint8), "its mask 0_mask.png marks no pixel, though the image counts as defective"),
    ],
)
def test_useless_mask_quarantines_its_image(tmp_path, mask, reason):
    draw(tmp_path / "good" / "0.png")
    draw(tmp_path / "scratch" / "0.png", seed=1)
    draw(tmp_path / "masks" / "scratch" / "0_mask.png", mask=mask)
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["good/0.png"]
    assert quarantine.to_dict("records") == [{"path": "scratch/0.png", "reason": reason}]


def test_unreadable_mask_quarantines_its_image(tmp_path):
    draw(tmp_path / "good" / "0.png")
    draw(tmp_path / "scratch" / "0.png", seed=1)
    (tmp_path / "masks" / "scratch").mkdir(parents=True)
    (tmp_path / "masks" / "scratch" / "0.png").touch()
    assert read(tmp_path)[1]["reason"].tolist() == ["its mask 0.png is empty (0 bytes)"]


def test_smallest_image_and_forbidden_one(tmp_path, monkeypatch):
    draw(tmp_path / "good" / "a.png", size=(1, 1))
    draw(tmp_path / "good" / "b.png")
    real = Path.read_bytes

    def read_bytes(path):
        if path.name == "b.png":
            raise PermissionError(13, "Permission denied")
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", read_bytes)
    rows, quarantine = read(tmp_path)
    assert rows[["height", "width"]].to_numpy().tolist() == [[1, 1]]
    assert quarantine["reason"].tolist() == ["cannot be opened: Permission denied"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a\nb.png", "a\\nb.png"),
        ("a\rb.png", "a\\rb.png"),
        ("k\udce4se.png", "k\\udce4se.png"),
        ("\x7f.png", "\\x7f.png"),
    ],
)
def test_names_that_no_table_can_hold_are_quarantined(tmp_path, name, shown):
    draw(tmp_path / "good" / "a.png")
    draw(tmp_path / "good" / "b.png")
    (tmp_path / "good" / "b.png").rename(tmp_path / "good" / name)
    rows, quarantine = read(tmp_path)
    assert rows["image"].tolist() == ["good/a.png"]
    reason = "its name holds characters that a table cannot; rename it"
    assert quarantine.to_dict("records") == [{"path": f"good/{shown}", "reason": reason}]


# --- the manifest as a file ------------------------------------------------------------------------------------------
def test_csv_round_trip_with_the_catalogs_own_options(tmp_path):
    entry = yaml.safe_load(CATALOG.read_text())["manifest"]
    names = ['a "b", c;.png', " ä 検査\u202f.png", "NA.png", "0012.png", "'=1+1.png"]
    for i, name in enumerate(names):
        draw(tmp_path / "raw" / "good" / name, seed=i)
    for i, defect in enumerate(["NA", "nan", "null", "007"]):
        draw(tmp_path / "raw" / defect / "1.png", seed=100 + i)
    draw(tmp_path / "raw" / "masks" / "NA" / "1.png", mask=np.full((6, 8), 255, np.uint8))
    manifest, _ = build_manifest(*read(tmp_path / "raw"), SplitParams())
    dataset = CSVDataset(filepath=str(tmp_path / "manifest.csv"), load_args=entry["load_args"])
    dataset.save(manifest)
    loaded = dataset.load()
    pd.testing.assert_frame_equal(loaded.drop(columns="mask"), manifest.drop(columns="mask"), check_dtype=False)
    masks = loaded.set_index("defect")["mask"]
    assert masks["NA"] == "masks/NA/1.png"
    assert masks.drop("NA").isna().all()
    assert loaded["image"].tolist() == manifest["image"].tolist()


def test_manifest_without_any_mask_loads_as_missing(tmp_path):
    entry = yaml.safe_load(CATALOG.read_text())["manifest"]
    for i in range(4):
        draw(tmp_path / "raw" / "good" / f"{i}.png", seed=i)
    manifest, _ = build_manifest(*read(tmp_path / "raw"), SplitParams())
    dataset = CSVDataset(filepath=str(tmp_path / "manifest.csv"), load_args=entry["load_args"])
    dataset.save(manifest)
    assert dataset.load()["mask"].isna().all()


# --- small helpers ---------------------------------------------------------------------------------------------------
def test_no_defective_image_at_all_is_normal():
    counts = count_images(assign_splits(make_rows(*normals(10)), SplitParams()))
    assert counts["split"].tolist() == ["train", "validation", "calibration", "test"]
    assert counts["defective"].tolist() == [0, 0, 0, 0]
    assert counts["normal"].tolist() == [5, 1, 2, 2]


def test_rows_of_splits_by_hand():
    manifest = pd.DataFrame({"split": ["test", "train", "validation", "train"]})
    assert rows_of(manifest, ["train"]) == [1, 3]
    assert rows_of(manifest, ["validation", "test"]) == [0, 2]
    assert rows_of(manifest, []) == []
