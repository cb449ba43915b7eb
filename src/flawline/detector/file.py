"""The detector: one portable file with weights, parameters, thresholds, inspection settings and digests."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from torch import Tensor

from flawline.checks import FlawlineError
from flawline.detector.scoring import ImageScorer
from flawline.detector.thresholds import Thresholds, calibrate, calibrate_by_cost
from flawline.intake.registration import LEVEL, to_channels
from flawline.methods.features import check_network, terms_of
from flawline.methods.one_class import Scored, reduction_in
from flawline.methods.reconstruction import Reconstruction, TrainedReconstructor
from flawline.methods.registry import Method, get_method
from flawline.metrics.decisions import Costs
from flawline.metrics.reductions import Reduction
from flawline.params import ComputeParams, InspectionParams
from flawline.storage.digests import file_digest
from flawline.storage.tensors import part, read_tensors, write_tensors
from flawline.vision.alignment import Aligner
from flawline.vision.brightness import brightened, gain_between, median_level
from flawline.vision.fitting import aligner_of
from flawline.vision.levels import full_value, to_full_scale
from flawline.vision.strips import material_span

FORMAT = 12
DIGITS = 16  # kept of a file's SHA-256: that two of a million files begin alike has a chance of 1 in 37 million


@dataclass(frozen=True)
class Source:
    """The file that a detector was read from, with its SHA-256, and the version that the catalog calls it."""

    file: str
    sha256: str
    version: str = ""

    def __str__(self) -> str:
        return f"{self.version} {self.sha256[:16]}".strip()


@dataclass(frozen=True)
class Detector:
    """Everything that judging needs. Images are (C, H, W) uint8 or uint16, on the full scale of their type."""

    method: str
    category: str
    params: dict[str, Any]  # of the method, as JSON: "scorer", and "reconstructor" if it has one
    channels: int
    depth: int  # bit depth of a channel of the training images: 8 or 16
    bits: int  # of these that are used: values are read on the scale 0 to 2**bits - 1
    smallest: tuple[int, int]  # (height, width) of the photographs that it learned from
    largest: tuple[int, int]
    thresholds: Thresholds
    review_overkill: float
    calibration_scores: tuple[float, ...]
    weights: dict[str, Tensor]
    calibration_map_maxima: tuple[float, ...] = ()  # of their maps, where these are not the scores
    pseudo_scores: tuple[float, ...] = ()  # of pseudo-defects in copies of the calibration images
    learned: tuple[str, ...] = ()  # how the SHA-256 begin of the files that it learned from; empty: it does not say
    checked_scores: tuple[float, ...] = ()  # of the images that it keeps: `flawline.detector.engine_check`
    training_figures: dict[str, tuple[float, ...]] = field(default_factory=dict)  # `flawline.vision.appearance`, each
    trim_ends: bool = False  # bare background and selvedge at the ends of a strip are not judged
    inspection: InspectionParams = field(
        default_factory=InspectionParams
    )  # what it is judged with unless others are given
    about: dict[str, str] = field(default_factory=dict)  # digests, versions, run ids
    source: Source | None = None  # None: it was not read from a file

    def make_scorer(self, compute: ComputeParams | None = None) -> ImageScorer:
        """Return what scores images. Raise FlawlineError if the pretrained network is not the one learned with."""
        if "network" in self.about:
            check_network(self._method.make_scorer(self.params["scorer"]).features, self.about["network"])
        return self._scorer(compute)

    def make_reconstructor(self, compute: ComputeParams | None = None) -> TrainedReconstructor | None:
        """Return what reconstructs images for the scorer; None of a method without a reconstructor."""
        return self._scorer(compute).reconstructor

    def _scorer(self, compute: ComputeParams | None) -> ImageScorer:
        return ImageScorer(
            self._method, self.params, self.weights, channels=self.channels, compute=compute or ComputeParams()
        )

    @cached_property
    def reduction(self) -> Reduction | None:
        """How a map becomes the score of its image; None of a method that scores an image otherwise."""
        if not self._method.by_map:
            return None
        return reduction_in(self._method.typed(self.params["scorer"]).image_score, part(self.weights, "one_class"))  # type: ignore[attr-defined]

    @property
    def weights_note(self) -> str:
        """Whose pretrained network it looks through, and on what terms; empty of one that looks through none."""
        return terms_of(self._method.make_scorer(self.params["scorer"]).features) if "network" in self.about else ""

    @property
    def least_side(self) -> int | None:
        """Pixels that an image must have each way, where only a patch must fit; None: those that were learned from."""
        row = self._method.reconstructor
        alone = row is not None and row.any_size and not self._method.scorer_class.one_size
        return self.params["reconstructor"]["patches"]["size"] if alone else None

    @property
    def _method(self) -> Method:
        return get_method(self.method)

    def has_learned(self, sha256: str) -> bool:
        """Return True if it says that it learned from, or was calibrated with, the file of that SHA-256."""
        return sha256[:DIGITS] in self._learned

    @cached_property
    def _learned(self) -> frozenset[str]:
        return frozenset(self.learned)

    def at_overkill(self, target: float | None) -> "Detector":
        """Return the same detector with the threshold for another target overkill rate; nothing is trained."""
        if target is None:
            return self
        thresholds = calibrate(
            self.calibration_scores, target_overkill=target, review_overkill=self.review_overkill, **self._calibration
        )
        return replace(self, thresholds=replace(thresholds, outlier=self.thresholds.outlier))

    def at_costs(self, costs: Costs | None) -> "Detector":
        """Return the same detector with the thresholds that cost least by other costs; nothing is trained. Raise
        FlawlineError if it holds no scores of pseudo-defects, as those do not that were made before there were any."""
        if costs is None:
            return self
        thresholds = calibrate_by_cost(self.calibration_scores, self.pseudo_scores, costs, **self._calibration)
        return replace(self, thresholds=replace(thresholds, outlier=self.thresholds.outlier))

    @property
    def _calibration(self) -> dict[str, Any]:
        """What a calibration depends on beside the images' scores."""
        return {
            "map_maxima": self.calibration_map_maxima,
            "basis": self.thresholds.reject.basis,
            "map_basis": self.thresholds.on_map.basis,
        }

    @cached_property
    def aligner(self) -> Aligner | None:
        """What brings photographs into the frame that the detector learned in; None: they are judged as they are."""
        return aligner_of(part(self.weights, "aligner"))

    @cached_property
    def level(self) -> float | None:
        """The median grey level that every image is brought to by a gain; None: images are taken as they are, or the
        aligner does it."""
        tensors = part(self.weights, "aligner")
        return float(tensors[LEVEL]) if LEVEL in tensors else None

    @property
    def largest_frame(self) -> tuple[int, int]:
        """The (height, width) of the largest image that is scored: the aligner's box, or without one the largest
        training image."""
        if self.aligner is None:
            return self.largest
        top, left, bottom, right = self.aligner.box
        return bottom - top, right - left

    def on_scale(self, photograph: NDArray) -> NDArray:
        """Return a photograph without `misfit`, as it was decoded, on the full scale of its type."""
        return to_full_scale(photograph, self.bits)

    def misfit(self, image: NDArray, *, told: int = 0) -> str | None:
        """Return why the photograph ``image``, as it was decoded, cannot be judged (wrong depth, values or size), or
        None if it can. ``told`` are the bits a channel of 16 that its file says it uses; 0: it does not say."""
        if 8 * image.itemsize != self.depth:
            return f"has {8 * image.itemsize} bits a channel; the detector learned from {self.depth}"
        wanted = f"the detector learned from images of {self.bits} bits, 0 to {full_value(self.bits)}"
        if told not in (0, self.bits):
            return f"uses {told} bits of 16, as its TIFF tags say; {wanted}"
        if image.max(initial=0) > full_value(self.bits):
            return f"holds the value {image.max()}; {wanted}"
        return self._misfit_of_size(image)

    def _misfit_of_size(self, image: NDArray) -> str | None:
        left, right = self._span(image)
        height, width = image.shape[1], right - left
        (low_h, low_w), (high_h, high_w) = self.smallest, self.largest
        least = self.least_side
        if self.trim_ends and least is not None:  # how much of a strip is left is chance, if only a patch fits
            low_w, high_w = least, max(width, least)
        if not (low_h <= height <= high_h and low_w <= width <= high_w):
            wanted = f"{low_h} x {low_w}" + ("" if self.smallest == self.largest else f" to {high_h} x {high_w}")
            return f"has {height} x {width} pixels; the detector learned from {wanted}"
        return None

    def score(self, image: NDArray, scorer: ImageScorer) -> tuple[Scored, Reconstruction | None]:
        """Return score and anomaly map (H, W) of ``image`` (C, H, W) in the frame in which it is judged, and its
        reconstruction, None of a method without a reconstructor; in the ends that are not judged both are 0. The score
        is that of the ``columns`` that are judged."""
        columns, judged = self._judged(image)
        scored, reconstruction = scorer.score(judged)
        if scored.map.size:
            scored = replace(scored, map=_widened(scored.map, image.shape[2], columns), columns=columns)
        return scored, None if reconstruction is None else _whole(reconstruction, image.shape[2], columns)

    def reconstruct(self, image: NDArray, reconstructor: TrainedReconstructor | None) -> NDArray[np.uint8] | None:
        """Return the reconstruction (C, H, W) of ``image`` (C, H, W) as a person is shown it, black in the ends not
        judged; None of a method without a reconstructor. Nothing is scored."""
        if reconstructor is None:
            return None
        columns, judged = self._judged(image)
        return _whole(reconstructor.reconstruct(judged), image.shape[2], columns).picture()

    def _judged(self, image: NDArray) -> tuple[slice, NDArray]:
        """Return the columns of ``image`` that are judged, and what they hold (C, H, w) in the detector's channels, at
        the brightness that it learned from."""
        columns = slice(*self._span(image))
        judged = to_channels(image[..., columns], self.channels)
        if self.level is None:
            return columns, judged
        gain = gain_between(self.level, median_level(image[..., columns]))
        return columns, brightened(judged, judged.dtype, gain=gain)

    def _span(self, image: NDArray) -> tuple[int, int]:
        return material_span(image) if self.trim_ends else (0, image.shape[2])


