"""One self-contained HTML page a run: what was found first, then the evidence, then the settings."""

from flawline.report.contents import (
    AlignmentShown,
    CategoryShown,
    DataPage,
    Detectability,
    GridImage,
    InspectionPage,
    JudgedImage,
    MethodResult,
    PublishedTable,
    RunPage,
    SampleReconstructions,
    StudyPage,
    Suitability,
    Threshold,
    Thumbnail,
)
from flawline.report.data_page import render_data_page
from flawline.report.inspection_page import render_inspection
from flawline.report.run_page import render_run
from flawline.report.study_page import render_study

__all__ = [
    "AlignmentShown",
    "CategoryShown",
    "DataPage",
    "Detectability",
    "GridImage",
    "InspectionPage",
    "JudgedImage",
    "MethodResult",
    "PublishedTable",
    "RunPage",
    "SampleReconstructions",
    "StudyPage",
    "Suitability",
    "Threshold",
    "Thumbnail",
    "render_data_page",
    "render_inspection",
    "render_run",
    "render_study",
]
