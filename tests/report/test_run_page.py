import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from document import Document

from flawline.report import (
    AlignmentShown,
    MethodResult,
    RunPage,
    SampleReconstructions,
    Suitability,
    render_run,
    tables,
    words,
)
from flawline.report.run_page import shown_each
from flawline.report.words import DASH


def empty(*columns):
    return pd.DataFrame({name: [] for name in columns})


@pytest.fixture
def bare(scores):
    """A method of which nothing but scores of good images is known."""
    return MethodResult(method="bare", metrics={}, scores=scores[scores["label"] == 0])


@pytest.fixture
def nothing():
    return RunPage(
        "Report", "bottle", [], [], empty("split", "normal", "defective"), empty("path", "reason"), settings={}, ids={}
    )


def test_full_page_has_every_section(page):
    document = Document(render_run(page))
    sections = ["found", "notes", "verdicts", "method-1", "curves", "metrics", "data", "quarantine", "settings", "ids"]
    assert [name for name in document.ids if name in sections] == sections
    assert len(document.ids) == len(set(document.ids))


def test_the_headline_comes_first(page):
    html = render_run(page)
    assert re.search(r"<h1>cae finds 1 of 2 defective bottles\.</h1>", html)
    assert Document(html).tags.count("h1") == 1


def test_page_fetches_nothing(page):
    html = render_run(page)
    document = Document(html)
    assert document.addresses
    assert all(address.startswith(("data:image/", "#")) for address in document.addresses)
    assert "url(http" not in html
    assert "script" not in document.tags
    assert "default-src 'none'" in html


def test_links_lead_somewhere(page):
    document = Document(render_run(page))
    assert {address[1:] for address in document.addresses if address.startswith("#")} <= set(document.ids)


def test_names_are_escaped(page, method, example):
    name = "<script>alert(1)</script>.png"
    bad = replace(method, method=name, worst=[replace(example, name=name, defect=name)])
    quarantine = pd.DataFrame({"path": [name], "reason": [name]})
    html = render_run(replace(page, methods=[bad], quarantine=quarantine, settings={name: name}, found=[name]))
    assert "<script" not in html
    assert "script" not in Document(html).tags
    assert "&lt;script&gt;alert(1)" in html


def test_verdicts_overkill_and_escapes_are_counted(page):
    words = Document(render_run(page)).words
    assert "2 pass below the threshold 0 review" in words
    assert "1 overkill good parts rejected, 50 % of 2" in words
    assert "1 escapes defective parts passed, 50 % of 2" in words


def test_metrics_stand_beside_the_published_and_the_oracle_apart(page):
    words = Document(render_run(page)).words
    assert "CAE, a paper, Table 1 published 0.910" in words
    assert words.index("cae 0.750 0.500") < words.index("With the test labels' help (oracle)")
    assert words.index("With the test labels' help (oracle)") < words.index("cae 0.800")


def test_absent_metrics_say_why(page):
    words = Document(render_run(page)).words
    assert f"cae {DASH} {DASH}" in words
    assert "Pixel AUROC, AUPRO 30 % : no masks" in words


def test_thresholds_say_what_they_promise(page):
    assert "image 0.5 at most 1 good part in 20 goes beyond it" in Document(render_run(page)).words


def test_settings_are_grouped_and_readable(page):
    assert "cae train.epochs 2 patch.size 8, 8 note none" in Document(render_run(page)).words


def test_strip_shows_photograph_reconstruction_map_and_verdict(page, example, method):
    html = render_run(page)
    captions = re.findall(r'alt="([a-z ]+) of test/scratch/000.png"', html)
    assert captions == ["photograph", "reconstruction", "anomaly map", "verdict"] * 2
    plain = replace(method, worst=[replace(example, reconstruction=None)], best=[])
    assert render_run(replace(page, methods=[plain])).count("<img") == 3


def test_suitability_stands_with_the_method(page, method):
    said = Suitability("unsuited", "noise is not <reconstructed>", "doubtful", "few components")
    html = render_run(replace(page, methods=[replace(method, suitability=said)]))
    assert (
        "Does this material suit an autoencoder? unsuited noise is not <reconstructed> "
        "before training: doubtful few components"
    ) in Document(html).words
    assert 'class="chip unsuited"' in html
    assert "<reconstructed>" not in html
    assert "suit an autoencoder" not in render_run(page)


