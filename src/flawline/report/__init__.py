"""One self-contained HTML page a run: what was found first, then the evidence, then the settings."""

from flawline.report.contents import Example, InspectionPage, MethodResult, Page, Threshold
from flawline.report.page import render_inspection, render_page

__all__ = ["Example", "InspectionPage", "MethodResult", "Page", "Threshold", "render_inspection", "render_page"]
