"""What a page is made of: plain data, filled by the pipelines, read by the templates."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import pandas as pd
from numpy.typing import NDArray

from flawline.figures import Region
from flawline.metrics.decisions import CostChoice


class Threshold(Protocol):
    """A limit on a score and what it promises, in words."""

    @property
    def value(self) -> float: ...
    @property
    def promise(self) -> str: ...
    @property
    def kept(self) -> bool: ...
    @property
    def basis(self) -> str: ...  # what the promise rests on: split, cross or monotone


@dataclass(frozen=True)
class JudgedImage:
    """One image to show, with what the detector made of it."""

    name: str
    image: NDArray  # (C, H, W) uint8, uint16 or float in [0, 1]
    anomaly_map: NDArray  # (H, W), or (0, 0) of a method that judges the image as a whole
    score: float
    verdict: str  # pass, review, reject or not_judged
    p_value: float | None = None  # the share of good parts of which a score as high is to be expected
    reconstruction: NDArray | None = None  # (C, H, W), on the same share of its full scale as the image
    mask: NDArray | None = None  # (H, W) bool, the true defect; None: not known
    label: int | None = None  # 0 normal, 1 defective
    defect: str | None = None  # the defect's kind
    regions: Sequence[Region] = ()
    map_threshold: float | None = None  # map values beyond it are tinted; None tints nothing


@dataclass(frozen=True)
class GridImage:
    """One image of a page's grid, small. Pictures are ``data:`` addresses that hold them; empty where there is none."""

    name: str
    verdict: str  # pass, review, reject or not_judged
    score: float | None  # None: it is not judged
    thumbnail: str = ""
    heat: str = ""  # the anomaly map, at the thumbnail's size
    label: int | None = None  # 0 normal, 1 defective; None: not known
    defect: str = ""
    reason: str = ""
    sha256: str = ""
    pictures: Mapping[str, str] = field(default_factory=dict)  # caption -> address, larger; of a few images
    regions: Sequence[Sequence[float]] = ()  # y, x, height, width of each, as shares of the image; where pictures are
    file: str = ""  # where its picture lies, seen from the page


@dataclass(frozen=True)
class SampleReconstructions:
    """Normal patches that the network never learned from, and what it makes of them while it learns (Schneider 2022,
    Fig. 8)."""

    patches: NDArray  # (n, C, s, s) float in [0, 1]
    reconstructions: Mapping[int, NDArray]  # epochs done (0: untrained) -> (n, C, s, s), in rising order


@dataclass(frozen=True)
class Split:
    """Patches x that were learned from, what the network makes of them, l, and what was taken out of them, s (Alpdemir
    2022, Fig. 4): (n, C, s, s) float each."""

    x: NDArray
    l: NDArray  # noqa: E741 - the paper's letter
    s: NDArray


@dataclass(frozen=True)
class Suitability:
    """Whether the material suits an autoencoder, with the figure behind it."""

    verdict: str  # suited, doubtful or unsuited, from the trained network
    reason: str
    before: str  # the same, from the images alone, before training
    before_reason: str


@dataclass(frozen=True)
class Detectability:
    """Which sizes and contrasts a detector finds, by pseudo-defects and by real ones; the columns are those of
    `flawline.metrics.detectability`, sizes in pixels."""

    table: pd.DataFrame  # TABLE: a row for each kind and contrast
    curves: pd.DataFrame  # CURVES: the probability of detection over the size
    counted: pd.DataFrame  # kind, contrast, size, share, defects: what was counted beside the curves
    rates: pd.DataFrame  # RATES: real defects by their size
    images: int  # good images in which pseudo-defects were judged
    mm_per_pixel: float | None = None  # None: sizes are told in pixels


