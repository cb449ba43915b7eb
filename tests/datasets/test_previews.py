"""What Kedro-Viz shows of pages, texts, tables and pictures, asked as Kedro-Viz asks."""

import base64
import json
from io import BytesIO

import pytest
from kedro_viz.models.flowchart.node_metadata import DataNodeMetadata
from kedro_viz.models.flowchart.nodes import GraphNode
from PIL import Image

from flawline.datasets import PageDataset, PictureDataset, PlainTextDataset
from flawline.datasets.previews import as_html_only

# As docs/tracking.md has it.
SHOWN = {
    "report": "HTMLPreview",
    "data_report": "HTMLPreview",
    "summary": "TextPreview",
    "data_summary": "TextPreview",
    "cae.model_card": "TextPreview",
    "cae.metrics": "JSONPreview",
    "cae.thresholds": "JSONPreview",
    "cae.suitability": "JSONPreview",
    "pseudo_gallery": "ImagePreview",
    "comparison": "TablePreview",
    "cae.operating_points": "TablePreview",
    "cae.detectability": "TablePreview",
    "cae.verdicts": "TablePreview",
    "cae.scores": "TablePreview",
    "cae.history": "TablePreview",
    "manifest": "TablePreview",
    "quarantine": "TablePreview",
}


def shown(dataset, name="it"):
    """Return a dataset's preview as Kedro-Viz answers it, and the kind that its page goes by."""
    node = GraphNode.create_data_node(name, name, None, set(), dataset, None)
    metadata = DataNodeMetadata(data_node=node)
    return metadata.preview, metadata.preview_type


@pytest.mark.parametrize(("name", "kind"), SHOWN.items())
def test_what_a_run_stores_has_a_preview(finished_once, name, kind):
    preview, found = shown(finished_once.opened().catalog.get(name), name)
    assert found == kind
    assert preview
    json.dumps(preview, allow_nan=True)


def test_a_page_is_shown_without_what_would_change_kedro_viz(tmp_path):
    page = PageDataset(filepath=str(tmp_path / "a.html"))
    page.save(
        '<!doctype html><html lang="en"><head><title>t</title><style>body { margin: 0 }</style></head>\n'
        '<body><nav><a href="#x">x</a></nav><style media="print">p {}</style><main>\n<h1>a_b_c</h1>\n'
        '<label for="z">pick</label><input id="z"><p id="d_e">1 &lt; 2</p></main><script>run()</script></body></html>'
    )
    preview, kind = shown(page)
    assert kind == "HTMLPreview"
    line = "a<u>&nbsp;</u>b<u>&nbsp;</u>c"
    assert preview.strip() == f'<main> <h1>{line}</h1> pick<p id="d-e">1 &lt; 2</p></main>'


def test_no_sign_of_markdown_is_left_in_a_page():
    assert as_html_only("<b>f_1 * g_2</b>\n\n<i>h</i>") == ("<b>f<u>&nbsp;</u>1 &lowast; g<u>&nbsp;</u>2</b> <i>h</i>")
    assert as_html_only("") == ""


def test_a_page_of_a_run_keeps_its_figures_and_loses_its_styles(finished_once):
    page, preview = finished_once.load("report"), shown(finished_once.opened().catalog.get("report"))[0]
    assert preview.count("<svg") == page.count("<svg") > 0
    assert preview.count("<table") == page.count("<table") > 0
    assert "<style" in page
    assert not any(each in preview for each in ("<style", "<script", "_", "\n"))


def test_a_text_is_shown_as_it_is(tmp_path):
    text = PlainTextDataset(filepath=str(tmp_path / "a.txt"))
    text.save("method      cae\nimage_auroc_  1.0 <b>\n")
    assert shown(text) == ("method      cae\nimage_auroc_  1.0 <b>\n", "TextPreview")


def test_a_picture_is_shown_as_png(tmp_path):
    picture = PictureDataset(filepath=str(tmp_path / "a.png"))
    picture.save(Image.new("RGB", (3, 2), (255, 0, 7)))
    preview, kind = shown(picture)
    assert kind == "ImagePreview"
    back = Image.open(BytesIO(base64.b64decode(preview)))
    assert (back.format, back.size, back.getpixel((2, 1))) == ("PNG", (3, 2), (255, 0, 7))


def test_what_is_not_there_has_no_preview(tmp_path):
    for kind, name in ((PageDataset, "a.html"), (PlainTextDataset, "a.txt"), (PictureDataset, "a.png")):
        assert shown(kind(filepath=str(tmp_path / name)))[0] is None
