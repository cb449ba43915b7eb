import io
import re
from base64 import b64decode
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from document import Document
from PIL import Image

from flawline.report import CategoryShown, PublishedTable, SampleReconstructions, StudyPage, Suitability, render_study
from flawline.report import study_tables as study
from flawline.report.words import DASH, METRICS, metric_named

HOSTILE = "<script>alert(1)</script>"
IMAGE = re.compile(r'<img[^>]* src="data:image/(\w+);base64,([^"]*)"[^>]* alt="([^"]*)"')


def patch_losses(top):
    losses = np.geomspace(0.001, top, 20)
    return pd.DataFrame({"mask_share": np.repeat([0.0, 0.4], 10), "loss": losses})


def sample_reconstructions(patches=3, size=8):
    drawn = np.full((patches, 1, size, size), 0.5, np.float32)
    return SampleReconstructions(drawn, {epochs: drawn * epochs / 10 for epochs in (0, 1, 2, 10)})


def category(name, methods, size=(40, 60)):
    mask = np.zeros(size, bool)
    mask[10:14, 20:26] = True
    maps = {method: (mask * (0.5 + i)).astype(np.float16) for i, method in enumerate(methods)}
    return CategoryShown(
        category=name,
        name="test/deformed/000.png",
        image=np.full((1, *size), 120, np.uint8),
        mask=mask,
        maps=maps,
        flagged=dict.fromkeys(methods, mask),
        patch_losses={method: patch_losses(i + 1.0) for i, method in enumerate(methods)},
        sample_reconstructions={method: sample_reconstructions() for method in methods},
        suitability={m: Suitability("suited", f"{m} is after", "doubtful", f"{m} was before") for m in methods},
    )


@pytest.fixture
def results():
    return pd.DataFrame(
        {
            "category": ["chess"] * 6,
            "seed": [0, 1, 2] * 2,
            "method": ["cae"] * 3 + ["vae"] * 3,
            "oracle_A": [0.8, 0.9, 1.0, 0.5, 0.5, 0.5],
            "raw_A": [0.1, 0.2, np.nan, np.nan, np.nan, np.nan],
            "image_auroc": [0.7, 0.8, 0.9, 0.95, 0.95, 0.95],
            "train_seconds": [90.0, 100.0, 110.0, 148.0, 150.0, 152.0],
        }
    )


@pytest.fixture
def published():
    return pd.DataFrame(
        {
            "category": ["chess", "chess", "noise"],
            "method": ["CAE", "VAE", "CAE"],
            "source": ["a paper, Table 1"] * 2 + ["a paper, Table 2"],
            "oracle_A": [0.9487, np.nan, 0.5],
            "train_seconds": [212.0, 318.0, 99.0],
        }
    )


@pytest.fixture
def page(results, published):
    return StudyPage(
        title="Two autoencoders",
        found=["cae finds most.", "vae takes longer."],
        results=results,
        published=published,
        shown=[category("chess", ["cae", "vae"])],
        settings={"seeds": [0, 1, 2], "cae.train.epochs": 2},
        ids={"date": "2026-01-02"},
        notes=["Three seeds are few."],
    )


def cells(groups, title):
    """Return {row: [printed, ...]} of one table."""
    group = next(group for group in groups if group.title == title)
    return {name: [cell.text for cell in row] for name, row in [*group.rows, *group.published]}


def pictures(html):
    """Return [(alt, pixels (H, W, 3))] of a page."""
    found = [(alt, Image.open(io.BytesIO(b64decode(body)))) for _, body, alt in IMAGE.findall(html)]
    return [(alt, np.asarray(image.convert("RGB"))) for alt, image in found]


def test_spread_is_the_mean_and_the_sample_standard_deviation():
    found = study.spread([1.0, 2.0, 4.0, np.nan, None])
    assert found.mean == pytest.approx(7 / 3)
    assert found.deviation == pytest.approx(np.sqrt((16 + 1 + 25) / 9 / 2))  # of 3: -4/3, -1/3, 5/3 from the mean
    assert found.count == 3
    assert np.isnan(study.spread([1.0]).deviation)
    assert np.isnan(study.spread([]).mean)


