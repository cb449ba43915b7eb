import numpy as np
import pandas as pd
import pytest
from base_params import BASE
from hypothesis import given, settings
from hypothesis import strategies as st

from flawline.checks import FlawlineError
from flawline.intake.splits import SPLITS, assign_folds, assign_splits, groups_of, settle_identical

COLUMNS = ["image", "split", "label", "sha256", "group"]
SHARES = BASE.ingestion.splits.but(validation=0.1, calibration=0.2, test=0.2)


def make_rows(*images):
    """Return rows of (image, split, label, digest) or (image, split, label, digest, group)."""
    rows = [dict(zip(COLUMNS, image, strict=False)) for image in images]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"split": object, "group": object}).assign(page=0)


def normals(count, *, split=None, start=0):
    return [(f"good/{i:04}.png", split, 0, f"d{i}") for i in range(start, start + count)]


def pairs(*names):
    return pd.DataFrame(names, columns=["image", "duplicate"])


def sizes(manifest):
    return manifest["split"].value_counts().to_dict()


def one_each(splits, groups):
    """Return True if each group has one split."""
    return len(set(zip(splits, groups, strict=True))) == len(set(groups))


def places(manifest):
    return manifest.set_index("image")["split"].to_dict()


# --- shares ----------------------------------------------------------------------------------------------------------
def test_shares_are_of_all_normal_images():
    assert sizes(assign_splits(make_rows(*normals(100)), SHARES)) == {
        "train": 50, "test": 20, "calibration": 20, "validation": 10,
    }  # fmt: skip


def test_at_least_one_image_in_each_split():
    manifest = assign_splits(
        make_rows(*normals(4)), BASE.ingestion.splits.but(validation=0.01, calibration=0.01, test=0.01)
    )
    assert sizes(manifest) == {"train": 1, "test": 1, "calibration": 1, "validation": 1}


def test_share_of_zero_holds_nothing_out():
    manifest = assign_splits(make_rows(*normals(3)), BASE.ingestion.splits.but(validation=0.2, calibration=0.2, test=0))
    assert sizes(manifest) == {"train": 1, "validation": 1, "calibration": 1}


def test_defective_images_do_not_keep_normal_ones_out_of_the_test_split():
    manifest = assign_splits(make_rows(*normals(10), ("scratch/0.png", None, 1, "x")), SHARES)
    assert manifest.groupby("split")["label"].agg(["size", "sum"]).loc["test"].tolist() == [3, 1]
    assert (manifest["label"] == 0).sum() == 10


def test_data_sets_own_splits_stay_and_its_test_is_the_only_one():
    rows = make_rows(*normals(10, split="train"), ("test/good/0.png", "test", 0, "t"), ("test/s/0.png", "test", 1, "s"))
    manifest = assign_splits(rows, SHARES)
    assert sizes(manifest) == {"train": 7, "calibration": 2, "test": 2, "validation": 1}
    assert places(manifest)["test/good/0.png"] == "test"


def test_all_splits_are_the_data_sets_own():
    rows = make_rows(*((f"{split}/good/0.png", split, 0, split) for split in SPLITS))
    assert places(assign_splits(rows, BASE.ingestion.splits)) == {f"{split}/good/0.png": split for split in SPLITS}


def test_data_set_without_a_split_for_tests_gets_one():
    rows = make_rows(*normals(10, split="train"))
    assert sizes(assign_splits(rows, BASE.ingestion.splits.but(test=0.5)))["test"] == 5
    rows.loc[0, "split"] = "test"
    assert sizes(assign_splits(rows, BASE.ingestion.splits.but(test=0.5)))["test"] == 1