def test_every_verdict_on_the_material_has_colours_of_its_own_in_both_modes(page):
    html = render_run(page)
    for verdict in ("suited", "doubtful", "unsuited"):
        assert f".chip.{verdict} {{ --dot: var(--{verdict}); }}" in html
        assert len(set(re.findall(rf"--{verdict}: (#\w+);", html))) == 2  # light and dark; print is as light


def test_patch_losses_are_among_the_methods_charts(page, method):
    losses = pd.DataFrame({"mask_share": [0.0, 0.5], "loss": [1.0, 2.0]})
    before = Document(render_run(page)).tags.count("svg")
    document = Document(render_run(replace(page, methods=[replace(method, patch_losses=losses)])))
    assert document.tags.count("svg") == before + 1
    assert "Losses of normal and of defective patches" in document.words
    empty_losses = replace(page, methods=[replace(method, patch_losses=losses.head(0))])
    assert Document(render_run(empty_losses)).tags.count("svg") == before


def test_sample_reconstructions_show_the_patches_and_what_became_of_them(page, method):
    patches = np.full((2, 1, 8, 8), 0.5, np.float32)
    drawn = SampleReconstructions(patches, {0: patches, 1: patches, 2: patches})
    html = render_run(replace(page, methods=[replace(method, sample_reconstructions=drawn)]))
    stages = ["input", "untrained", "after 1 epoch", "after 2 epochs"]
    wanted = [f"patch {patch}, {stage}" for stage in stages for patch in (1, 2)]
    assert re.findall(r'alt="(patch [^"]*)"', html) == wanted
    assert "input untrained after 1 epoch after 2 epochs" in Document(html).words
    assert "patch 1" not in render_run(page)
    none = SampleReconstructions(patches[:0], {0: patches[:0]})
    assert "Sample reconstructions" not in render_run(
        replace(page, methods=[replace(method, sample_reconstructions=none)])
    )


def test_pseudo_defects_that_a_method_learned_with_are_shown(page, method):
    sheet = np.full((40, 60, 3), 90, np.uint8)
    html = render_run(replace(page, methods=[replace(method, pseudo_gallery=sheet)]))
    document = Document(html)
    assert words.PSEUDO in document.words
    assert 'width="60" height="40" alt="pseudo-defects of cae' in html
    assert words.PSEUDO not in Document(render_run(page)).words


def test_a_published_training_time_is_printed_whole(page, method):
    ours = replace(method, metrics={"train_seconds": 112.4})
    published = pd.DataFrame({"method": ["CAE"], "source": ["Table 1"], "train_seconds": [212.0]})
    words = Document(render_run(replace(page, methods=[ours], published=published))).words
    assert "Training method Training, s cae 112 CAE, Table 1 published 212 Training, s seconds of the training" in words


def test_page_of_nothing(nothing):
    words = Document(render_run(nothing)).words
    assert "No image has been judged yet." in words
    assert "No method has been measured yet." in words
    assert "Every file could be used." in words


def test_page_without_defective_images(page, bare):
    verdicts = pd.DataFrame({"image": ["c", "d"], "verdict": ["pass", "review"], "score": [0.1, 0.7]})
    words = Document(render_run(replace(page, methods=[replace(bare, verdicts=verdicts)], published=None))).words
    assert "0 overkill good parts rejected, 0 % of 2" in words
    assert "Escapes cannot be counted: none of these images is known to be defective." in words


def test_page_without_any_test_image(page, bare):
    none = replace(bare, scores=bare.scores[bare.scores["split"] != "test"], verdicts=empty("image", "verdict"))
    words = Document(render_run(replace(page, methods=[none], published=None))).words
    assert "No image has been judged yet." in words
    assert "No image to show." in words


def test_page_of_a_method_without_scores(page, bare):
    document = Document(render_run(replace(page, methods=[replace(bare, scores=bare.scores.head(0))])))
    assert "svg" not in document.tags


