"""Pages, texts and pictures that Kedro-Viz shows when a person clicks on what was stored."""

import base64
import re
from io import BytesIO
from typing import NewType

from kedro_datasets._typing import HTMLPreview, ImagePreview
from kedro_datasets.pillow import ImageDataset
from kedro_datasets.text import TextDataset

TextPreview = NewType("TextPreview", str)  # Kedro-Viz goes by the type's name, and kedro-datasets has none for a text
# Kedro-Viz puts a page into its own, where the styles of ours would become its own, and where no script runs.
LEFT_OUT = re.compile(
    r"<(head|style|script|nav)\b.*?</\1>|<!doctype[^>]*>|<(input|label)\b[^>]*>|</?(html|body|label)\b[^>]*>", re.S
)
TAG = re.compile(r"(<[^>]*>)")


class PageDataset(TextDataset):
    """An HTML page."""

    def preview(self) -> HTMLPreview:
        """Return what the page says and shows, without its styles and scripts."""
        return HTMLPreview(as_html_only(LEFT_OUT.sub("", self.load())))


class PlainTextDataset(TextDataset):
    """Some lines of text."""

    def preview(self) -> TextPreview:
        return TextPreview(self.load())


class PictureDataset(ImageDataset):
    """A picture."""

    def preview(self) -> ImagePreview:
        """Return the picture as PNG in base64."""
        stream = BytesIO()
        self.load().save(stream, format="PNG")
        return ImagePreview(base64.b64encode(stream.getvalue()).decode())


def as_html_only(page: str) -> str:
    """Return a page in one line without what Kedro-Viz, which takes all HTML for Markdown too, would make something of:
    the _ in a name would begin a slanted text, and the end of a line would be drawn."""
    parts = TAG.split(" ".join(page.split()))  # text, tag, text, ..., tag, text
    return "".join(
        part.replace("_", "-") if at % 2 else part.replace("_", "<u>&nbsp;</u>").replace("*", "&lowast;")
        for at, part in enumerate(parts)
    )
