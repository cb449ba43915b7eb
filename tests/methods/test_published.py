import pytest

from flawline.methods.published import published, published_for, published_notes
from flawline.methods.registry import METHODS, PAPERS
from flawline.metrics.choice import placings

SOURCE = "Schneider 2022, Table 1"
TABLE_1 = {  # A, IoU, Time_tr in seconds; as printed
    "chess": {"cae": (0.9487, 0.7975, 212), "vae": (0.9492, 0.7995, 213), "aae": (0.9499, 0.7998, 1223)},
    "noise": {"cae": (0.9093, 0.7594, 216), "vae": (0.8797, 0.7698, 220), "aae": (0.9218, 0.7743, 1227)},
}
METRICS = ["oracle_A", "oracle_iou", "train_seconds"]
MVTEC = "Saeedi & Giusti 2022, Table 4"
PRINTED_MEANS = {  # over how many of the first categories: in percent
    "cpcae": (8, 91.09, 96.35),
    "ae_l2": (6, 75.31, 91.39),
    "deep_feature_knn": (6, 83.27, 93.89),
    "nearest_neighbour": (6, 68.12, 87.29),
    "variation_model": (6, 58.07, 81.96),
    "GeoTrans": (6, 63.60, None),
    "GANomaly": (6, 77.53, None),
    "VAE (2014)": (6, 71.66, None),
    "AnoGAN": (6, 51.71, None),
    "AE (SSIM)": (6, 75.35, None),
}


def test_table_1_of_schneider_2022_as_printed():
    table = published()
    rows = table[table["source"] == SOURCE].set_index(["category", "method"])[METRICS]
    printed = {(category, method): row for category, rows in TABLE_1.items() for method, row in rows.items()}
    assert len(rows) == len(printed) == 6
    assert {key: tuple(row) for key, row in rows.iterrows()} == printed


def test_all_have_category_method_and_source_first_then_metrics():
    table = published()
    patches = [f"{name}{end}" for name in ("outlier_f1", "outlier_accuracy") for end in ("", "_std")]
    assert list(table.columns) == [
        "category", "method", "source", *METRICS, "image_auroc", "image_ap", "image_auroc_std", *patches,
        "pixel_auroc", "pixel_ap", "pixel_iou_auc", "reconstruction_mse", "reconstruction_ssim",
    ]  # fmt: skip
    assert not table[["category", "method", "source"]].isna().any(axis=None)
    assert not table.duplicated(["category", "method", "source"]).any()


def test_methods_have_the_names_that_ours_have_or_one_that_none_can_have():
    other = set(published()["method"]) - METHODS.keys()
    assert other == {"GeoTrans", "GANomaly", "VAE (2014)", "AnoGAN", "AE (SSIM)"}
    assert not {name.casefold() for name in other} & METHODS.keys()


@pytest.mark.parametrize("method", PRINTED_MEANS)
def test_table_4_of_saeedi_2022_has_the_means_that_it_prints(method):
    """Over six categories but for the proposed method; a wrong digit would move a mean by more than rounding."""
    categories, auroc, ap = PRINTED_MEANS[method]
    rows = published()[lambda table: (table["source"] == MVTEC) & (table["method"] == method)]
    assert len(rows) == 8
    assert rows["image_auroc"][:categories].mean() == pytest.approx(auroc / 100, abs=1.01e-4)
    if ap is None:
        assert rows["image_ap"].isna().all()
    else:
        assert rows["image_ap"][:categories].mean() == pytest.approx(ap / 100, abs=1.01e-4)


def test_some_cells_of_table_4_as_printed():
    table = published()[lambda table: table["source"] == MVTEC].set_index(["category", "method"])
    assert tuple(table.loc[("toothbrush", "cpcae"), ["image_auroc", "image_ap"]]) == (1.0, 1.0)
    assert tuple(table.loc[("transistor", "ae_l2"), ["image_auroc", "image_ap"]]) == (0.8635, 0.8572)
    assert tuple(table.loc[("toothbrush", "nearest_neighbour"), ["image_auroc", "image_ap"]]) == (0.9584, 0.9846)
    assert tuple(table.loc[("transistor", "deep_feature_knn"), ["image_auroc", "image_ap"]]) == (0.8533, 0.8551)
    assert tuple(table.loc[("transistor", "variation_model"), ["image_auroc", "image_ap"]]) == (0.7309, 0.7515)