def save_detector(path: Path, detector: Detector) -> None:
    """Write the detector to one safetensors file with its settings as JSON; whole or not at all."""
    meta = {name: getattr(detector, name) for name in (*PLAIN, *LATER)}
    write_tensors(path, detector.weights, {**meta, "format": FORMAT, "thresholds": detector.thresholds.to_dict(),
                                          "inspection": detector.inspection.model_dump(mode="json")})  # fmt: skip


def load_detector(path: Path, *, version: str = "") -> Detector:
    """Read a detector, which the catalog calls ``version``. Raise FlawlineError if the file is not one, or not
    whole."""
    try:
        weights, meta = read_tensors(path)
    except FileNotFoundError:
        raise FlawlineError(f"no detector at {path}. Finish one first: kedro run --params category=...") from None
    except SafetensorError as error:
        raise FlawlineError(f"{path} is not a whole detector file ({error}). Make it again, or load a copy.") from None
    if "format" not in meta:
        raise FlawlineError(f"{path} is not a detector: it holds tensors without a detector's settings")
    if meta["format"] != FORMAT:
        raise FlawlineError(
            f"{path} is a detector of format {meta['format']}; this version reads {FORMAT}. Make it again: "
            f"kedro run --params category=..."
        )
    plain = {name: meta[name] for name in PLAIN} | {name: meta.get(name, ()) for name in LATER}
    for name in ("smallest", "largest", "calibration_scores", "calibration_map_maxima", "checked_scores", *LATER):
        plain[name] = tuple(plain[name])
    plain["training_figures"] = {name: tuple(values) for name, values in meta["training_figures"].items()}
    thresholds, inspection = (
        Thresholds.from_dict(meta["thresholds"]),
        InspectionParams.model_validate(meta["inspection"]),
    )
    source = Source(str(path), file_digest(path), version)
    return Detector(**plain, thresholds=thresholds, inspection=inspection, weights=weights, source=source)


def _whole(reconstruction: Reconstruction, width: int, columns: slice) -> Reconstruction:
    """Return the reconstruction of an image's ``columns`` in an image of ``width``."""
    if reconstruction.image is None:
        return reconstruction
    return replace(reconstruction, image=_widened(reconstruction.image, width, columns))


def _widened(array: NDArray, width: int, columns: slice) -> NDArray:
    """Return zeros (..., H, ``width``) with ``array`` (..., H, w) written into ``columns``."""
    if array.shape[-1] == width:
        return array
    whole = np.zeros((*array.shape[:-1], width), array.dtype)
    whole[..., columns] = array
    return whole


PLAIN = (
    "method", "category", "params", "channels", "depth", "bits", "smallest", "largest", "review_overkill",
    "calibration_scores", "calibration_map_maxima", "checked_scores", "training_figures", "trim_ends", "about",
)  # fmt: skip
LATER = ("pseudo_scores", "learned")  # that detectors of this format may lack, which were made before