def test_spread_text_tells_the_deviation_of_two_seeds_at_least_and_how_many_there_were():
    auroc, seconds = metric_named("image_auroc"), metric_named("train_seconds")

    def text(metric, *values, seeds=2):
        return study.spread_text(metric, study.spread(values), seeds=seeds).replace("\N{NO-BREAK SPACE}", " ")

    assert text(auroc, 0.5, 0.7) == "0.600 ± 0.141"
    assert text(auroc, 0.5, seeds=1) == "0.500"
    assert text(auroc, 0.5, 0.7, np.nan, seeds=3) == "0.600 ± 0.141 (2 of 3)"
    assert text(auroc, np.nan) == DASH
    assert text(seconds, 90.0, 92.0) == "91.0 ± 1.4"
    assert text(seconds, 210.0, 214.0) == "212 ± 3"
    assert text(seconds, 91.26, seeds=1) == "91.3"


def test_tables_hold_means_deviations_and_ratios(results, published):
    groups = study.study_groups(results, published[published["category"] == "chess"])
    ours = {name: [text.replace("\N{NO-BREAK SPACE}", " ") for text in row] for name, row in
            cells(groups, study.CALIBRATED).items()}  # fmt: skip
    assert ours == {
        "cae": ["0.800 ± 0.100", "0.150 ± 0.071 (2 of 3)"],
        "vae": ["0.950 ± 0.000", DASH],
    }
    training = {name: [text.replace("\N{NO-BREAK SPACE}", " ") for text in row] for name, row in
                cells(groups, "Training").items()}  # fmt: skip
    assert training == {
        "cae": ["100 ± 10", "1.00"],
        "vae": ["150 ± 2", "1.50"],
        "CAE, a paper, Table 1": ["212", "1.00"],
        "VAE, a paper, Table 1": ["318", "1.50"],
    }


def test_published_rows_stand_only_in_the_tables_they_have_figures_for(results, published):
    groups = study.study_groups(results, published[published["category"] == "chess"])
    oracle = cells(groups, "With the test labels' help (oracle)")
    assert list(oracle) == ["cae", "vae", "CAE, a paper, Table 1"]
    assert oracle["CAE, a paper, Table 1"] == ["0.949"]
    assert list(cells(groups, study.CALIBRATED)) == ["cae", "vae"]


def test_ratios_of_a_publication_are_to_its_own_first_method(results):
    published = pd.DataFrame(
        {
            "method": ["X", "Y", "Z"],
            "source": ["one", "two", "two"],
            "train_seconds": [10.0, 20.0, 50.0],
        }
    )
    training = cells(study.study_groups(results, published), "Training")
    assert [training[name][1] for name in ("X, one", "Y, two", "Z, two")] == ["1.00", "1.00", "2.50"]


def test_without_the_first_methods_time_there_is_no_ratio(results):
    results.loc[results["method"] == "cae", "train_seconds"] = np.nan
    training = cells(study.study_groups(results, pd.DataFrame()), "Training")
    assert training.keys() == {"vae"}  # nothing is to be told of the other
    assert training["vae"][1] == DASH


def test_the_best_mean_is_marked_and_no_training_time(results, published):
    marked = {
        (group.title, name): [cell.best for cell in row]
        for group in study.study_groups(results, published)
        for name, row in group.rows
    }
    assert marked[study.CALIBRATED, "cae"] == [False] * 2
    assert marked[study.CALIBRATED, "vae"] == [True, False]  # alone in A, raw: nothing to be better than
    assert marked["With the test labels' help (oracle)", "cae"] == [True]
    assert marked["Training", "cae"] == marked["Training", "vae"] == [False, False]


def test_methods_keep_the_order_of_the_results(results):
    backwards = results.iloc[::-1]
    assert [name for name, _ in study.study_groups(backwards, pd.DataFrame())[0].rows] == ["vae", "cae"]


def test_oracle_figures_are_called_oracle():
    for name in (name for names in study.TABLES.values() for name in names if "oracle" in name):
        assert "oracle" in metric_named(name).label
    assert all(name.removeprefix("raw_").removeprefix("oracle_") in {*METRICS, study.RATIO.name}
               for names in study.TABLES.values() for name in names)  # fmt: skip