def test_tables_of_alpdemir_2022_as_printed():
    table = published()[lambda table: table["source"].str.startswith("Alpdemir")]
    counts = table["source"].str.removeprefix("Alpdemir 2022, ").str.split(",").str[0].value_counts()
    assert counts.to_dict() == {"Table 1": 35, "Table 2": 14, "Table 3": 14, "Table 4": 49}
    rows = table.set_index(["source", "category", "method"])
    figures = ["image_auroc", "image_auroc_std", "outlier_f1", "outlier_accuracy"]
    lambdas = rows.loc[("Alpdemir 2022, Table 1, lambda 1.0", "ksdd2", "rdcae"), figures]
    assert tuple(lambdas) == (0.863, 0.047, 0.903, 0.824)
    large = rows.loc[("Alpdemir 2022, Table 2, 64 x 64 pixels, lambda 6.7", "fabric_00", "rdcae"), figures]
    assert tuple(large) == (0.132, 0.012, 0.169, 0.092)
    noise = rows.loc[("Alpdemir 2022, Table 3, random noise", "fabric_04", "rdcae"), figures]
    assert tuple(noise) == (0.976, 0.004, 0.333, 0.659)
    assert rows.loc[("Alpdemir 2022, Table 4", "fabric_06", "isolation_forest_aere"), "image_auroc"] == 0.777
    assert rows.loc[("Alpdemir 2022, Table 4", "fabric_01", "deep_svdd"), "image_auroc_std"] == 0.111


@pytest.mark.parametrize(
    ("category", "layout", "count"),
    [("fabric_01", "aitex", 16), ("01", "aitex", 16), ("05", "aitex", 0), ("ksdd2", "kolektorsdd2", 16),
     ("any", "kolektorsdd2", 16), ("kolektorsdd", "kolektorsdd", 0), ("fabric_01", "folders", 0)],
)  # fmt: skip
def test_fabrics_and_kolektorsdd2_are_told_by_layout_and_kolektorsdd_is_another(category, layout, count):
    assert len(published_for(category, raw="any", layout=layout)) == count


def test_public_images_are_told_by_the_layout_of_their_folder():
    here = published_for("bottle", raw="any/bottle", layout="mvtec")
    assert list(here.columns) == ["method", "source", "image_auroc", "image_ap"]
    assert len(here) == 10
    for other in (None, "folders"):
        assert published_for("bottle", raw="any/bottle", layout=other).empty
    assert published_for("chess", raw="any/chess", layout="mvtec").empty  # named like an example, but somebody's own
    assert len(published_for("chess", layout="folders")) == 3


def test_notes_are_of_the_papers_that_stand_there():
    ours, theirs = published_for("chess"), published_for("cable", raw="cable", layout="mvtec")
    assert published_notes(ours) == [PAPERS["schneider2022"].note]
    assert published_notes(theirs) == [PAPERS["saeedi2022"].note]
    assert published_notes(ours[:0]) == []


@pytest.mark.parametrize("category", TABLE_1)
def test_a_categorys_rows_are_numbered_from_0_and_do_not_name_it(category):
    table = published_for(category)
    assert list(table.columns) == ["method", "source", *METRICS]
    assert list(table.index) == [0, 1, 2]
    assert {row["method"]: tuple(row[METRICS]) for _, row in table.iterrows()} == TABLE_1[category]


@pytest.mark.parametrize("category", ["brick", "Chess", ""])
def test_a_category_that_nobody_published_on_has_no_row(category):
    assert len(published_for(category)) == 0


def test_a_table_without_rows_still_says_method_and_source():
    assert list(published_for("brick").columns) == ["method", "source"]


def test_a_table_that_is_worked_on_does_not_change_the_next():
    table = published_for("chess")
    table["train_seconds"] = 0
    assert published_for("chess")["train_seconds"].tolist() == [212, 213, 1223]


@pytest.mark.parametrize(
    ("category", "printed"),
    [("texture_2", {"ae": [0, 4, 1, 1], "stn_ae": [6, 0, 0, 0], "stn_ae_random": [0, 0, 1, 5],
                    "stn_ae_refined": [0, 2, 4, 0]}),
     ("screw", {"ae": [0, 3, 2, 1], "stn_ae": [6, 0, 0, 0], "stn_ae_random": [0, 0, 5, 1],
                "stn_ae_refined": [0, 3, 0, 3]})],
)  # fmt: skip
def test_table_9_of_radli_2022_follows_from_tables_7_and_8(category, printed):
    rows = published()[lambda table: (table["category"] == category) & table["pixel_auroc"].notna()]
    found = placings(rows.assign(category=rows["source"]), PAPERS["radli2022"].placed)
    assert {method: row.tolist() for method, row in found.iterrows()} == printed