def test_page_without_masks(page, method, example):
    plain = replace(method, worst=[replace(example, mask=None, label=None, defect=None, map_threshold=None)])
    assert "score 0.9" in Document(render_run(replace(page, methods=[plain]))).words


def test_long_quarantine_is_cut_and_summed_up(page):
    files = pd.DataFrame(
        {"path": [f"file-{i:03d}.png" for i in range(500)], "reason": ["too dark"] * 480 + ["empty"] * 20}
    )
    words = Document(render_run(replace(page, quarantine=files))).words
    assert len(re.findall(r"file-\d+", words)) == 20
    assert "could not be used: too dark (480); empty (20)." in words
    assert "and 480 more." in words


def test_thresholds_on_other_scales_keep_their_digits(page, method):
    limits = {
        name: SimpleNamespace(value=value, promise="few") for name, value in (("reject", 4781.25), ("pixel", 0.00431))
    }
    words = Document(render_run(replace(page, methods=[replace(method, thresholds=limits)]))).words
    assert "reject 4781 few pixel 0.00431 few" in words


NO_CHOICE = pd.DataFrame(columns=["align", "chosen"])


def test_alignment_names_what_is_lost_and_what_is_cut_the_largest_first(page):
    lost = pd.DataFrame({"image": ["a.png"], "split": ["test"], "reason": ["is blank"]})
    cut = pd.DataFrame({"image": ["b.png", "c.png"], "split": ["train", "test"], "outside": [3, 120]})
    left = pd.DataFrame({"image": ["d.png"], "split": ["test"], "reason": ["is blank: not turned"]})
    words = Document(
        render_run(replace(page, alignment=AlignmentShown("It looks the same.", 7, lost, cut, left, NO_CHOICE)))
    ).words
    assert "1 photograph has no clear orientation and was not turned. image split reason d.png test is blank" in words
    assert "It looks the same. 1 of 7 photographs could not be brought into the frame" in words
    assert "image split reason a.png test is blank" in words
    assert "Of 2 photographs the frame cuts off some of the part" in words
    assert "image split pixels outside c.png test 120 b.png train 3" in words


def test_alignment_without_losses_is_one_sentence_and_none_without_alignment(page):
    assert "alignment" not in Document(render_run(page)).ids
    shown = AlignmentShown(
        "It looks the same.", 7, *[pd.DataFrame(columns=["image", "split", "outside"])] * 3, NO_CHOICE
    )
    words = Document(render_run(replace(page, alignment=shown))).words
    assert "All 7 photographs were brought into the frame of the reference." in words
    assert "cuts off" not in words
    assert "not turned" not in words


def test_several_methods_share_one_table_of_verdicts(page, method):
    other = replace(method, method="vae", metrics={"image_auroc": 0.9})
    html = render_run(replace(page, methods=[method, other]))
    assert "vae 2 0 2 0 1, 50 % of 2 (1.3 to 99 %) 1, 50 % of 2 (1.3 to 99 %)" in Document(html).words
    assert '<td class="best">0.900</td>' in html
    assert '<td class="best">0.750</td>' not in html


def test_page_of_large_images_stays_small(page, method, example):
    rng = np.random.default_rng(0)
    photograph = rng.integers(0, 255, (1, 3672, 5496), np.uint8)
    large = replace(
        example, image=photograph, anomaly_map=np.zeros((3672, 5496), np.float16), mask=None, reconstruction=None
    )
    html = render_run(replace(page, methods=[replace(method, worst=[large, large], best=[])]))
    assert len(html) < 2_000_000
    assert 'width="480" height="321"' in html


def test_examples_beyond_the_limit_are_left_out(page, method, example):
    html = render_run(replace(page, methods=[replace(method, worst=[example] * 30, best=[])]))
    assert html.count('class="strip"') == 8


def test_of_many_methods_each_shows_fewer_examples(page, method, example):
    many = [replace(method, method=f"m{i}", worst=[example] * 6, best=[example] * 6) for i in range(12)]
    html = render_run(replace(page, methods=many))
    assert html.count('class="strip"') == 72
    assert Document(html).words.count("and 6 more of the most and the least anomalous") == 12
    few = render_run(replace(page, methods=many[:6]))
    assert few.count('class="strip"') == 72
    assert "more of the most" not in few
    assert shown_each(100) == 2