def test_full_page_has_every_section_and_fetches_nothing(page):
    html = render_study(page)
    document = Document(html)
    assert [name for name in document.ids if "-" not in name or name == "category-1"] == [
        "found", "notes", "category-1", "suits", "meanings", "settings", "ids"
    ]  # fmt: skip
    assert len(document.ids) == len(set(document.ids))
    assert all(address.startswith(("data:image/", "#")) for address in document.addresses)
    assert {address[1:] for address in document.addresses if address.startswith("#")} <= set(document.ids)
    assert "script" not in document.tags
    assert document.tags.count("h1") == 1
    assert "Two autoencoders cae finds most. vae takes longer. Read with care Three seeds are few." in document.words
    assert "Mean ± standard deviation over 3 seeds." in document.words
    assert "cae train.epochs 2" in document.words


def test_page_marks_published_rows(page):
    words = Document(render_study(page)).words
    assert "CAE, a paper, Table 1 published 0.949" in words
    assert "Published figures come from another machine" in words
    assert "Table 2" not in words  # of noise, which was not run


def test_names_are_escaped(page, results):
    bad = category(HOSTILE, [HOSTILE])
    bad = replace(bad, name=HOSTILE, suitability={HOSTILE: Suitability(*[HOSTILE] * 4)})
    rows = results.head(3).assign(category=HOSTILE, method=HOSTILE)
    published = pd.DataFrame({"category": [HOSTILE], "method": [HOSTILE], "source": [HOSTILE], "oracle_A": [0.1]})
    html = render_study(
        StudyPage(HOSTILE, [HOSTILE], rows, published, [bad], {HOSTILE: HOSTILE}, {HOSTILE: HOSTILE}, [HOSTILE])
    )
    assert "<script" not in html
    assert "script" not in Document(html).tags
    assert html.count("&lt;script&gt;alert(1)") == 29


def test_verdicts_on_the_material_stand_beside_what_was_detected(page):
    words = Document(render_study(page)).words
    assert "chess cae doubtful cae was before suited cae is after 0.800" in words
    assert "chess vae doubtful vae was before suited vae is after 0.950" in words


def test_verdicts_of_a_category_that_is_not_shown_come_from_the_results(page, results):
    noise = results.head(3).assign(category="noise", before="doubtful", suitability="unsuited")
    both = replace(page, results=pd.concat([results, noise], ignore_index=True))
    assert "noise cae doubtful unsuited 0.800" in Document(render_study(both)).words
    unknown = replace(page, results=pd.concat([results, noise.drop(columns="before")], ignore_index=True))
    assert f"noise cae {DASH} {DASH} 0.800" in Document(render_study(unknown)).words


def test_every_picture_is_there_and_shows_what_it_says(page):
    shown = pictures(render_study(page))
    names = [alt for alt, _ in shown]
    flagged = "flagged, oracle threshold, "
    assert names[:6] == [
        "photograph", "marked by hand", "anomaly map, cae", flagged + "cae", "anomaly map, vae", flagged + "vae"
    ]  # fmt: skip
    stages = ["input", "untrained", "after 1 epoch", "after 2 epochs", "after 10 epochs"]
    assert names[6:] == [f"patch {patch}, {stage}" for stage in stages for patch in (1, 2)] * 2
    assert all(pixels.shape == (40, 60, 3) for _, pixels in shown[:6])
    assert abs(int(shown[0][1].mean()) - 120) <= 1
    for _, pixels in (shown[1], shown[3], shown[5]):
        np.testing.assert_array_equal(pixels == 255, np.repeat(page.shown[0].mask[..., None], 3, axis=2))
    values = dict(shown[6:])
    assert abs(int(values["patch 1, input"].mean()) - 128) <= 1
    assert values["patch 1, untrained"].max() <= 1
    assert abs(int(values["patch 2, after 2 epochs"].mean()) - 26) <= 1


def test_every_method_has_its_patch_losses(page):
    document = Document(render_study(page))
    assert document.tags.count("svg") == 2
    assert "Losses of normal and of defective patches cae" in document.words


