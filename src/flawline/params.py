"""Every parameter of the project: names, ranges and what they mean. Values live in conf/, each with its source.

A value has one home, so there are no defaults here; but null and auto, which say that another place decides."""

import re
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    model_validator,
)

from flawline.checks import FlawlineError

Fraction = Annotated[float, Field(ge=0, lt=1)]
Rate = Annotated[float, Field(gt=0, lt=1)]
Size = tuple[PositiveInt, PositiveInt]  # (height, width)
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what every generator takes
Names = Annotated[tuple[str, ...], Field(min_length=1)]
Protocol = Literal["images", "leak_free", "within_images", "as_published"]
Variant = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._=-]{0,63}$|^$")]
DefectKind = Literal["elastic", "line", "gaussian", "poisson", "julia", "patch", "scar", "blend", "stain"]
SurfaceKind = Literal["elastic", "line", "gaussian", "poisson"]  # those of the embedded surfaces
JuliaFamily = Literal["horizontal", "vertical", "point", "hole", "stain", "yarn"]


def in_order(ends: tuple[float, float]) -> tuple[float, float]:
    """Return (smallest, largest); raise ValueError if they are not in this order."""
    if ends[0] > ends[1]:
        raise ValueError(f"wanted (smallest, largest), got {ends}")
    return ends


# Ranges that a number is drawn from, uniformly: (smallest, largest).
Range = Annotated[tuple[float, float], AfterValidator(in_order)]
PositiveRange = Annotated[tuple[PositiveFloat, PositiveFloat], AfterValidator(in_order)]
Share = Annotated[float, Field(gt=0, le=1)]
Shares = Annotated[tuple[Share, Share], AfterValidator(in_order)]
Rates = Annotated[tuple[Rate, Rate], AfterValidator(in_order)]
UpToOne = Annotated[float, Field(ge=0, le=1)]


def as_names(value: Any) -> Any:
    """Return one name as a list of one: on the command line, a comma ends the parameter."""
    return (value,) if isinstance(value, str) else value


class Params(BaseModel):
    """Base of all parameter models: cannot be changed, knows no key that is not declared."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    def but(self, **changes: Any) -> Self:
        """Return the same parameters with ``changes``, of a part of them a mapping of its own changes; raise pydantic's
        ValidationError if these cannot be."""
        given = {name: getattr(self, name) for name in self.model_fields_set}
        return type(self).model_validate(given | {name: _changed(given.get(name), to) for name, to in changes.items()})


def _changed(value: Any, to: Any) -> Any:
    return value.but(**to) if isinstance(value, Params) and isinstance(to, Mapping) else to


def merged(tree: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree of parameters with what ``other`` changes."""
    result = dict(tree)
    for name, value in other.items():
        known = result.get(name)
        result[name] = merged(known, value) if isinstance(known, Mapping) and isinstance(value, Mapping) else value
    return result


# --- the machine -----------------------------------------------------------------------------------------------------
class ComputeParams(Params):
    """Where the work runs. Never part of a digest: it may change a result's last bits, not its meaning."""

    device: Literal["auto", "cpu", "cuda"] = "auto"  # auto: the GPU where there is one
    threads: PositiveInt | Literal["auto"] = "auto"  # auto: measured once on this machine, then remembered
    engine: Literal["auto", "torch", "openvino"] = "auto"  # of frozen networks; auto: openvino if it is installed
    cluster: str | None = None  # that judges new images: local (a process a core), or a Dask scheduler's address


# --- ingestion -------------------------------------------------------------------------------------------------------
class SplitParams(Params):
    """Shares of the normal images that are held out of training; the data set's own splits come first."""

    validation: Rate  # early stopping
    calibration: Rate  # thresholds
    test: Fraction  # only where the data set has no test split of its own
    defective: Literal["all", "held_out"]  # which are tested on: all, or those whose group is not trained on
    seed: Seed  # which images are held out; apart from the run's seed, so that all seeds see the same data

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        total = self.validation + self.calibration + self.test
        if total >= 1:
            raise ValueError(f"validation + calibration + test must stay below 1, got {total:g}")
        return self


class TableParams(Params):
    """The layout 'csv': a table in the raw folder, a row an image. Columns but image and label may be missing."""

    file: Annotated[str, Field(pattern=r"^[^/\\]+$")]  # below the raw folder
    image: str  # path below the raw folder
    label: str  # 0 or a word for good; 1 or the defect's name
    defect: str  # the defect's name
    mask: str  # path below the raw folder
    split: str  # train, validation, calibration or test
    group: str  # what must stay in one split: an item, a lot, a day


class IngestionParams(Params):
    # how the raw folder is ordered; auto: look
    layout: Literal[
        "auto", "csv", "aitex", "mvtec", "coco", "cvat", "labelme", "voc", "yolo", "kolektorsdd2", "kolektorsdd",
        "folders",
    ]  # fmt: skip
    table: TableParams
    identical: Literal["stop", "move"]  # where the data set's own split separates identical files
    good: Annotated[Names, BeforeValidator(as_names)]  # folder names that hold normal images; one, or a list
    splits: SplitParams
    max_pixels: PositiveInt  # an image whose header promises more is quarantined undecoded
    # bits a channel that 16-bit files use; auto: as all files' TIFF tags say, else the fewest that hold every value
    bits: Literal["auto", 8, 10, 12, 14, 16]
    least_side: PositiveInt  # an image with fewer pixels each way is quarantined
    leave_out: str | None  # a table (csv) whose column image names images that are not to be used; null: none
    # which images are quarantined for their size: auto, the few of less than half the usual height and width; usual,
    # those of another size than most normal ones; any, none
    sizes: Literal["auto", "any", "usual"]
    strict: bool  # whether a JPEG of which the decoder only warns (stray bytes of a camera) is quarantined


class ElasticParams(Params):
    """Elastic deformation (Simard et al. 2003): uniform displacements, smoothed, scaled."""

    amplitude: PositiveFloat  # largest displacement, pixels
    smoothness: Annotated[float, Field(gt=0, le=100)]  # standard deviation of the smoothing Gaussian, pixels


class LineParams(Params):
    """A straight line with noisy position and intensity."""

    width: PositiveFloat  # pixels
    intensity: Annotated[float, Field(ge=-1, le=1)]  # added to the image, share of the full range
    jitter: NonNegativeFloat  # standard deviation of the line's position, pixels
    noise: NonNegativeFloat  # standard deviation of the intensity, share of the full range


class GaussianParams(Params):
    sigma: PositiveFloat  # standard deviation of the added noise, share of the full range


class PoissonParams(Params):
    photons: PositiveFloat  # mean photon count of a white pixel: fewer is noisier


class DrawnAgainParams(Params):
    """A pseudo-defect that may come out unseen, and is drawn again until it does not."""

    visible: NonNegativeFloat  # least mean change of the mask's pixels, in standard deviations of the image
    attempts: Annotated[int, Field(ge=1, le=10_000)]  # draws in a region