@given(
    st.integers(4, 60),
    st.floats(0.001, 0.33),
    st.floats(0.001, 0.33),
    st.floats(0, 0.33),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_every_image_has_one_split_and_train_is_never_empty(count, validation, calibration, test, seed):
    splits = BASE.ingestion.splits.but(validation=validation, calibration=calibration, test=test, seed=seed)
    found = sizes(assign_splits(make_rows(*normals(count)), splits))
    assert sum(found.values()) == count
    assert found["train"] >= 1
    for name in ("validation", "calibration", "test"):
        share = getattr(splits, name)
        assert (found.get(name, 0) > 0) == (share > 0)
        assert found.get(name, 0) <= max(1, round(share * count))


def test_too_few_different_images_says_how_many_are_wanted():
    rows = make_rows(*((f"good/{i}.png", None, 0, f"d{i % 3}") for i in range(9)))
    wanted = (
        r"^too few normal images: wanted at least 4 different ones, one each for train, test, validation, calibration; "
        r"got 3\. Add normal images\.$"
    )
    with pytest.raises(FlawlineError, match=wanted):
        assign_splits(rows, BASE.ingestion.splits)


def test_one_group_is_too_few_however_many_images_it_has():
    rows = make_rows(*((f"kos01/{i}.png", None, 0, f"d{i}", "kos01") for i in range(50)))
    with pytest.raises(FlawlineError, match=r"at least 4 different ones.*; got 1\."):
        assign_splits(rows, BASE.ingestion.splits)


# --- seed and order --------------------------------------------------------------------------------------------------
def test_splits_follow_the_seed_and_not_the_order_of_the_rows():
    rows = make_rows(*((f"{i:02}.png", None, 0, f"d{i % 25:02}", f"lot {i // 2}") for i in range(30)))
    near_duplicates = pairs(("03.png", "17.png"))
    first = assign_splits(rows, BASE.ingestion.splits.but(seed=0), near_duplicates)
    swapped = near_duplicates[["duplicate", "image"]].set_axis(["image", "duplicate"], axis=1)
    for order in (rows[::-1], rows.sample(frac=1, random_state=1)):
        for told, swap in ((order, near_duplicates), (order.reset_index(drop=True), swapped)):
            pd.testing.assert_frame_equal(first, assign_splits(told, BASE.ingestion.splits.but(seed=0), swap))
    assert (first["split"] != assign_splits(rows, BASE.ingestion.splits.but(seed=1), near_duplicates)["split"]).any()


def test_every_image_is_held_out_by_some_seed():
    rows = make_rows(*normals(8))
    tested = [
        assign_splits(rows, BASE.ingestion.splits.but(seed=seed)).query("split == 'test'")["image"]
        for seed in range(40)
    ]
    assert set(pd.concat(tested)) == set(rows["image"])


def test_names_of_images_do_not_decide():
    """A renamed file stays where it is: groups are drawn by their content."""
    rows = make_rows(*normals(20))
    before = assign_splits(rows, SHARES).set_index("sha256")["split"]
    renamed = assign_splits(rows.assign(image=[f"z{hash(i) % 97}_{i}" for i in range(20)]), SHARES)
    assert renamed.set_index("sha256")["split"].to_dict() == before.to_dict()


# --- what stays together ---------------------------------------------------------------------------------------------
def test_groups_by_hand():
    rows = make_rows(("a", None, 0, "s2", "g"), ("b", None, 0, "s1", "g"), ("c", None, 0, "s3"), ("d", None, 0, "s3"))
    assert groups_of(rows).tolist() == ["s1", "s1", "s3", "s3"]


def test_chain_of_a_group_an_identical_file_another_group_and_near_duplicates():
    rows = make_rows(
        ("a", None, 0, "s5", "kos01"),
        ("b", None, 0, "s4", "kos01"),
        ("c", None, 0, "s4", "kos26"),
        ("d", None, 0, "s3", "kos26"),
        ("e", None, 0, "s2", "kos30"),
        ("f", None, 1, "s1", "kos30"),
        ("g", None, 0, "s0", "kos31"),
    )
    assert groups_of(rows).tolist() == ["s3"] * 4 + ["s1"] * 2 + ["s0"]
    assert groups_of(rows, pairs(("d", "e"))).tolist() == ["s1"] * 6 + ["s0"]


def test_near_duplicates_that_are_not_there_tie_nothing():
    rows = make_rows(("a", None, 0, "s1"), ("b", None, 0, "s2"))
    assert groups_of(rows, pairs(("a", "gone"), ("gone", "b"))).tolist() == ["s1", "s2"]


def test_missing_groups_are_no_group():
    rows = make_rows(("a", None, 0, "s1", None), ("b", None, 0, "s2", np.nan))
    assert groups_of(rows).tolist() == ["s1", "s2"]


def test_no_images_have_no_groups():
    assert groups_of(make_rows(), pairs()).empty


def slow_groups(rows, near_duplicates):
    """Return the same by repeating: of two tied images both get the lower name, until nothing changes."""
    names = rows["sha256"].tolist()
    images = rows["image"].tolist()
    duplicate = {frozenset(pair) for pair in near_duplicates.itertuples(index=False)}
    tied = [(i, j) for i in range(len(rows)) for j in range(i)
            if rows["group"][i] == rows["group"][j] or rows["sha256"][i] == rows["sha256"][j]
            or frozenset((images[i], images[j])) in duplicate]  # fmt: skip
    for _ in rows.index:
        for i, j in tied:
            names[i] = names[j] = min(names[i], names[j])
    return names


@st.composite
def tied_images(draw):
    count = draw(st.integers(6, 24))
    small = st.integers(0, 12)
    rows = make_rows(
        *((f"i{k:02}", None, int(draw(st.integers(0, 4)) == 0), f"s{draw(small):02}", f"g{draw(small)}")
          for k in range(count))
    )  # fmt: skip
    some = st.tuples(st.sampled_from(rows["image"].tolist()), st.sampled_from(rows["image"].tolist()))
    return rows, pairs(*draw(st.lists(some, max_size=4)))


@given(tied_images())
@settings(max_examples=80, deadline=None)
def test_groups_agree_with_a_slower_way(drawn):
    rows, near_duplicates = drawn
    assert groups_of(rows, near_duplicates).tolist() == slow_groups(rows, near_duplicates)


@given(tied_images(), st.integers(0, 99), st.lists(st.sampled_from([None, None, *SPLITS]), min_size=24, max_size=24))
@settings(max_examples=40, deadline=None)
def test_normal_images_that_belong_together_are_in_one_split(drawn, seed, own):
    rows, near_duplicates = drawn
    alone = make_rows(*normals(4))
    splits = BASE.ingestion.splits.but(seed=seed)
    free = assign_splits(pd.concat([rows, alone], ignore_index=True), splits, near_duplicates)
    normal = free[free["label"] == 0]
    assert one_each(normal["split"], groups_of(free, near_duplicates)[normal.index])

    rows["split"] = pd.Series(own[: len(rows)], dtype=object)  # now the data set has some of its own
    some = assign_splits(pd.concat([rows, alone], ignore_index=True), splits, near_duplicates)
    before = rows.set_index("image")["split"].reindex(some["image"]).to_numpy()
    fixed = (some["label"] == 0) & pd.Series(before).isin(SPLITS[1:])
    assert (some["split"] == before)[fixed].all()
    together = groups_of(some, near_duplicates)
    strictest = some[fixed]["split"].map(SPLITS.index).groupby(together[fixed]).max()
    follows = (some["label"] == 0) & pd.isna(before) & together.isin(strictest.index)
    assert (some["split"][follows].map(SPLITS.index) == together[follows].map(strictest)).all()


def test_byte_identical_images_stay_together():
    rows = make_rows(*((f"good/{i:02}.png", None, 0, f"d{i % 5}") for i in range(20)))
    for seed in range(5):
        manifest = assign_splits(rows, BASE.ingestion.splits.but(seed=seed))
        assert one_each(manifest["split"], manifest["sha256"])
        assert set(manifest["split"]) == set(SPLITS)


def test_item_that_is_there_twice_is_never_on_two_sides():
    """KolektorSDD: kos26 is kos01 again, byte by byte."""
    rows = make_rows(*(
        (f"kos{item:02}/Part{part}.jpg", None, 0, f"{1 if item == 26 else item} {part}", f"kos{item:02}")
        for item in range(1, 27) for part in range(8)
    ))  # fmt: skip
    for seed in range(10):
        manifest = assign_splits(rows, BASE.ingestion.splits.but(seed=seed))
        assert one_each(manifest["split"], manifest["group"].replace("kos26", "kos01"))
        assert set(manifest["split"]) == set(SPLITS)


def test_image_without_a_split_follows_the_one_it_is_identical_to():
    rows = make_rows(*normals(6, split="train"), ("test/a.png", "test", 0, "x"), ("more/a.png", None, 0, "x"))
    for seed in range(5):
        assert places(assign_splits(rows, BASE.ingestion.splits.but(seed=seed)))["more/a.png"] == "test"


def test_image_without_a_split_follows_to_the_strictest():
    rows = make_rows(
        *normals(6), ("a", "train", 0, "a", "lot"), ("b", "calibration", 0, "b", "lot"), ("c", None, 0, "c", "lot")
    )
    assert places(assign_splits(rows, BASE.ingestion.splits))["c"] == "calibration"


# --- defective images ------------------------------------------------------------------------------------------------
DEFECTS = [("kos01/d.png", None, 1, "y", "kos01"), ("alone/d.png", None, 1, "z", "alone")]


def test_all_defective_images_are_test_by_default():
    rows = make_rows(*normals(5), ("kos01/a.png", None, 0, "x", "kos01"), *DEFECTS)
    for seed in range(5):
        manifest = assign_splits(rows, BASE.ingestion.splits.but(seed=seed))
        assert manifest.loc[manifest["label"] == 1, "split"].tolist() == ["test", "test"]


def test_held_out_leaves_out_defective_images_of_groups_that_are_learned_from():
    rows = make_rows(*normals(5), ("kos01/a.png", None, 0, "x", "kos01"), *DEFECTS)
    seen = set()
    for seed in range(20):
        found = places(assign_splits(rows, BASE.ingestion.splits.but(seed=seed, defective="held_out")))
        assert found["alone/d.png"] == "test"
        assert found["kos01/d.png"] == ("test" if found["kos01/a.png"] == "test" else "unused")
        seen.add(found["kos01/a.png"])
    assert seen == set(SPLITS)


def test_held_out_counts_near_duplicates_of_what_is_learned_from():
    rows = make_rows(*normals(8, split="train"), ("test/d.png", "test", 1, "x"))
    splits = BASE.ingestion.splits.but(defective="held_out")
    assert places(assign_splits(rows, splits))["test/d.png"] == "test"
    assert places(assign_splits(rows, splits, pairs(("good/0003.png", "test/d.png"))))["test/d.png"] == "unused"


@given(tied_images(), st.integers(0, 99))
@settings(max_examples=40, deadline=None)
def test_held_out_tests_on_nothing_that_is_learned_from(drawn, seed):
    rows = pd.concat([drawn[0], make_rows(*normals(4))], ignore_index=True)
    manifest = assign_splits(rows, BASE.ingestion.splits.but(seed=seed, defective="held_out"), drawn[1])
    together = groups_of(manifest, drawn[1])
    tested = set(together[manifest["split"] == "test"])
    assert tested.isdisjoint(together[~manifest["split"].isin(["test", "unused"])])
    assert (manifest.loc[manifest["split"] == "unused", "label"] == 1).all()


# --- identical files that the data set separates ---------------------------------------------------------------------
LEAK = [
    *normals(3, split="train"),
    ("validation/v.png", "validation", 0, "d0"),
    ("test/a.png", "test", 0, "d1"),
    ("test/b.png", "test", 0, "b"),
]


def test_identical_files_on_two_sides_stop_the_run():
    with pytest.raises(FlawlineError) as refused:
        settle_identical(make_rows(*LEAK), "stop")
    assert str(refused.value) == (
        "the data set's own splits separate identical files: good/0000.png = validation/v.png; "
        "good/0001.png = test/a.png. Figures on them would be too good. Remove one of each, or move all to the "
        "strictest: ingestion.identical=move"
    )


def test_only_the_first_ten_pairs_are_named():
    rows = make_rows(*normals(13, split="train"), *((f"test/{i:02}.png", "test", 0, f"d{i}") for i in range(12)))
    with pytest.raises(FlawlineError, match=r"good/0009\.png = test/09\.png and 2 more\. Figures") as refused:
        settle_identical(rows, "stop")
    assert str(refused.value).count(" = ") == 10


def test_identical_files_move_to_the_strictest_split():
    rows = make_rows(*LEAK, ("calibration/b.png", "calibration", 0, "b"), ("train/b.png", "train", 0, "b"))
    settled, contrary = settle_identical(rows, "move")
    assert contrary.empty
    assert places(settled) == {
        "good/0000.png": "validation", "good/0001.png": "test", "good/0002.png": "train",
        "validation/v.png": "validation", "test/a.png": "test", "test/b.png": "test",
        "calibration/b.png": "test", "train/b.png": "test",
    }  # fmt: skip
    again, _ = settle_identical(settled, "stop")
    pd.testing.assert_frame_equal(again, settled)


def test_identical_files_on_one_side_are_left_alone():
    rows = make_rows(
        *normals(4, split="train"), ("good/duplicate.png", "train", 0, "d0"), ("x", None, 0, "y"), ("z", None, 0, "y"),
        ("test/s.png", "test", 1, "s"), ("train/s.png", "train", 1, "s"),
    )  # fmt: skip
    settled, contrary = settle_identical(rows, "stop")
    pd.testing.assert_frame_equal(settled, rows)
    assert contrary.empty


@pytest.mark.parametrize("identical", ["stop", "move"])
def test_normal_image_that_is_identical_to_a_defective_one_is_dropped(identical):
    rows = make_rows(*normals(3, split="train"), ("test/s/8.png", "test", 1, "d1"), ("test/s/9.png", "test", 1, "d1"))
    settled, contrary = settle_identical(rows, identical)
    assert contrary.to_dict("records") == [
        {"path": "good/0001.png", "reason": "is identical to the defective image test/s/8.png"}
    ]
    assert settled["image"].tolist() == ["good/0000.png", "good/0002.png", "test/s/8.png", "test/s/9.png"]
    assert settled.index.tolist() == [0, 1, 2, 3]


def test_pages_of_one_file_are_not_identical():
    rows = make_rows(("stack.tif#1", None, 0, "d"), ("stack.tif#2", None, 1, "d"), ("copy.tif#2", None, 0, "d"))
    settled, contrary = settle_identical(rows.assign(page=[1, 2, 2]), "stop")
    assert settled["image"].tolist() == ["stack.tif#1", "stack.tif#2"]
    assert contrary.to_dict("records") == [
        {"path": "copy.tif#2", "reason": "is identical to the defective image stack.tif#2"}
    ]


def test_nothing_is_settled_of_nothing():
    settled, contrary = settle_identical(make_rows(), "stop")
    assert settled.empty
    assert contrary.columns.tolist() == ["path", "reason"]


def test_own_splits_that_cut_a_group_stop_the_run_or_its_images_are_moved():
    rows = pd.DataFrame(
        {
            "image": ["a", "b", "c"], "page": 0, "label": 0, "split": ["train", "test", "train"],
            "group": ["lot 1", "lot 1", "lot 2"], "sha256": ["1", "2", "3"],
        }
    )  # fmt: skip
    with pytest.raises(FlawlineError, match=r"own splits separate images of one group: a = b\. Figures on them"):
        settle_identical(rows, "stop")
    assert settle_identical(rows, "move")[0]["split"].tolist() == ["test", "test", "train"]


# --- folds -----------------------------------------------------------------------------------------------------------
def test_folds_are_of_one_size_drawn_from_the_seed_and_keep_together_what_belongs_together():
    rows = make_rows(*normals(50))
    folds = assign_folds(rows, 10, seed=0)
    assert np.bincount(folds).tolist() == [5] * 10
    assert (assign_folds(rows, 10, seed=0) == folds).all()
    assert (assign_folds(rows, 10, seed=1) != folds).any()
    alike = pairs(*((f"good/{i:04}.png", f"good/{i + 1:04}.png") for i in range(0, 50, 2)))
    together = assign_folds(rows, 10, seed=0, near_duplicates=alike)
    assert (together[::2] == together[1::2]).all()
    assert sorted(np.bincount(together)) == [4] * 5 + [6] * 5


def test_fewer_images_than_folds_are_a_fold_each():
    assert sorted(assign_folds(make_rows(*normals(4)), 10, seed=0)) == [0, 1, 2, 3]