def test_wide_and_tall_images_are_not_squeezed(page):
    for size, shape in (((256, 1024), "wide"), ((1024, 256), "tall"), ((256, 256), "")):
        html = render_study(replace(page, shown=[category("chess", ["cae", "vae"], size)]))
        assert f'class="stacks {shape}"' in html
        assert [pixels.shape[:2] for _, pixels in pictures(html)[:6]] == [size] * 6


def test_parts_that_are_missing_are_left_out(page):
    bare = replace(
        page.shown[0], mask=None, maps={}, flagged={}, patch_losses={}, sample_reconstructions={}, suitability={}
    )
    html = render_study(replace(page, shown=[bare], published=pd.DataFrame(), notes=[]))
    document = Document(html)
    assert [alt for alt, _ in pictures(html)] == ["photograph"]
    assert "svg" not in document.tags
    assert not {"suits", "notes"} & set(document.ids)
    assert "Sample reconstructions" not in document.words
    assert 'class="published"' not in html
    assert "Published figures" not in document.words


def test_a_category_without_pictures_still_has_its_tables(page):
    document = Document(render_study(replace(page, shown=[])))
    assert "img" not in document.tags
    assert "vae 0.950 ± 0.000" in document.words


def test_a_method_without_a_map_or_without_losses_is_skipped(page):
    one = page.shown[0]
    losses = {**one.patch_losses, "cae": one.patch_losses["cae"].head(0)}
    part = replace(one, maps={"vae": one.maps["vae"]}, patch_losses=losses)
    html = render_study(replace(page, shown=[part]))
    assert {alt for alt, _ in pictures(html) if "map" in alt} == {"anomaly map, vae"}
    assert Document(html).tags.count("svg") == 1


def test_one_method_one_seed(page, results):
    alone = replace(page, results=results.head(1), shown=[category("chess", ["cae"])], published=pd.DataFrame())
    html = render_study(alone)
    words = Document(html).words
    assert "One seed" in words
    assert "cae 0.700" in words
    assert "±" not in words
    assert 'class="best"' not in html


def test_differing_numbers_of_seeds_are_told(page, results):
    words = Document(render_study(replace(page, results=results.head(4)))).words
    assert "over the seeds: cae 3 seeds, vae 1 seed." in words


def test_study_of_nothing(page, results):
    empty = replace(page, found=[], results=results.head(0), published=pd.DataFrame(), shown=[], settings={}, ids={})
    assert "No category has been run yet." in Document(render_study(empty)).words


def test_a_map_of_nothing_and_of_no_number_is_drawn(page):
    one = page.shown[0]
    maps = {"cae": np.zeros((40, 60), np.float16), "vae": np.full((40, 60), np.nan, np.float16)}
    shown = dict(pictures(render_study(replace(page, shown=[replace(one, maps=maps)]))))
    assert shown["anomaly map, cae"].max() < 8
    assert abs(int(shown["anomaly map, vae"].mean()) - 128) <= 1


@pytest.mark.slow
def test_page_of_twelve_noisy_categories_stays_below_three_megabytes(page):
    rng = np.random.default_rng(0)
    methods = ["cae", "vae", "aae"]
    base = category("noise", methods, (256, 1024))
    noisy = replace(
        base,
        image=rng.integers(0, 256, (1, 256, 1024), np.uint8),
        maps={m: rng.random((256, 1024)).astype(np.float16) for m in methods},
        flagged={m: rng.random((256, 1024)) > 0.95 for m in methods},
        sample_reconstructions={
            m: SampleReconstructions(p := rng.random((3, 1, 128, 128)), dict.fromkeys(range(9), p)) for m in methods
        },
    )
    html = render_study(replace(page, shown=[replace(noisy, category=f"noise-{i}") for i in range(12)]))
    assert len(html) < 3_000_000  # though nothing compresses worse
    assert html.count("anomaly map, ") == 36
    assert html.count(", after 8 epochs") == 36