def test_a_history_shows_whatever_series_it_has(page):
    first = page.methods[0]
    history = first.history.assign(critic_loss=-0.5, auc=0.75, seconds=3.0)
    words = Document(render_run(replace(page, methods=[replace(first, history=history)]))).words
    assert "Training 0 1 epoch" not in words
    assert "critic loss" in words
    assert "auc" in words
    assert "seconds" not in words
    without = replace(page, methods=[replace(first, history=history[["epoch", "seconds"]])])
    assert Document(render_run(without)).tags.count("svg") == Document(render_run(page)).tags.count("svg") - 1


def test_pictures_come_before_tables(page):
    html = render_run(page)
    assert html.rindex("<img") < html.index("<table")


def test_a_method_without_a_map_has_no_empty_frame_and_no_legend_of_maps(page, method, example):
    whole = replace(
        example, anomaly_map=np.zeros((0, 0), np.float16), reconstruction=None, map_threshold=None, regions=[]
    )
    limits = {name: limit for name, limit in method.thresholds.items() if name != "pixel"}
    html = render_run(replace(page, methods=[replace(method, worst=[whole], best=[], thresholds=limits)]))
    assert f"photograph of {whole.name}" in html
    assert f"marked by hand of {whole.name}" in html
    assert "anomaly map" not in html
    assert "beyond the map" not in Document(html).words


def test_projections_are_drawn_beside_each_other(page, method):
    points = pd.DataFrame({"x": [0.0, 1], "y": [0.0, 1], "label": [0, 1]})
    spaces = {"latent codes": points, "embeddings": points, "nothing": points.head(0)}
    document = Document(render_run(replace(page, methods=[replace(method, projections=spaces)])))
    before = Document(render_run(page))
    assert document.tags.count("svg") == before.tags.count("svg") + 2
    assert "Where the test images lie Every test image as a point" in document.words
    assert "Latent codes normal (1) defective (1) Embeddings normal (1)" in document.words
    assert "Where the test images lie" not in before.words


def test_only_methods_that_train_have_a_row_of_training(page, method):
    trained = replace(method, metrics={**method.metrics, "train_seconds": 7.0, "dead_latents": 0.25})
    (table,) = [
        group
        for group in tables.metric_groups([trained, replace(method, method="still")])
        if group.title == words.TRAINING
    ]
    assert [(name, [cell.text for cell in cells]) for name, cells in table.rows] == [("cae", ["7", "0.250"])]


def test_what_many_methods_found_is_a_list(page):
    many = replace(page, found=["Twelve methods.", *(f"m{i} caught {i}." for i in range(12))])
    assert Document(render_run(many)).tags.count("li") >= 12
    assert "m11 caught 11." in Document(render_run(many)).words


def test_the_choice_of_an_alignment_stands_with_its_figures_even_if_nothing_was_aligned(page):
    figures = ("auroc", "behind", "error", "pseudo_auroc", "misplaced_auroc", "aligned_share", "angle_spread",
               "shift_spread")  # fmt: skip
    tried = {"align": "rigid", "chosen": False, "reason": "shows no part"} | dict.fromkeys(figures, np.nan)
    plain = tried | {"align": "none", "chosen": True, "reason": "", "auroc": 0.9, "pseudo_auroc": 0.87654}
    plain |= {"misplaced_auroc": 1.0, "aligned_share": 1.0, "behind": 0.01, "error": 0.0234}
    empty = [pd.DataFrame(columns=["image", "split", "outside"])] * 3
    shown = AlignmentShown("", 7, *empty, pd.DataFrame([plain, tried]))
    words = Document(render_run(replace(page, alignment=shown))).words
    assert "none (chosen) 0.900 0.010 ± 0.023 0.877 1.000 100%" in words
    assert "shows no part" in words
    assert "were brought into the frame" not in words