@dataclass(frozen=True)
class MethodResult:
    """What one method made of the category."""

    method: str
    metrics: Mapping[str, float]
    scores: pd.DataFrame  # image, split, label, defect, score
    absent: Mapping[str, str] = field(default_factory=dict)  # metric -> why it is absent
    curves: Mapping[str, pd.DataFrame] = field(default_factory=dict)  # roc, pr, pixel_roc, pixel_pr, pro
    history: pd.DataFrame | None = None  # epoch, then the series of the training: losses and whatever else it has
    thresholds: Mapping[str, Threshold] = field(default_factory=dict)
    verdicts: pd.DataFrame | None = None  # image, verdict, score, reason; a row an image
    worst: Sequence[JudgedImage] = ()
    best: Sequence[JudgedImage] = ()
    suspicious: pd.DataFrame | None = None  # image, score of the good images that stand out, the highest first
    odd: Sequence[JudgedImage] = ()  # the first of these
    operating_points: pd.DataFrame | None = None  # operating_point, its thresholds, what they promise, what came of it
    by_cost: CostChoice | None = None  # what is expected of thresholds that were chosen by costs
    grid: Sequence[GridImage] = ()  # every test image, the highest score first
    patch_losses: pd.DataFrame | None = None  # mask_share, loss; a row a patch of the test images' scoring grid
    sample_reconstructions: SampleReconstructions | None = None
    split: Split | None = None
    similarity: pd.DataFrame | None = None  # kind, error, ssim; a row an image
    suitability: Suitability | None = None
    projections: Mapping[str, pd.DataFrame] | None = None  # space -> x, y, label; a row a test image
    choice: pd.DataFrame | None = None  # candidate, image_score, chosen, auroc, ...: of a method that was chosen
    found_by_kind: pd.DataFrame | None = None  # kind, strength, defects, found: of pseudo-defects, by the chosen one
    detectability: Detectability | None = None
    pseudo_gallery: NDArray | None = None  # (H, W, 3) uint8: some of the pseudo-defects that it learned with


@dataclass(frozen=True)
class AlignmentShown:
    """How the photographs of a category lie against the reference, and why they were aligned so."""

    orientation: str  # a sentence: whether the part has a unique one; "" where nothing was aligned
    images: int  # photographs in all
    misaligned: pd.DataFrame  # image, split, reason: neither learned from nor judged
    cut: pd.DataFrame  # image, split, outside: pixels of its part that the frame cuts off
    as_they_are: pd.DataFrame  # image, split, reason: have no orientation, so they are not turned
    choice: pd.DataFrame  # align, chosen, auroc, ...: what each alignment was worth; empty where one was named


@dataclass(frozen=True)
class RunPage:
    """The report of one run over one category."""

    title: str
    category: str
    found: Sequence[str]  # plain sentences, the first is the headline
    methods: Sequence[MethodResult]  # the first is the one the verdicts lead with
    counts: pd.DataFrame  # split, normal, defective
    quarantine: pd.DataFrame  # path, reason
    settings: Mapping[str, Any]  # flat name -> value
    ids: Mapping[str, str]  # runs, digests, versions, date
    notes: Sequence[str] = ()  # cautions
    published: pd.DataFrame | None = None  # method, the metrics under the names used here, source if known
    alignment: AlignmentShown | None = None  # None: photographs are taken as they lie


@dataclass(frozen=True)
class CategoryShown:
    """What a study's page shows of one category, from the first seed.

    A method has no thresholded map where there is no threshold, for want of a mask."""

    category: str
    name: str  # of the image below
    image: NDArray  # (C, H, W) uint8, uint16 or float in [0, 1]: a test image
    mask: NDArray | None  # (H, W) bool
    maps: Mapping[str, NDArray]  # method -> (H, W), the anomaly map
    flagged: Mapping[str, NDArray]  # method -> (H, W) bool, the map thresholded as Schneider 2022, Fig. 4 (an oracle)
    patch_losses: Mapping[str, pd.DataFrame]  # method -> mask_share, loss (Fig. 6)
    sample_reconstructions: Mapping[str, SampleReconstructions]  # method -> Fig. 8
    suitability: Mapping[str, Suitability]  # method
    raw_maps: Mapping[str, NDArray] = field(default_factory=dict)  # method -> (H, W), before smoothing
    raw_flagged: Mapping[str, NDArray] = field(default_factory=dict)  # method -> (H, W) bool, at a threshold of its own