def twelve(categories=("x", "y", "z")):
    """Return results of twelve methods, better from one to the next, the first alone with a training."""
    rows = [
        {"category": category, "seed": seed, "method": f"m{i:02}", "image_auroc": 0.5 + i / 100 + seed / 50,
         "image_ap": 0.6, "train_seconds": np.nan if i else 60.0}
        for category in categories for seed in (0, 1) for i in range(12)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def test_a_method_that_nobody_asked_about_has_no_row_on_the_material(page, results):
    other = results.head(3).assign(method="patch_memory", before=np.nan, suitability=np.nan)
    document = Document(render_study(replace(page, results=pd.concat([results, other], ignore_index=True))))
    assert "chess cae doubtful" in document.words
    assert f"chess patch_memory {DASH}" not in document.words
    bare = replace(page.shown[0], suitability={})
    assert "suits" not in Document(render_study(replace(page, results=other, shown=[bare]))).ids


def test_a_training_of_one_method_is_one_row(page):
    groups = study.study_groups(twelve(("x",)), pd.DataFrame())
    assert list(cells(groups, "Training")) == ["m00"]
    assert len(cells(groups, study.CALIBRATED)) == 12
    assert [group.title for group in groups] == [study.CALIBRATED, "Training"]  # there is no oracle's figure


def test_the_choice_of_a_method_is_told_with_what_it_is_worth(page):
    html = render_study(replace(page, results=twelve(), shown=[]))
    words = Document(html).words
    assert "Over all categories m11 has the highest mean image AUROC. These are development figures" in words
    assert "x m11 0.620 m11 0.620 0.000" in words
    assert "choice" not in Document(render_study(replace(page, results=twelve(("x", "y")), shown=[]))).ids


def test_of_equals_the_first_candidate_is_chosen(page):
    equal = twelve().assign(image_auroc=0.9)
    for candidates in (["m07", "m03"], ["m03", "m07"]):
        words = Document(render_study(replace(page, results=equal, shown=[], candidates=candidates))).words
        assert f"Over all categories {candidates[0]} has the highest mean image AUROC." in words


def test_a_published_table_holds_ours_where_the_images_are_here_and_means_over_all_of_them(page):
    rows = pd.DataFrame(
        {
            "category": ["x", "y", "x", "y", "x"],
            "method": ["m00", "m00", "Other", "Other", "Half"],
            "image_auroc": [0.9, 0.7, 0.4, 0.2, 0.6],
            "image_ap": [0.5, 0.6, np.nan, np.nan, np.nan],
        }
    )
    results = twelve(("x", "own")).query("method < 'm02'")
    table = PublishedTable("a paper, Table 4", rows, ["x"], "A note.")
    auroc, ap = study.published_table(table, results)["groups"]
    assert [column.label for column in auroc.columns] == ["x", "y", "mean"]
    assert {name: [cell.text for cell in row] for name, row in auroc.rows} == {
        "m00": ["0.510", "", ""],  # the mean of two seeds; y is not here
        "m01": ["0.520", "", ""],
    }
    assert {name: [cell.text for cell in row] for name, row in auroc.published} == {
        "m00": ["0.900", "0.700", "0.800"],
        "Other": ["0.400", "0.200", "0.300"],
        "Half": ["0.600", "", ""],
    }
    assert [name for name, _ in ap.published] == ["m00"]
    document = Document(render_study(replace(page, results=results, shown=[], tables=[table])))
    assert "published-1" in document.ids
    assert "a paper, Table 4 prints of the same method" in document.words
    assert "A note." in document.words
    below = document.words[document.words.index("What was measured here, means over seeds") :]
    printed = [word for word in below.split() if word in ("m00", "m01", "Other", "Half")]
    assert printed[:5] == ["m00", "m00", "m01", "Other", "Half"]  # ours, then what was printed of the same
    assert "m00 0.510 m00 published 0.900 0.700 0.800 m01 0.520 Other published" in document.words
    unlike = replace(table, measured=[])
    assert study.published_table(unlike, results)["groups"][0].rows == []


def test_how_often_each_method_is_in_which_place_is_told_where_its_paper_does(page):
    assert "places" not in Document(render_study(page)).ids
    document = Document(render_study(replace(page, placed=("image_auroc", "unknown"))))
    assert "places" in document.ids
    assert "How often in which place: Image AUROC, in every category" in document.words