CHOICE = pd.DataFrame(
    [
        ["plain", "patch_memory", "highest 1 %", 32.0, False, 0.80, 0.10, 0.02, 0.4, 0.9, 2, 3.2, "clearly behind"],
        ["wide", "patch_memory", "maximum", 32.0, True, 0.90, 0.0, 0.0, 0.6, 0.75, 4, 9.0, "the best"],
        ["odd", "patch_memory", "", np.nan, False, *[np.nan] * 5, 0, 0.1, "needs images of one size"],
    ],
    columns=["candidate", "method", "image_score", "least_seen", "chosen", "auroc", "behind", "error", "detected",
             "stable", "folds", "seconds", "reason"],
)  # fmt: skip
FOUND = pd.DataFrame(
    [["line", 1.0, 10, 1.0], ["line", 0.5, 10, 0.8], ["stain", 1.0, 10, 0.5], ["stain", 0.5, 10, 0.125]],
    columns=["kind", "strength", "defects", "found"],
)


def with_choice(page, choice=CHOICE, found=FOUND):
    first, *others = page.methods
    return replace(page, methods=[replace(first, choice=choice, found_by_kind=found), *others])


def test_the_choice_of_a_method_stands_with_what_each_candidate_was_worth_the_chosen_one_first(page):
    said = Document(render_run(with_choice(page))).words
    assert "Why this method" in said
    assert "wide (chosen) maximum 0.900 0.000 ± 0.000 60% 75% 9 the best plain highest 1 % 0.800 0.100 ± 0.020" in said
    assert f"odd {DASH} {DASH} {DASH} {DASH} 0 needs images of one size" in said
    assert "Why this method" not in Document(render_run(page)).words


def test_photographs_that_are_looked_at_smaller_say_what_may_be_missed(page):
    assert "pixels across" not in Document(render_run(with_choice(page))).words
    said = Document(render_run(with_choice(page, CHOICE.assign(least_seen=125.0)))).words
    assert "what is less than 125 pixels across may be missed" in said
    few = CHOICE.head(1).assign(chosen=True, auroc=np.nan, least_seen=125.0)
    assert "what is less than 125 pixels across may be missed" in Document(render_run(with_choice(page, few))).words


def test_what_the_chosen_method_finds_least_stands_first(page):
    said = Document(render_run(with_choice(page))).words
    assert "pseudo-defect strength 1 strength 0.5 stain 50% 12% line 100% 80%" in said
    untried = CHOICE.head(1).assign(chosen=True, auroc=np.nan, reason="3 images are too few")
    said = Document(render_run(with_choice(page, untried, FOUND.head(0)))).words
    assert words.FINDS_TITLE not in said
    assert "chose plain with the image score 'highest 1 %': 3 images are too few." in said


def finding(page, method, found):
    return Document(render_run(replace(page, methods=[replace(method, detectability=found)])))


def test_what_is_found_and_missed_stands_in_one_section_with_curves_sizes_and_real_rates(page, method, found):
    document = finding(page, method, found)
    assert document.words.count(words.FINDS_TITLE) == 1
    assert "Probability of detection: stain" in document.words
    assert "stain 0.1 5 of 20 20 30 beyond 40 stain 0.2 15 of 20 below 4 8 12 a remark" in document.words
    assert "16 to 32 3 of 4 75% 19% to 99% 40% to 80%" in document.words
    assert words.KINDS not in document.words
    assert document.tags.count("svg") == Document(render_run(page)).tags.count("svg") + 1
    assert words.FINDS_TITLE not in Document(render_run(page)).words


def test_sizes_are_millimetres_where_the_scale_is_known(page, method, found):
    said = finding(page, method, replace(found, mm_per_pixel=0.05)).words
    assert "a90/95, mm" in said
    assert "stain 0.2 15 of 20 below 0.2 0.4 0.6 a remark" in said
    assert "0.8 to 1.6 3 of 4" in said
    assert "size, mm: diameter" in said


def test_where_nothing_was_tried_that_is_said_and_real_defects_are_counted_all_the_same(page, method, found):
    none = replace(found, table=found.table.head(0), curves=found.curves.head(0), counted=found.counted.head(0))
    said = finding(page, method, none).words
    assert words.FINDS_NONE in said
    assert "16 to 32 3 of 4" in said
    assert words.FINDS not in said