class JuliaRanges(Params):
    """What the parameters of a Julia set are drawn from (Alpdemir 2022, Algorithm 1); its width and height are the
    region's."""

    alpha: PositiveRange  # the pattern is 1/alpha as long as it was
    beta: PositiveRange  # and 1/beta as high
    dx: Range  # x of the plane's point that lies in the picture's middle
    dy: Range  # and its y
    cx: Range  # real part of c
    cy: Range  # imaginary part of c
    zoom: PositiveRange  # enlarges both ways

    @model_validator(mode="after")
    def _escapes(self) -> Self:
        largest = max(abs(complex(x, y)) for x in self.cx for y in self.cy)
        if largest >= 2:
            raise ValueError(f"|c| must stay below the escape radius 2 (Algorithm 1, line 2), got up to {largest:g}")
        return self


class JuliaParams(DrawnAgainParams):
    """A Julia set averaged into the image (Alpdemir 2022, section 3.2): a family is drawn, then its parameters."""

    families: Annotated[tuple[JuliaFamily, ...], Field(min_length=1)]  # each as likely as any other
    below: Annotated[int, Field(ge=2, le=255)]  # blended where fewer of the 255 steps are left
    weight: Share  # of the set in the average; the rest is the image's
    share: Rates  # of the region that is covered
    horizontal: JuliaRanges
    vertical: JuliaRanges
    point: JuliaRanges
    hole: JuliaRanges
    stain: JuliaRanges
    yarn: JuliaRanges


class TransplantParams(DrawnAgainParams):
    jitter: Fraction  # brightness, contrast and saturation are multiplied by up to 1 +- this


class PatchPasteParams(TransplantParams):
    """A rectangle of another place pasted in (CutPaste, Li et al. 2021)."""

    share: Shares  # its area, share of the region's
    aspect: PositiveRange  # its height over its width; drawn on a logarithmic scale


class ScarParams(TransplantParams):
    """A thin, turned rectangle of another place pasted in (CutPaste scar, Li et al. 2021)."""

    length: Shares  # share of the region's longer side
    width: Shares  # share of the region's shorter side, at least a pixel
    angle: Range  # degrees, counter-clockwise


class BlendParams(DrawnAgainParams):
    """Another place, turned, blended in where smooth noise is high (DRAEM, Zavrtanik et al. 2021)."""

    scale: Shares  # standard deviation of the Gaussian that smooths the noise, share of the region's shorter side
    share: Shares  # of the region that is covered
    angle: Range  # by which the other place is turned, degrees, counter-clockwise
    opacity: Shares  # of what is blended in


class StainParams(DrawnAgainParams):
    """An irregular soft ellipse of one colour (Collin & De Vleeschouwer 2021)."""

    axes: Shares  # full length of each axis, share of the region's shorter side
    irregularity: Fraction  # its outline is that share nearer or farther at the most
    points: Annotated[int, Field(ge=3)]  # of the outline, which is a cubic between them
    softness: Share  # of the way from outline to middle on which the colour rises to its opacity; 1: up to the middle
    colour: Annotated[tuple[UpToOne, UpToOne], AfterValidator(in_order)]  # of each channel, share of the full range
    opacity: Shares  # of the colour


class ExampleCounts(Params):
    """How many images an embedded example has."""

    train: PositiveInt  # normal images to learn from
    validation: PositiveInt  # normal images that only stop a training
    calibration: PositiveInt  # normal images that the thresholds come from
    normal_test: NonNegativeInt  # normal images to test on
    anomalous_test: NonNegativeInt  # defective images to test on, of all kinds together


class ChessParams(ExampleCounts):
    """The checkerboard of Schneider 2022, section 3.1. It prints no sizes: these are ours."""

    image_size: Size  # height and width, pixels
    square: PositiveInt  # side of a square, pixels
    dark: Fraction  # intensity of the dark squares
    bright: Annotated[float, Field(gt=0, le=1)]  # grey level of the bright squares
    region_radius: tuple[PositiveFloat, PositiveFloat]  # smallest and largest deformed disk, pixels
    deformation: ElasticParams
    seed: Seed  # of everything drawn at random

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.dark >= self.bright:
            raise ValueError(f"dark must be below bright, got {self.dark} and {self.bright}")
        low, high = self.region_radius
        if low > high or 2 * high >= min(self.image_size):
            raise ValueError(
                f"region_radius must be (smallest, largest) and fit the image {self.image_size}, got {(low, high)}"
            )
        return self


class NoiseParams(ExampleCounts):
    """The Gaussian noise of Schneider 2022, section 3.1. It prints no sizes and no strengths: these are ours."""

    image_size: Size  # height and width, pixels
    mean: Fraction  # of the intensities, share of the full range
    deviation: PositiveFloat  # standard deviation of the intensities, share of the full range
    line: LineParams
    seed: Seed  # of everything drawn at random

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.line.width >= min(self.image_size):
            raise ValueError(f"line.width must be less than the image {self.image_size}, got {self.line.width}")
        return self


