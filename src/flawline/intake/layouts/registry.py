"""The layouts that are known."""

from flawline.intake.layouts.aitex import AITEX
from flawline.intake.layouts.annotated import ANNOTATED
from flawline.intake.layouts.base import Layout
from flawline.intake.layouts.kolektorsdd import KOLEKTORSDD, KOLEKTORSDD2
from flawline.intake.layouts.table import TABLE
from flawline.intake.layouts.tree import FOLDERS, MVTEC

# In the order in which one is taken where several explain as much of a folder: loose files alone are 'folders'.
LAYOUTS: dict[str, Layout] = {
    "csv": TABLE,
    "aitex": AITEX,
    "mvtec": MVTEC,
    **ANNOTATED,
    "kolektorsdd2": KOLEKTORSDD2,
    "kolektorsdd": KOLEKTORSDD,
    "folders": FOLDERS,
}
EXPLICIT = frozenset(("csv", *ANNOTATED))  # that name each image: what they name is a photograph
