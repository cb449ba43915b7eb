"""One self-contained HTML page a run: what was found first, then the evidence, then the settings."""

from flawline.report.contents import (
    Applicability,
    DataPage,
    Example,
    InspectionPage,
    MethodResult,
    Page,
    Sketches,
    Threshold,
    Thumbnail,
)
from flawline.report.data_page import render_data_page
from flawline.report.page import render_inspection, render_page

__all__ = [
    "Applicability",
    "DataPage",
    "Example",
    "InspectionPage",
    "MethodResult",
    "Page",
    "Sketches",
    "Threshold",
    "Thumbnail",
    "render_data_page",
    "render_inspection",
    "render_page",
]
