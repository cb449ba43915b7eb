"""What the script of a page does, in a real browser: each test opens a page anew and does what a person would."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from browser import Browser, find_browser
from document import Document

from flawline.detector.decisions import COLUMNS
from flawline.figures import thumbnail, webp
from flawline.figures.encoding import data_uri
from flawline.report import GridImage, render_inspection, render_run

AWFUL = "line 1/</script><script>document.title = 'x'</script>\"'&amp;ä\N{BOTTLE WITH POPPING CORK}.png"
SMALL = data_uri(webp(thumbnail(np.full((3, 40, 60), 120, np.uint8))))
FORMULA = '=1+1,"a"\n2'  # a note that must come back as it was
FOCUSED = "document.activeElement.title"
SHOWN = "[...document.querySelectorAll('#cards .card > button')].map((button) => button.title)"
BANDS = (
    "[...document.querySelectorAll('#bands tbody tr')]"
    ".map((row) => [...row.cells].slice(1).map((cell) => +cell.textContent))"
)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = find_browser()
    if program is None:
        pytest.skip("no browser: Chromium or Chrome is not installed")
    browser = Browser(program, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()


def image(name, score, label, verdict, **more):
    return GridImage(name, verdict, score, SMALL, SMALL, label=label, **more)


@pytest.fixture
def tested(page, method, limits):
    """Six test images: two good, three defective, one that was not judged; rejected above 0.5, reviewed above 0.3."""
    grid = [
        image("test/hole/0.png", 0.9, 1, "reject", defect="hole", pictures={"photograph": SMALL, "anomaly map": SMALL},
              regions=[(0.25, 0.5, 0.1, 0.2)]),
        image("test/good/0.png", 0.7, 0, "reject"),
        image("test/scratch/000.png", 0.4, 1, "review", defect="scratch"),  # stands on the page as a strip
        image(AWFUL, 0.2, 1, "pass", defect="<b>dent</b>"),
        image("test/good/1.png", 0.1, 0, "pass"),
        GridImage("test/hole/lost.png", "not_judged", None, label=1, defect="hole", reason="cannot be aligned"),
    ]  # fmt: skip
    return replace(page, methods=[replace(method, grid=grid, thresholds=limits)])


@pytest.fixture
def limits(method):
    (limit, _) = method.thresholds.values()
    return {"reject": limit, "review": replace_value(limit, 0.3)}


def replace_value(limit, value):
    return type(limit)(value=value, promise=limit.promise)


@pytest.fixture
def inspected(inspection):
    grid = [
        image("c.png", 0.95, None, "reject", sha256="cc", file="../nowhere/c.png"),
        image(AWFUL, 0.45, None, "review", sha256="aa"),
        image("a.png", 0.1, None, "pass", sha256="bb"),
        GridImage("d.png", "not_judged", None, reason="cannot be decoded"),
    ]
    return replace(inspection, grid=grid, thresholds={"reject": 0.5, "review": 0.3})


@pytest.fixture
def opened(browser, tmp_path):
    """Open a page of which nothing has been decided; the test fails if the browser complains of anything."""

    def open_page(html, **size):
        path = tmp_path / "page.html"
        path.write_text(html, encoding="utf-8")
        browser.open(path, **size)
        browser.run("localStorage.clear()")
        browser.open(path, **size)
        return browser

    yield open_page
    assert browser.errors == []


def enter(browser, selector, value, event="input"):
    browser.run(f"""(() => {{ const field = document.querySelector({selector!r});
        field[field.type === "checkbox" ? "checked" : "value"] = {json.dumps(value)};
        field.dispatchEvent(new Event({event!r}, {{ bubbles: true }})); }})()""")


def test_the_grid_has_every_image_the_highest_score_first_and_names_are_only_names(opened, tested):
    browser = opened(render_run(tested))
    names = [each.name for each in tested.methods[0].grid]
    assert browser.run(SHOWN) == names
    assert browser.run("document.title") == "Report of a run: bottle"
    assert browser.run("document.querySelector('#kind').textContent") == "all<b>dent</b>goodholescratch"
    assert browser.run("[...document.images].every((each) => each.hasAttribute('alt'))")


def test_at_the_calibrated_thresholds_the_counts_are_those_of_the_verdicts(opened, tested):
    browser = opened(render_run(tested))
    assert browser.run(BANDS) == [[1, 0, 1, 0], [1, 1, 1, 1]]  # good, defective: pass, review, reject, not judged
    assert "Escapes (defective, pass): 1. Overkill (good, reject): 1." in browser.run("told.textContent")


def test_each_press_on_a_threshold_lets_one_image_more_through_and_review_never_lies_above_reject(opened, tested):
    browser = opened(render_run(tested))
    browser.run("document.getElementById('limit-reject').focus()")
    browser.press("ArrowRight")
    assert browser.run(BANDS) == [[1, 1, 0, 0], [1, 1, 1, 1]]
    assert browser.run("document.getElementById('value-reject').textContent") == "0.8"
    assert "by their scores alone" in browser.run("moved.textContent")
    browser.press("Home")
    assert browser.run(BANDS) == [[0, 0, 2, 0], [0, 0, 3, 1]]
    assert browser.run("document.getElementById('value-review').textContent") == browser.run(
        "document.getElementById('value-reject').textContent"
    )
    assert browser.run("document.querySelector('#cards .card:nth-child(5) .flag').textContent") == "overkill"
    browser.run("reset.click()")
    assert browser.run(BANDS) == [[1, 0, 1, 0], [1, 1, 1, 1]]


def test_a_verdict_that_hangs_on_more_than_the_score_stands_until_a_threshold_is_moved(opened, tested):
    (method,) = tested.methods
    small = [replace(each, verdict="pass") if each.name == "test/good/0.png" else each for each in method.grid]
    browser = opened(render_run(replace(tested, methods=[replace(method, grid=small)])))
    assert browser.run(BANDS)[0] == [2, 0, 0, 0]
    assert "1 verdicts hang on more than the score" in browser.run("moved.textContent")
    browser.run("document.getElementById('limit-review').focus()")
    browser.press("ArrowLeft")
    assert browser.run(BANDS)[0] == [1, 0, 1, 0]


def test_costs_are_those_of_the_images_at_the_thresholds(opened, tested):
    browser = opened(render_run(replace(tested, settings={"evaluation.costs.escape": 100})))
    assert browser.run("document.getElementById('cost-escape').value") == "100"
    assert "Fill in all three" in browser.run("cost.textContent")
    enter(browser, "#cost-overkill", "10")
    enter(browser, "#cost-review", "1")
    assert "Cost of these 6 test images: 111." in browser.run("cost.textContent")  # 1 escape, 1 overkill, 1 review
    browser.run("document.getElementById('limit-reject').focus()")
    browser.press("End")
    assert "images: 103." in browser.run("cost.textContent")  # 1 escape, no overkill, 3 reviews


def test_filters_by_verdict_kind_name_and_mistake_and_the_count_is_told(opened, tested):
    browser = opened(render_run(tested))
    enter(browser, "input[value=reject]", False)
    assert browser.run(SHOWN) == ["test/scratch/000.png", AWFUL, "test/good/1.png", "test/hole/lost.png"]
    assert browser.run("shown.textContent") == "4 of 6 images shown."
    enter(browser, "#kind", "hole")
    assert browser.run(SHOWN) == ["test/hole/lost.png"]
    enter(browser, "#kind", "")
    enter(browser, "input[value=reject]", True)
    enter(browser, "#mistakes", True)
    assert browser.run(SHOWN) == ["test/good/0.png", AWFUL]
    enter(browser, "#search", "LINE 1")
    assert browser.run(SHOWN) == [AWFUL]
    enter(browser, "#search", "nobody")
    assert browser.run("shown.textContent") == "0 of 6 images shown."


def test_keys_lead_from_image_to_image_open_one_and_lead_back(opened, tested):
    browser = opened(render_run(tested))
    assert browser.run("document.querySelectorAll('#cards button[tabindex=\"0\"]').length") == 1
    browser.run("document.querySelector('#cards button').focus()")
    assert browser.run("getComputedStyle(document.activeElement).outlineWidth") == "3px"
    browser.press("ArrowRight", "ArrowRight")
    assert browser.run(FOCUSED) == "test/scratch/000.png"
    browser.press("Enter")
    assert browser.run("large.open")
    pictures = "[...document.querySelectorAll('#large-pictures figcaption')].map((each) => each.textContent)"
    assert browser.run(pictures) == ["photograph", "reconstruction", "anomaly map", "verdict"]  # the strip's
    browser.press("ArrowLeft", "ArrowLeft")
    assert browser.run("document.getElementById('large-name').textContent") == "test/hole/0.png"
    assert browser.run(pictures) == ["photograph", "regions", "anomaly map"]
    assert browser.run("document.querySelector('.boxes i').style.cssText") == (
        "top: 25%; left: 50%; height: 10%; width: 20%;"
    )
    browser.press("ArrowLeft")  # there is none before the first
    browser.press("Escape")
    assert not browser.run("large.open")
    assert browser.run(FOCUSED) == "test/hole/0.png"
    browser.press("End")
    assert browser.run(FOCUSED) == "test/hole/lost.png"


def test_a_click_opens_an_image_and_m_shows_all_heat_maps(opened, tested):
    browser = opened(render_run(tested))
    browser.run("document.querySelectorAll('#cards .frame')[3].click()")
    assert browser.run("document.getElementById('large-name').textContent") == AWFUL
    assert "defective (<b>dent</b>)" in browser.run("document.getElementById('large-facts').textContent")
    browser.press("Escape", "m")
    assert browser.run("document.getElementById('cards').className") == "heated"
    browser.run("search.focus()")
    browser.press("m")  # is a letter here
    assert browser.run("search.value") == "m"
    assert browser.run("heated.checked")


def test_several_methods_share_photographs_and_have_grids_of_their_own(opened, tested):
    (method,) = tested.methods
    other = replace(method, method="vae", grid=[replace(each, verdict="pass") for each in method.grid[:3]], worst=[])
    html = render_run(replace(tested, methods=[method, other]))
    assert html.count(SMALL) == 5 + 1 + 8 + 1 * 2  # thumbnails, a photograph, heat maps of both, the larger maps
    browser = opened(html)
    enter(browser, "#method", "1", "change")
    assert browser.run(BANDS) == [[1, 0, 0, 0], [2, 0, 0, 0]]
    assert browser.run(SHOWN) == [each.name for each in other.grid]


def test_of_new_images_verdicts_are_counted_and_it_is_said_that_labels_are_not_known(opened, inspected):
    browser = opened(render_inspection(inspected))
    assert browser.run(BANDS) == [[1, 1, 1, 1]]
    assert "Labels are not known" in browser.run("told.textContent")
    browser.run("document.getElementById('limit-review').focus()")
    browser.press("ArrowLeft", "ArrowLeft")
    assert browser.run(BANDS) == [[0, 2, 1, 1]]


def test_decisions_are_saved_as_csv_and_kept_and_come_back(opened, inspected, tmp_path):
    browser = opened(render_inspection(inspected))
    browser.run("document.querySelector('#cards [data-decision=good]').click()")
    assert browser.run("decided.textContent") == "1 of 2 decided."
    browser.run("document.querySelectorAll('#cards .card > button')[1].click()")
    browser.press("d")
    enter(browser, "#note", FORMULA.replace("\n", " "))
    browser.press("Escape")
    browser.run("save.click()")
    table = browser.downloaded("decisions.csv")
    saved = table.rename(tmp_path / "saved.csv")
    found = pd.read_csv(saved, dtype=str, keep_default_na=False)
    assert tuple(found.columns) == COLUMNS
    assert found.to_numpy().tolist() == [
        ["c.png", "cc", "reject", "0.95", "good", ""],
        [AWFUL, "aa", "review", "0.45", "defective", FORMULA.replace("\n", " ")],
    ]
    browser.open(tmp_path / "page.html")  # the browser kept them
    assert browser.run("decided.textContent") == "2 of 2 decided."
    pressed = "[...document.querySelectorAll('#cards [aria-pressed=true]')].map((each) => each.textContent)"
    assert browser.run(pressed) == ["good", "defective"]
    browser.run("document.querySelector('#cards [data-decision=good]').click()")  # said again: taken back
    assert browser.run("decided.textContent") == "1 of 2 decided."
    browser.run("localStorage.clear()")
    browser.open(tmp_path / "page.html")
    others = [["c.png", "other", "", "", "good", ""], ["gone.png", "", "", "", "good", ""]]
    more = pd.concat([found.assign(note=FORMULA), pd.DataFrame(others, columns=COLUMNS)])
    more.to_csv(saved, index=False, encoding="utf-8-sig")  # as a spreadsheet writes it
    browser.give_file("#load", saved)
    browser.wait("decided.textContent.includes('loaded')")
    assert browser.run("decided.textContent").startswith("2 of 2 decided. 2 loaded; 2 rows are of other images")
    browser.run("document.querySelectorAll('#cards .card > button')[0].click()")
    assert browser.run("note.value") == FORMULA.replace("\n", "")  # a field of one line
    browser.wait("document.querySelectorAll('#large-pictures img')[0].src.startsWith('data:')")
    assert browser.run("document.querySelectorAll('#large-pictures img')[0].src") == SMALL
    assert all("ERR_FILE_NOT_FOUND" in error for error in browser.errors)  # no picture lies beside this page
    browser.errors.clear()


def test_a_file_that_is_no_table_of_decisions_is_refused_with_what_was_wanted(opened, inspected, tmp_path):
    browser = opened(render_inspection(inspected))
    (tmp_path / "other.csv").write_text("image,label\nc.png,good\n")
    browser.give_file("#load", tmp_path / "other.csv")
    browser.wait("decided.textContent.includes('loaded')")
    assert "the file lacks sha256, verdict, score, decision, note" in browser.run("decided.textContent")


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window(opened, tested, inspected, width):
    for html in (render_run(tested), render_inspection(inspected)):
        browser = opened(html, width=width)
        assert browser.run("document.documentElement.scrollWidth") <= width


def test_two_thousand_images_are_listed_a_part_at_a_time_and_all_can_be_reached(opened, inspection):
    grid = [image(f"{i:04}.png", 1 - i / 2000, None, "pass") for i in range(2000)]
    browser = opened(render_inspection(replace(inspection, grid=grid, thresholds={"reject": 2, "review": 1.5})))
    assert browser.run(f"{SHOWN}.length") == 200
    browser.run("document.getElementById('cards').scrollTo(0, 1e6)")
    browser.wait(f"{SHOWN}.length === 400")
    browser.run("document.querySelector('#cards button').focus()")
    browser.press("End")
    assert browser.run(FOCUSED) == "1999.png"
    enter(browser, "#search", "1234")
    assert browser.run(SHOWN) == ["1234.png"]


def test_a_page_runs_its_own_script_and_no_other(opened, tested):
    html = render_run(tested)
    assert Document(html).tags.count("script") == 2  # the data, which is no program, and the script
    injected = html.replace("</body>", "<script>document.title = 'injected'</script></body>")
    browser = opened(injected)
    assert browser.run("document.title") == "Report of a run: bottle"
    assert "Content Security Policy" in browser.errors.pop()