@dataclass(frozen=True)
class PublishedTable:
    """A whole table that was published, of which a study has measured a part."""

    source: str
    rows: pd.DataFrame  # category, method, then metrics: all categories and methods, those that are not ours too
    measured: Collection[str]  # the categories of which the study has the same images
    note: str = ""


@dataclass(frozen=True)
class StudyPage:
    """The report of one study: the same methods over categories and seeds, beside what was published."""

    title: str
    found: Sequence[str]  # plain sentences, the first is the headline
    results: pd.DataFrame  # category, seed, method, then metrics; a row each, NaN where a metric is absent
    published: pd.DataFrame  # category, method, source, then metrics under the same names; may be empty
    shown: Sequence[CategoryShown]
    settings: Mapping[str, Any]  # flat name -> value
    ids: Mapping[str, str]  # runs, versions, date
    notes: Sequence[str] = ()  # cautions
    tables: Sequence[PublishedTable] = ()
    candidates: Sequence[str] = ()  # methods to choose from, ties go to the earlier one; empty: all, in their order
    placed: Sequence[str] = ()  # metrics by which the methods are placed, first, second and so on; may be empty


@dataclass(frozen=True)
class InspectionPage:
    """The report of one detector over a folder of new images.

    ``grid`` has every image, the highest score first; ``thresholds`` are reject and review."""

    title: str
    category: str
    found: Sequence[str]
    verdicts: pd.DataFrame  # image, score, threshold, p_value, verdict, reason, y, x, height, width; a row an image
    settings: Mapping[str, Any]
    ids: Mapping[str, str]
    notes: Sequence[str] = ()
    drift: pd.DataFrame = field(default_factory=pd.DataFrame)  # a row a figure; none: nothing was asked
    figures: pd.DataFrame = field(default_factory=pd.DataFrame)  # a row an image, the figures of ``drift``
    pictures: Mapping[str, NDArray] = field(default_factory=dict)
    """Image name -> (H, W, 3) uint8, the photograph with what was found marked, of the rejected and reviewed images.

    The page shows the first of `listed_images`, each small (`shrink_pixels`), and asks for each once: a mapping that
    draws on demand need not hold them all."""
    pictures_at: str = (
        "the folder images, beside the folder report.html of this page"  # where the pictures of all images lie
    )
    grid: Sequence[GridImage] = ()
    thresholds: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Thumbnail:
    """One photograph, small, to show what its group looks like."""

    group: str  # like "train good" or "test scratch"
    name: str
    pixels: NDArray  # (H, W) or (H, W, 3) uint8


@dataclass(frozen=True)
class DataPage:
    """The report of one ingestion: what was in the folder, and whether it can be trusted."""

    title: str
    category: str
    layout: str
    folder: str
    found: Sequence[str]  # plain sentences, the first is the headline
    notes: Sequence[str]  # cautions
    counts: pd.DataFrame  # split, normal, defective
    defects: pd.DataFrame  # defect, images, with_mask
    sizes: pd.DataFrame  # height, width, channels, depth, bits, images; a row a combination, the commonest first
    thumbnails: Sequence[Thumbnail]
    near_duplicates: pd.DataFrame
    """image, duplicate, kind (identical or near), likeness (1 same), split, duplicate_split, label, duplicate_label"""
    duplicate_thumbnails: Mapping[str, NDArray]  # image -> (H, W) or (H, W, 3) uint8, of the first pairs
    features: pd.DataFrame  # image, split, label, then numbers; a row an image
    shortcuts: pd.DataFrame  # question, feature, auroc, direction, first, second, p, flagged; by falling auroc
    quarantine: pd.DataFrame  # path, reason
    settings: Mapping[str, Any]  # flat name -> value
    ids: Mapping[str, str]  # runs, digests, versions, date
    more_groups: int = 0  # groups of which no thumbnail is given