class SurfaceParams(ExampleCounts):
    """Crops of one photograph of 512 x 512 pixels: brick, gravel or grass; defective are copies of the test crops."""

    crop: Annotated[int, Field(ge=8, le=512)]  # side, pixels
    normal_test: PositiveInt  # normal images to test on; defective ones are damaged copies of them
    # what damages the copies, in turn
    kinds: Annotated[tuple[SurfaceKind, ...], Field(min_length=1), BeforeValidator(as_names)]
    region_radius: tuple[PositiveFloat, PositiveFloat]  # smallest and largest damaged disk, pixels
    elastic: ElasticParams
    line: LineParams
    gaussian: GaussianParams
    poisson: PoissonParams
    seed: Seed  # of everything drawn at random

    @model_validator(mode="after")
    def _fits(self) -> Self:
        there, wanted = (512 // self.crop) ** 2, self.train + self.validation + self.calibration + self.normal_test
        if wanted > there:
            raise ValueError(
                f"train + validation + calibration + normal_test must not exceed the {there} crops of {self.crop} "
                f"pixels, got {wanted}"
            )
        low, high = self.region_radius
        if not 1 <= low <= high or 2 * high >= self.crop:
            raise ValueError(
                f"region_radius must be (smallest, largest), from 1 upwards, and fit a crop of {self.crop} pixels, "
                f"got {(low, high)}"
            )
        return self


class FabricParams(ExampleCounts):
    """Images of a weave: strips that stand for AITEX's fabrics, on which Alpdemir 2022 measures, and swatches of a
    twill at any angle, as Rádli & Czúni 2022 measure on. The shape is ours."""

    image_size: Size  # height and width, pixels
    yarn: Annotated[float, Field(ge=2)]  # width of a yarn, pixels
    brightness: Annotated[float, Field(gt=0, le=1)]  # of a yarn's middle, share of the full range
    unevenness: Annotated[float, Field(ge=0, le=0.2)]  # deviation of the yarns' widths and brightness, as a share
    light: Fraction  # the strips' brightness differs by this share each way
    sensor_noise: NonNegativeFloat  # standard deviation, share of the full range
    defect_width: tuple[PositiveFloat, PositiveFloat]  # smallest and largest, in yarns
    defect_length: tuple[PositiveFloat, PositiveFloat]  # smallest and largest, pixels
    bump: PositiveFloat  # brightness of a thick yarn or a knot, times the weave's
    seed: Seed  # of everything drawn at random

    @model_validator(mode="after")
    def _fits(self) -> Self:
        for name in ("defect_width", "defect_length"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be (smallest, largest), got {(low, high)}")
        if 3 * self.yarn * self.defect_width[1] > min(self.image_size):
            raise ValueError(
                f"defect_width must fit the image {self.image_size} three times, got {self.defect_width} yarns of "
                f"{self.yarn:g} pixels"
            )
        return self


class RibletParams(Params):
    """A riblet foil, simulated: stands for material 1 of Schneider 2022, section 3.2, whose images are not public.

    Of the figures here, the paper prints the full image size and the numbers of images; the shape is ours."""

    image_size: Size  # the paper's is (3672, 5496)
    period: Annotated[float, Field(ge=4)]  # from rib to rib, pixels
    depth: PositiveFloat  # from valley to rib, pixels
    steepness: Annotated[float, Field(ge=1)]  # 1: triangles; above: trapezoids with flat ribs and valleys
    waviness: NonNegativeFloat  # standard deviation of the tracks' position, pixels
    wavelength: PositiveFloat  # shortest of the tracks' waves; the longest is three times that, pixels
    roughness: NonNegativeFloat  # standard deviation of the height, pixels
    grain: PositiveFloat  # standard deviation of the Gaussian that smooths the roughness, pixels
    dark: Fraction  # albedo of the valleys
    bright: Annotated[float, Field(gt=0, le=1)]  # albedo of the ribs
    blotches: NonNegativeFloat  # darker areas in a million pixels, on average; they are normal
    blotch_radius: tuple[PositiveFloat, PositiveFloat]  # standard deviation of one, pixels
    blotch_depth: Fraction  # largest share of the albedo that a blotch takes away
    sensor_noise: NonNegativeFloat  # standard deviation, share of the full range; albedo only
    stripes: PositiveInt  # crushed ones in a defective image
    stripe_width: tuple[PositiveFloat, PositiveFloat]  # smallest and largest, pixels
    stripe_length: tuple[Rate, Rate]  # smallest and largest, share of the image's height
    stripe_wander: NonNegativeFloat  # how far a stripe swings to each side, pixels
    crush: Annotated[float, Field(gt=0, le=1)]  # share of the depth that is lost in a stripe
    displacement: NonNegativeInt  # how far the tracks are dragged in a stripe at the most, pixels
    albedo: ExampleCounts
    normals: ExampleCounts
    seed: Seed  # of everything drawn at random

    @model_validator(mode="after")
    def _fits(self) -> Self:
        height, width = self.image_size
        if self.dark >= self.bright:
            raise ValueError(f"dark must be below bright, got {self.dark} and {self.bright}")
        if 2 * self.period > height:
            raise ValueError(f"period must fit the image {self.image_size} twice, got {self.period}")
        for name in ("blotch_radius", "stripe_width", "stripe_length"):
            low, high = getattr(self, name)
            if low > high:
                raise ValueError(f"{name} must be (smallest, largest), got {(low, high)}")
        if self.stripe_width[1] + 2 * self.stripe_wander >= width:
            raise ValueError(
                f"stripe_width and stripe_wander must fit the image {self.image_size}, got {self.stripe_width} and "
                f"{self.stripe_wander}"
            )
        return self


class ExamplesParams(Params):
    chess: ChessParams
    noise: NoiseParams
    surface: SurfaceParams  # brick, gravel, grass
    riblet: RibletParams  # riblet-albedo, riblet-normals
    fabric: FabricParams
    twill: FabricParams


# --- registration, defect injection ----------------------------------------------------------------------------------
class LocaliserParams(Params):
    """How a localiser learns by how many degrees a picture is to be turned: Rádli & Czúni 2022, section 6."""

    teacher: Literal["gradient", "structure_tensor"]  # Eq. 7 (paper), or the closed-form angle
    gradient_view: Literal["resized", "crop"]  # the 64 x 64 pixels of Eq. 7: the patch resized (paper), or its middle
    blur: PositiveFloat  # standard deviation of the Gaussian before gradients, pixels
    sweep: NonNegativeInt  # angles tried on a patch, the best of which the localiser is taught first; 0: none (paper)
    sweep_epochs: PositiveInt  # of what the sweep teaches
    pretrain_epochs: PositiveInt  # of what the teacher teaches
    least_coherence: Fraction  # of a patch from which its structure tensor's angle counts


class TrainParams(Params):
    """The one training procedure (Adam), for every method that trains by gradient."""

    epochs: PositiveInt  # rounds of patches.per_epoch random windows each
    batch_size: PositiveInt  # patches in a step
    learning_rate: PositiveFloat  # of the optimiser
    weight_decay: NonNegativeFloat  # L2 penalty on the weights; 0: none
    patience: PositiveInt | None  # epochs without a better validation loss before stopping; null: never
    patience_from: Fraction | None = None  # of the first epoch's loss, below which patience counts; null: at once
    precision: Literal["32-true", "bf16-mixed"]  # bf16-mixed: faster where the processor has bfloat16


class StnParams(LocaliserParams):
    """How the localiser of ``align: stn`` learns from the normal training images; ``blur`` is found for textures."""

    per_epoch: PositiveInt  # views, each turned by a random angle
    train: TrainParams


class AutoAlignParams(Params):
    """How ``align: auto`` decides: by how well memories tell pseudo-defects in normal training images."""

    images: Annotated[int, Field(ge=8)]  # training images that alignments are tried on, at most
    defects: PositiveInt  # pseudo-defects in half of them
    turn: PositiveFloat  # degrees by which a misplaced image is turned at most, either way
    shift: Fraction  # share of its sides by which it is moved at most
    least_gain: Fraction  # AUROC that a less simple alignment must bring


class RegistrationParams(Params):
    """How images are brought into one frame. ``align`` and below: of rigid parts (Saeedi & Giusti 2022, section 3)."""

    color: Literal["auto", "grey", "rgb"]  # auto: grey where every image of the category is grey
    trim_ends: bool | Literal["auto"]  # cut bare background and selvedge off strips; auto: layout aitex
    # moves that are undone; rigid: shift and rotation; similarity: scale too; structure_tensor, stn: an angle, up to
    # half a turn, told in closed form or by a localiser that learns it from the normal images; auto: decided by
    # pseudo-defects in normal images
    align: Literal["none", "shift", "rigid", "similarity", "structure_tensor", "stn", "auto"]
    reference: str | None  # image that all are aligned to, as the manifest names it; null: the most central one
    least_quality: Fraction  # correlation with the reference from which an image counts as aligned
    crop: bool  # aligned images are cut to the hull of the training parts' foreground
    margin: NonNegativeInt  # pixels around that hull
    stn: StnParams
    auto: AutoAlignParams
    # of what stn learns and what auto tries; not the run's, so that runs of several seeds share their images
    seed: Seed
    # brought to the reference's, image by image; without a reference (align: none), by a gain to one common level;
    # auto: of strips whose ends are cut off
    brightness: Literal["none", "gain", "gain_offset", "auto"]

    @model_validator(mode="after")
    def _strip_or_part(self) -> Self:
        if self.trim_ends is True and self.align != "none":
            raise ValueError(f"trim_ends is of strips and align of rigid parts: set one, got true and {self.align}")
        if self.brightness == "gain_offset" and self.align in ("none", "auto"):
            raise ValueError(
                f"brightness = gain_offset needs a reference: set align to what has one (got {self.align}), or "
                f"brightness = gain"
            )
        return self


class GradedDefectParams(Params):
    """How pseudo-defects by which alignments and methods are chosen differ from the others."""

    strengths: Annotated[tuple[Share, ...], Field(min_length=1)]  # in turn; 1: as drawn, 0.5: half of the change
    radius: tuple[Rate, Rate]  # smallest and largest disk, share of the image's shorter side


class DefectInjectionParams(Params):
    """Pseudo-defects in the normal images of a split."""

    split: Literal["train", "validation", "calibration", "test"]  # whose normal images the stage damages copies of
    # of pseudo-defects, in turn: docs/pseudo-defects.md; one, or a list
    kinds: Annotated[tuple[DefectKind, ...], Field(min_length=1), BeforeValidator(as_names)]
    per_image: PositiveInt  # pseudo-defective images made from each normal image, kinds in turn
    least: PositiveInt  # pseudo-defective images of a split at the least: of few normal images, more are made of each
    most: PositiveInt  # pseudo-defective images of a split at the most; of more normal images, some evenly spread
    # where a defect may lie: in a disk; in all of the image, as in a small patch; auto: by the image's shorter side
    region: Literal["auto", "disk", "image"]
    radius: tuple[Rate, Rate]  # smallest and largest disk, share of the image's shorter side
    places: Annotated[int, Field(ge=1, le=10_000)]  # disks drawn for a kind that cannot be seen, before it is an error
    elastic: ElasticParams
    line: LineParams
    gaussian: GaussianParams
    poisson: PoissonParams
    julia: JuliaParams
    patch: PatchPasteParams
    scar: ScarParams
    blend: BlendParams
    stain: StainParams
    graded: GradedDefectParams

    @model_validator(mode="after")
    def _radius_in_order(self) -> Self:
        for low, high in (self.radius, self.graded.radius):
            if not low <= high <= 0.5:
                raise ValueError(f"radius must be (smallest, largest) with largest at most 0.5, got ({low}, {high})")
        if self.least > self.most:
            raise ValueError(f"least must not exceed most, got {self.least} > {self.most}")
        return self

    def of_each(self, images: int) -> int:
        """Return how many pseudo-defective images are made of each of so many normal ones."""
        return max(self.per_image, -(-self.least // images)) if images else self.per_image


class PatchSetParams(Params):
    """Patches that take the place of images where the protocol is not ``images``: Alpdemir 2022, sections 4.2, 4.3."""

    size: PositiveInt  # side of a patch, pixels
    normal: Annotated[int, Field(ge=4)]  # normal patches in all
    test: Rate  # share of the normal patches that is tested on
    validation: Rate  # share of the others that only stops a training
    calibration: Rate  # share of the others that thresholds are calibrated on
    least_pixels: PositiveInt  # defective pixels from which a patch is defective; with fewer it is left out
    least_share: Fraction  # the same as a share of its pixels; both must be reached
    seed: Seed  # which images are held out and which patches are drawn

    @model_validator(mode="after")
    def _leaves_something_to_train_on(self) -> Self:
        if self.validation + self.calibration >= 1:
            total = self.validation + self.calibration
            raise ValueError(f"validation + calibration must stay below 1, got {total:g}")
        if empty := [name for name, count in self.counts().items() if count < 1]:
            raise ValueError(f"normal = {self.normal} patches leave none for {', '.join(empty)}; ask for more")
        if self.least_pixels > self.size**2:
            raise ValueError(
                f"least_pixels must not exceed the {self.size**2} pixels of a patch, got {self.least_pixels}"
            )
        return self

    def counts(self) -> dict[str, int]:
        """Return how many normal patches each split gets."""
        test = round(self.test * self.normal)
        validation, calibration = (round(share * (self.normal - test)) for share in (self.validation, self.calibration))
        rest = self.normal - test - validation - calibration
        return {"train": rest, "validation": validation, "calibration": calibration, "test": test}


# --- methods ---------------------------------------------------------------------------------------------------------
class PatchParams(Params):
    """A method's geometry: the windows it learns from and the grid it scores on."""

    size: PositiveInt  # side of a patch, pixels
    stride: PositiveInt  # step of the dense scoring grid, pixels
    per_epoch: Annotated[int, Field(ge=2)]  # random training windows in an epoch

    @model_validator(mode="after")
    def _covers(self) -> Self:
        if self.stride > self.size:
            raise ValueError(f"stride must not exceed size, or pixels stay uncovered; got {self.stride} > {self.size}")
        return self


class CAEModelParams(Params):
    """Schneider 2022, Tables 2 and 3."""

    encoder: Literal["synthetic", "industrial"]  # column of Table 2
    latent_size: PositiveInt  # n_z
    hidden_size: PositiveInt  # r
    initialisation: Literal["he", "pytorch"]  # of the weights of Table 2's and Table 3's layers


class VAEModelParams(CAEModelParams):
    """Schneider 2022, Tables 2 and 3, Eq. 4 to 6."""

    kl_weight: NonNegativeFloat  # beta, against the squared error summed over a patch; 1: Eq. 4, sigma^2 = 1/2
    warmup: NonNegativeInt  # epochs before all others, without the KL term; 0: as printed


class AAEModelParams(CAEModelParams):
    """Schneider 2022, Tables 2 to 4, section 2.3."""

    critic_steps: Annotated[int, Field(ge=1, le=100)]  # updates of the critic for each of the autoencoder
    clip: PositiveFloat  # largest absolute value of the critic's weights
    warmup: NonNegativeInt  # epochs before all others, without the critic; 0: as printed


class LeNetModelParams(Params):
    """Alpdemir 2022, section 4.1."""

    latent_size: PositiveInt  # units of the dense layer


class RDCAEModelParams(LeNetModelParams):
    """Alpdemir 2022, Eq. 7, Algorithm 2; what it leaves open, and what departs from it."""

    network: Literal["lenet", "linear_skip"]  # section 4.1, or principal components and a small network beside them
    components: NonNegativeInt  # principal components of linear_skip
    normalise: Literal["none", "median"]  # of linear_skip: patches are divided by their median
    group: Literal[
        "patch", "pixel", "block"
    ]  # of the l2,1 norm: all values of a patch, one of all patches, 8 x 8 pixels
    l21_weight: NonNegativeFloat | None  # lambda; null: l21_quantile
    l21_scaled: bool  # l21_weight is for 3 x 32 x 32 values, for others times the root of their ratio
    l21_quantile: Rate  # of the lengths of held-out normal residuals, as lambda
    full_s: bool  # S may hold all normal patches, as the paper's lambda makes it; false: that is an error
    known_s: bool  # S of a pseudo-defect is what was damaged, not what the network leaves
    restore: bool  # the network sees X and learns to give L; false: sees L, as Algorithm 2 has it
    inner_epochs: PositiveInt  # of an outer iteration
    fresh_adam: bool  # every outer iteration begins with a new optimiser
    stop_auroc: Rate | None  # of held-out pseudo-defects, above which training ends; null: never
    least_iterations: PositiveInt  # outer ones before it may end
    patience: PositiveInt | None  # outer iterations without a better AUROC before it ends; null: never
    least_gain: NonNegativeFloat  # by which an AUROC must be above the best before to be better
    score_window: PositiveInt | None  # pixels each way over which errors are averaged for the AUROC; null: summed


class DeepSVDDModelParams(LeNetModelParams):
    """Ruff et al. 2018; Alpdemir 2022, section 5.3."""

    boundary: Literal["soft", "hard"]  # Eq. 3 with a radius, or Eq. 4 without
    nu: Rate  # share of the training patches that may lie outside a soft boundary
    pretrain_epochs: PositiveInt  # as an autoencoder


class PCAModelParams(Params):
    components: PositiveInt  # principal components that patches are reconstructed from
    normalise: Literal["none", "median"]  # median: patches are divided by their median before


class CPCAEModelParams(Params):
    """Saeedi & Giusti 2022, section 3.1, Fig. 2. The paper prints no sizes: these are ours."""

    channels: Annotated[tuple[PositiveInt, ...], Field(min_length=1)]  # behind each convolution
    latent_size: PositiveInt  # d
    conditioned: bool  # the position of a patch is given to encoder and decoder; false: ablation
    sparsity: NonNegativeFloat  # lambda of Eq. 3; 0: ablation


class GridPatchParams(PatchParams):
    """Geometry of a method whose patches know their grid position: a grid on downsized images."""

    side: PositiveInt  # shorter side of an image after downsizing, pixels; smaller images stay as they are

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size > self.side:
            raise ValueError(f"size must not exceed side, the downsized image's; got {self.size} > {self.side}")
        return self


class FramePatchParams(PatchParams):
    """Geometry of a method whose patches may be turned by any angle; Rádli & Czúni 2022, section 7."""

    side: PositiveInt  # shorter side of an image after downsizing, pixels; smaller images stay as they are
    # what lies around a patch that is turned: the image there, or zeros, with which it is shrunk to size again
    padding: Literal["surroundings", "zeros"]
    turned: bool  # training patches are turned by random angles

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.size > self.side:
            raise ValueError(f"size must not exceed side, the downsized image's; got {self.size} > {self.side}")
        if self.size % 16:
            raise ValueError(f"size must be a multiple of 16 (the encoder halves 4 times), got {self.size}")
        if self.padding == "surroundings" and 2 * self.stride**2 > self.size**2:
            raise ValueError(
                f"stride must not exceed size / sqrt(2), or turned patches leave pixels uncovered; got {self.stride} "
                f"for patches of {self.size} pixels"
            )
        return self


class AEModelParams(Params):
    """Rádli & Czúni 2022, Table 1."""

    latent_size: PositiveInt  # d
    loss: Literal["mse", "ssim"]  # section 3.1, or Bergmann et al. 2018


class DAEModelParams(AEModelParams):
    """Deleted blocks: Rádli & Czúni 2022, section 3 and Eq. 4."""

    blocks: PositiveInt  # of a patch that are deleted, each at a random place
    block: PositiveInt  # side of one, pixels
    deleted_weight: NonNegativeFloat  # of a deleted pixel in the loss, against 1 of any other


class STNAEModelParams(LocaliserParams, AEModelParams):
    """Rádli & Czúni 2022, sections 5 and 6; what it leaves open, and what departs from it."""

    # the strategies of section 5: the localiser is trained first, then frozen; it starts with random weights and learns
    # with the autoencoder; it is trained first and goes on learning. Or no localiser: the structure tensor's angle
    variant: Literal["frozen", "random", "refined", "closed_form"]
    compare: Literal["turned", "original"]  # orientation in which image and reconstruction are compared for the loss
    sampler: Literal["nearest", "bilinear", "bicubic", "fourier"]  # how patches are turned: flawline.vision.turning
    head: Literal["single", "double"]  # the localiser's output: an angle (paper), or cos and sin of twice the angle

    @model_validator(mode="after")
    def _can_learn(self) -> Self:
        if self.sampler == "nearest" and self.variant in ("random", "refined"):
            raise ValueError(
                f"the sampler 'nearest' has no gradient by which the localiser of the variant '{self.variant}' could "
                f"learn with the autoencoder: take bilinear, bicubic or fourier"
            )
        return self


class ResidualParams(Params):
    """How a patch and its reconstruction become a map; Rádli & Czúni 2022, section 8.2."""

    measure: Literal["mse", "ssim"]  # squared difference, or 1 less the structural similarity


class TurnedResidualParams(ResidualParams):
    compare: Literal["turned", "original"]  # in which orientation: only the map is turned back, or the reconstruction


class FeatureParams(Params):
    """A pretrained network that features are taken from."""

    backbone: str  # EfficientNet-Lite0, which comes along; or timm:NAME
    weights: str | None  # file of weights (safetensors); null: the backbone's own
    layers: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]  # its stages that are taken, from 0
    side: PositiveInt | None  # shorter side of an image as it is given to the network, pixels; null: as it is
    batch_size: PositiveInt  # images given to it together; on a CPU more are no faster
    precision: Literal["float32", "bfloat16"]  # in which it computes: half the time, where the processor has it
    # what an EfficientNet-Lite sees beyond an image in every layer: zeros, as it learned, or the border; timm's own
    # networks pad as they do
    padding: Literal["zeros", "replicate"]


class ImageScoreParams(Params):
    """How an anomaly map becomes the score of its image. ``maximum``: its largest value. ``top_share``: the mean of the
    highest share of its pixels, at least one; with all of them, the mean of the map. ``region_mass``: by how much its
    values exceed a level, summed; a normal image has that share of its pixels above the level."""

    reduction: Literal["maximum", "top_share", "region_mass"]  # a map to a score: docs/thresholds.md
    share: Annotated[float, Field(gt=0, le=1)]  # top_share: of the pixels, averaged; region_mass: of normal ones, above


class MapScorerParams(Params):
    """What every one-class scorer takes whose image score is made from its map."""

    smoothing: NonNegativeFloat  # standard deviation of the Gaussian over the anomaly map, pixels; 0: raw
    image_score: ImageScoreParams


class PooledKNNParams(Params):
    """One vector an image and its nearest neighbours: Saeedi & Giusti 2022, section 3.2, Fig. 3, Eq. 4."""

    features: FeatureParams
    pooling: Literal["three_way", "max"]  # Fig. 3; max: what it is compared with
    k: PositiveInt  # neighbours; the paper prints 15 for the deep feature baseline and none for its own
    deviation_floor: NonNegativeFloat  # of a feature, as a share of the RMS of all deviations; 0: as printed
    smoothing: NonNegativeFloat  # standard deviation of the Gaussian over the anomaly map, pixels


class PatchMemoryParams(MapScorerParams):
    """Features of every position of an image against those of the same position and its neighbours in training."""

    features: FeatureParams
    search_radius: NonNegativeInt  # cells around a position where neighbours are looked for
    size: PositiveInt | None  # vectors kept a position, a coreset; null: all
    bits: Literal[8, 16]  # of each number kept


class FreePatchParams(MapScorerParams):
    """Features of every place of an image of any size against those of any place in training."""

    features: FeatureParams
    scale: PositiveInt | Literal["auto"]  # times that an image is enlarged; auto: twice if a side is below 128 pixels
    pool: PositiveInt  # places of all training images that are learned from at the most, drawn at random


class FreeMemoryParams(FreePatchParams):
    """Features of every place of an image of any size against a memory of those of any place in training."""

    size: PositiveInt  # vectors kept, a coreset
    whiten: bool  # distances are Mahalanobis', not Euclid's
    bits: Literal[8, 16]  # of each number kept
    budget: PositiveFloat  # megabytes that the memory may take


class HeldOutParams(Params):
    """What a scorer takes whose map is distances beside those of images that were held out."""

    normalise: Literal["all", "place"]  # by the held-out distances of all places, or of each place (images of one size)


class PatchMemoryFreeParams(HeldOutParams, FreeMemoryParams):
    """A memory of features of any place, alone."""


class PatchGaussianFreeParams(HeldOutParams, FreePatchParams):
    """One Gaussian of the features of any place."""


class FilterBankParams(Params):
    """Filters that respond to spots and bars, on pixels relative to the brightness and contrast around them."""

    spots: Annotated[tuple[PositiveFloat, ...], Field(min_length=1)]  # deviations of the spots, pixels
    # deviations of the bars across and along, pixels
    bars: tuple[tuple[PositiveFloat, PositiveFloat], ...]
    angles: PositiveInt  # of each bar, evenly over 180 degrees
    side: Annotated[int, Field(ge=3)]  # of a filter, pixels; odd
    window: (
        PositiveInt  # pixels around, each way, that brightness and contrast are taken of; a smaller image: all of it
    )
    soft: NonNegativeFloat  # share of the usual contrast added to that around, so that even places do not count

    @model_validator(mode="after")
    def _has_a_middle(self) -> Self:
        if self.side % 2 == 0:
            raise ValueError(f"side must be odd, so that a filter has a middle, got {self.side}")
        return self


class TextureParams(FreeMemoryParams):
    """Three maps of a texture: features, what principal components leave, spots and bars."""

    window: PositiveInt  # pixels each way over which the squared error of the principal components is averaged
    bank: FilterBankParams


class PatchGaussianParams(MapScorerParams):
    """Features of every position of an image against one Gaussian a position with full, shrunk covariance."""

    features: FeatureParams
    search_radius: NonNegativeInt  # cells around a position whose Gaussians count too
    dimensions: PositiveInt | None  # of the features, a random choice; null: all


class CandidateParams(Params):
    """A method that can be chosen, with what its scorer takes."""

    method: str
    settings: dict[str, Any]  # the scorer's parameters, as the method's own branch has them
    change: dict[str, Any] | None = None  # of them, what differs
    reconstructor: dict[str, Any] | None = None  # patches and model of that whose residual images it sees too


class AutoScorerParams(CandidateParams):
    """The scorer of the candidate that was chosen, and how its map becomes the image score."""

    image_score: ImageScoreParams

    def own(self) -> dict[str, Any]:
        """Return the parameters of the chosen method's scorer."""
        return {**merged(self.settings, self.change or {}), "image_score": self.image_score}


class MethodChoiceParams(Params):
    """How ``auto`` decides: by how well held-out normal images are told from pseudo-defects in them."""

    images: Annotated[int, Field(ge=2)]  # normal images that candidates are tried on, at most
    least: Annotated[int, Field(ge=2)]  # with fewer nothing is tried
    folds: Annotated[int, Field(ge=2)]  # each is held out once; at most one an image
    defects: PositiveInt  # pseudo-defects in them, in all
    side: PositiveInt  # shorter side, pixels, with which larger images are looked at that would be as they are; or more
    least_span: PositiveFloat  # pixels, as they are looked at, that a defect of inspection.min_area spans at the least
    image_scores: Annotated[tuple[ImageScoreParams, ...], Field(min_length=1)]  # tried with every candidate
    noise: NonNegativeFloat  # standard errors within which a candidate is as good as the best
    image_score_noise: NonNegativeFloat  # the same of a candidate's image scores
    seconds: PositiveFloat | None  # after which the best so far is taken; null: no limit

    @model_validator(mode="after")
    def _can_be_tried(self) -> Self:
        if self.images < self.least:
            raise ValueError(f"images must be at least least, got {self.images} < {self.least}")
        if any(score.reduction == "region_mass" for score in self.image_scores):
            raise ValueError(
                "image_scores must be maximum or top_share: region_mass needs a level that is learned later"
            )
        return self


class PixelScorerParams(Params):
    """What a one-class scorer of single pixels takes."""

    smoothing: NonNegativeFloat  # standard deviation of the Gaussian over the map that is shown, pixels; 0: raw


class AutoencoderParams(Params):
    """What every autoencoder of Schneider 2022 takes; its ``model`` is the method's own."""

    patches: PatchParams
    train: TrainParams
    scorer: MapScorerParams

    @model_validator(mode="after")
    def _divides(self) -> Self:
        if self.patches.size % 16:
            raise ValueError(
                f"patches.size must be a multiple of 16 (the encoder shrinks 16 times), got {self.patches.size}"
            )
        return self


class CAEParams(AutoencoderParams):
    model: CAEModelParams


class VAEParams(AutoencoderParams):
    model: VAEModelParams


class AAEParams(AutoencoderParams):
    model: AAEModelParams


class LeNetParams(Params):
    """What the autoencoder of Alpdemir 2022 takes."""

    patches: PatchParams
    model: LeNetModelParams
    train: TrainParams
    scorer: MapScorerParams


class RobustPatchParams(PatchParams):
    """Windows that are learned from again and again, some of them with pseudo-defects."""

    mirror: bool  # each is there four times, mirrored
    pseudo_share: Fraction  # of pseudo-defects among them, the paper's noise ratio


class RDCAEParams(Params):
    """Alpdemir 2022, the proposed method."""

    patches: RobustPatchParams
    model: RDCAEModelParams
    train: TrainParams
    scorer: MapScorerParams


class AEParams(Params):
    """What the autoencoders of Rádli & Czúni 2022 take."""

    patches: FramePatchParams
    model: AEModelParams
    train: TrainParams
    residual: ResidualParams
    scorer: MapScorerParams


class DAEParams(AEParams):
    model: DAEModelParams


class STNAEParams(AEParams):
    model: STNAEModelParams
    residual: TurnedResidualParams


class DeepSVDDParams(LeNetParams):
    model: DeepSVDDModelParams


class PCAParams(Params):
    """Principal components of patches: what an autoencoder has to beat."""

    patches: PatchParams
    model: PCAModelParams
    scorer: MapScorerParams


class NoveltyParams(MapScorerParams):
    """A one-class model of scikit-learn on what an autoencoder makes of patches; Alpdemir 2022, section 5.3."""

    cell: PositiveInt  # side of the cells over which the reconstruction error is averaged, pixels
    patches: PositiveInt  # patches that are learned from at the most, drawn at random


class OCSVMParams(NoveltyParams):
    nu: Rate  # upper bound of the share of training patches that lie outside


class IsolationForestParams(NoveltyParams):
    trees: PositiveInt  # of the forest


class OCSVMMethodParams(Params):
    scorer: OCSVMParams


class IsolationForestMethodParams(Params):
    scorer: IsolationForestParams


class MeanBrightnessParams(Params):
    """The mean grey level has nothing to choose."""


class MeanBrightnessMethodParams(Params):
    scorer: MeanBrightnessParams


class CPCAEParams(Params):
    """Saeedi & Giusti 2022, the proposed method: a conditional patch-based autoencoder, and kNN on what a pretrained
    network sees in its anomaly map."""

    patches: GridPatchParams
    model: CPCAEModelParams
    train: TrainParams
    folds: Annotated[int, Field(ge=0, le=20)]  # training images mapped by networks that did not see them; 0: paper
    scorer: PooledKNNParams

    @model_validator(mode="after")
    def _divides(self) -> Self:
        shrink = 2 ** len(self.model.channels)
        if self.patches.size % shrink:
            raise ValueError(
                f"patches.size must be a multiple of {shrink} (the encoder halves {len(self.model.channels)} times), "
                f"got {self.patches.size}"
            )
        if self.folds == 1:
            raise ValueError("folds must be 0 (none) or at least 2, got 1")
        return self


class PooledKNNMethodParams(Params):
    scorer: PooledKNNParams


class PatchMemoryMethodParams(Params):
    scorer: PatchMemoryParams


class PatchMemoryFreeMethodParams(Params):
    scorer: PatchMemoryFreeParams


class TextureMethodParams(Params):
    scorer: TextureParams


class PatchGaussianFreeMethodParams(Params):
    scorer: PatchGaussianFreeParams


class PatchGaussianMethodParams(Params):
    scorer: PatchGaussianParams


class PixelMethodParams(Params):
    scorer: PixelScorerParams


class AutoMethodParams(Params):
    """The best of some methods, chosen by the good images."""

    scorer: AutoScorerParams  # what is taken where the images are too few to choose by
    candidates: Annotated[dict[str, CandidateParams], Field(min_length=1)]  # by name, the simplest first
    choice: MethodChoiceParams


# --- evaluation, inspection, reporting -------------------------------------------------------------------------------
class SuitabilityParams(Params):
    """From which figures a material suits an autoencoder; all are shares, ours, fixed before any test was scored."""

    regular: Rate  # before training: spectral power in a repeating pattern, suited from here
    linear: Rate  # before training: variation a linear autoencoder explains, doubtful from here
    suited: Rate  # after training: variation the network explains, suited from here
    doubtful: Rate  # after training: doubtful from here, unsuited below
    dark: Rate  # after training: images that reach less of the range are dark: a network that fails is doubtful

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.doubtful > self.suited:
            raise ValueError(f"doubtful must not exceed suited, got {self.doubtful} > {self.suited}")
        return self


class DetectabilityParams(Params):
    """Pseudo-defects of known size and contrast, by which it is told what a detector finds. The detector does not
    depend on these, so they are no part of `EvaluationParams`."""

    defects: NonNegativeInt  # pseudo-defects that are made and judged, of all kinds together; 0: none
    # of pseudo-defects, in turn: docs/pseudo-defects.md; one, or a list
    kinds: Annotated[tuple[DefectKind, ...], Field(min_length=1), BeforeValidator(as_names)]
    sizes: Rates  # smallest and largest diameter of a disk of the same area, share of the image's shorter side
    contrasts: Annotated[tuple[Rate, ...], Field(min_length=1)]  # mean absolute change of the pixels, of full scale

    @model_validator(mode="after")
    def _can_be_drawn(self) -> Self:
        if self.sizes[1] > 0.4:
            raise ValueError(f"sizes must be at most 0.4, or hardly a place is left to draw them in, got {self.sizes}")
        if len(set(self.contrasts)) < len(self.contrasts):
            raise ValueError(f"contrasts must differ, got {self.contrasts}")
        return self


class CalibrationParams(Params):
    """Which normal images calibrate a method that learns from photographs and trains nothing; others have ``split``."""

    # those held out (split), or all, each scored by a model that did not learn it (cross); auto: cross where fewer than
    # ``enough`` are held out
    how: Literal["auto", "split", "cross"]
    enough: PositiveInt
    folds: Annotated[int, Field(ge=2)]  # of cross; at most one an image


class CostParams(Params):
    """What mistakes and reviews cost a part, in any one unit, by which thresholds are then chosen; all null: they are
    not. What a review costs stands beside what is reviewed: a part that is looked at is taken to be judged rightly."""

    escape: PositiveFloat | None = None  # of a defective part that passes
    overkill: PositiveFloat | None = None  # of a good part that is rejected
    review: NonNegativeFloat | None = None  # of a part that a person looks at
    defect_rate: Rate | None = None  # share of the parts that are defective, as whoever makes them knows it
    review_capacity: UpToOne | None = None  # share of the parts that persons can look at; null: all

    @model_validator(mode="after")
    def _together(self) -> Self:
        needed = ("escape", "overkill", "review", "defect_rate")
        missing = [name for name in needed if getattr(self, name) is None]
        if missing and len(missing) < len(needed):
            raise ValueError(f"escape, overkill, review and defect_rate go together, {' and '.join(missing)} got null")
        if missing and self.review_capacity is not None:
            raise ValueError(
                f"review_capacity needs escape, overkill, review and defect_rate beside it, got {self.review_capacity} "
                f"alone; without costs review_overkill says how many good parts may be looked at"
            )
        return self

    @property
    def given(self) -> bool:
        """Whether thresholds are chosen by these."""
        return self.escape is not None


def given_costs(costs: CostParams | None) -> CostParams | None:
    """Return costs, or None where all of them are null."""
    return costs if costs is not None and costs.given else None


class EvaluationParams(Params):
    target_overkill: Rate  # wanted share of good parts rejected
    review_overkill: Rate  # wanted share of good parts a person has to look at, rejects included
    outlier_quantile: Rate  # of normal scores, at which the pseudo-supervised threshold lies
    aupro_limit: Annotated[float, Field(gt=0, le=1)]  # false positive rate up to which AUPRO integrates
    calibration: CalibrationParams
    costs: CostParams  # of mistakes; given, they take the place of target_overkill and review_overkill

    @model_validator(mode="after")
    def _review_before_reject(self) -> Self:
        if self.review_overkill < self.target_overkill:
            raise ValueError(
                f"review_overkill must be at least target_overkill, got {self.review_overkill} < {self.target_overkill}"
            )
        return self


class IgnoreRegion(Params):
    """A rectangle that is never judged; (y, x) of its upper left corner and its (height, width), pixels."""

    y: NonNegativeInt
    x: NonNegativeInt
    height: PositiveInt
    width: PositiveInt


class DriftParams(Params):
    """When new images are said to drift from those that were learned from."""

    false_alarms: Rate  # largest probability that an inspection says so though nothing drifts
    odd_share: UpToOne  # of the images that may be odd, such as defective ones, and are no drift


class InspectionParams(Params):
    """How images are judged. A detector keeps what it was made with; what is given at an inspection takes
    precedence."""

    target_overkill: Rate | None = None  # null: as the detector was calibrated
    costs: Annotated[CostParams | None, AfterValidator(given_costs)] = None  # in the place of target_overkill; or null
    ignore: tuple[IgnoreRegion, ...] | None = None  # rectangles that are never judged; null: the detector's, else none
    min_area: NonNegativeFloat | None = None  # smaller regions are no defects; mm^2 with mm_per_pixel, else pixels
    mm_per_pixel: PositiveFloat | None = None  # scale of the photographs; null: areas are in pixels
    max_pixels: PositiveInt | None = None  # an image whose header promises more is not judged
    strict: bool | None = None  # whether a JPEG of which the decoder only warns is not judged; null: as at ingestion
    pictures: Literal["flagged", "all"] | None = None  # of which images; flagged, null: of those that do not pass
    drift: DriftParams | None = None  # when images are said to drift; null: as the detector was made to, else never
    # what an image of the challenge set that is judged otherwise does to an inspection: stops it (null too), or is told
    challenge: Literal["block", "warn", "off"] | None = None

    def over(self, kept: "InspectionParams") -> "InspectionParams":
        """Return these settings, and those of ``kept`` where these are null."""
        given = {name: getattr(self, name) for name in self.model_fields_set if getattr(self, name) is not None}
        if given.keys() & {"target_overkill", "costs"}:  # the one takes the place of the other
            given = {"target_overkill": None, "costs": None} | given
        return kept.but(**given)

    @model_validator(mode="after")
    def _one_way_to_thresholds(self) -> Self:
        if self.target_overkill is not None and self.costs is not None:
            raise ValueError("the thresholds are set by target_overkill or by costs: give one of them, got both")
        return self


def _is_signed(text: str) -> str:
    who, _, when = text.rpartition(" on ")
    try:
        date.fromisoformat(when.strip())
    except ValueError:
        who = ""
    if not who.strip():
        raise ValueError(f"must be a name and a date, such as 'A. Person on 2026-01-31'; got {text!r}")
    return text


SignedOff = Annotated[str, AfterValidator(_is_signed)]


CATALOG_VERSION = re.compile(r"\d{4}-\d\d-\d\dT\d\d\.\d\d\.\d\d\.\d{3}Z")
DETECTOR_NAME = re.compile(r"runs:/[^/]+/[^@]+|models:/[^/@]+(?:/[^/@]+|@[^/@]+)?|[\w.-]+")


def _is_detector_name(text: str) -> str:
    if not DETECTOR_NAME.fullmatch(text):
        raise ValueError(
            f"must be a version of the catalog (2026-01-31T12.00.00.000Z), an MLflow model (runs:/ID/detector, "
            f"models:/NAME/3, models:/NAME@champion) or an alias (champion), got {text!r}"
        )
    return text


DetectorName = Annotated[str, AfterValidator(_is_detector_name)]


class PromotionParams(Params):
    """When a detector takes the place of the champion."""

    margin: Rate  # by which its AUROC may be lower than the champion's and still count as no worse
    significance: Rate  # below which the p-value of its verdicts being worse refuses it
    without_test: bool  # whether a category without labelled test photographs is promoted by the challenge set alone


class FeedbackParams(Params):
    challenge: Literal["none", "defective", "all"]  # whose images the challenge set takes in


class ReportingParams(Params):
    examples: PositiveInt  # worst and best images shown, each
    signed_off_by: SignedOff | None = None  # who vouches for the detector, and since when; null: nobody does


class BaseParameters(Params):
    """What the tree of parameters holds beside the methods' own: `flawline.methods.tree` adds these."""

    category: str  # one product; names its folders below data/
    seed: Seed  # of everything drawn at random
    raw: str | None  # folder of the category's photographs; null: data/01_raw/<category>
    images: str | None  # folder of new images for inspection
    decisions: str | None  # table of what people said of inspected images, for the feedback
    verdicts: str | None  # table that they are about; null: that of the newest inspection
    # that judges: a version of the catalog, an MLflow model, or an alias of the method's own; null: the newest version
    detector: DetectorName | None
    protocol: Protocol  # what the methods see as an image: a photograph, or a patch of one in a paper's protocol
    variant: Variant  # a name for a run with other parameters, whose results are then kept beside the others; or ""
    compute: ComputeParams
    ingestion: IngestionParams
    examples: ExamplesParams
    registration: RegistrationParams
    patch_set: PatchSetParams
    defect_injection: DefectInjectionParams
    suitability: SuitabilityParams
    evaluation: EvaluationParams
    detectability: DetectabilityParams
    inspection: InspectionParams
    feedback: FeedbackParams
    promotion: PromotionParams
    reporting: ReportingParams


def check_category(category: Any) -> str:
    """Return ``category`` if it can name a folder below data/ and nothing else; raise FlawlineError otherwise."""
    named = isinstance(category, str | int) and not isinstance(category, bool)
    if not named or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}", str(category)):
        raise FlawlineError(
            f"category must be 1 to 64 letters, digits, '-' or '_', starting with a letter or digit (it names a "
            f"folder), got {category!r}. Give one as --params category=NAME."
        )
    return str(category)


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested parameters as one level of dotted names."""
    flat: dict[str, Any] = {}
    for name, value in tree.items():
        plain = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
        if isinstance(plain, Mapping):
            flat |= flatten(plain, f"{prefix}{name}.")
        else:
            flat[f"{prefix}{name}"] = plain
    return flat
