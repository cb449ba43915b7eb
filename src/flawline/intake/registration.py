"""Registration: every image of the manifest is brought into one frame and one store.

The frame is the whole image; of a strip, the image without its bare ends; of a rigid part that is aligned, a box in the
reference's photograph. The table ``alignment``, which says where each image lies, is at home here too."""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from flawline.checks import FlawlineError, near_name
from flawline.intake.decoding import UnreadableImageError, decode, read_bytes
from flawline.intake.folders import check_folder
from flawline.intake.manifest import file_of
from flawline.intake.masks import read_mask_source
from flawline.intake.measuring import decoder_key
from flawline.intake.splits import UNUSED
from flawline.params import RegistrationParams
from flawline.storage.digests import Digest, content_digest
from flawline.storage.ragged import Keyed, Lazy, RaggedArray
from flawline.vision.alignment import Aligner, Alignment
from flawline.vision.brightness import brightened, gain_between, median_level
from flawline.vision.fitting import Teach, Track, aligner_of, fit_aligner, untracked
from flawline.vision.levels import LUMA, to_full_scale
from flawline.vision.strips import material_span
from flawline.vision.transform import Transform

if TYPE_CHECKING:
    from torch import Tensor

MOVE = ("angle", "shift_y", "shift_x", "scale")  # columns of the table ``alignment``: a Transform's
LEVEL = "level"  # the common level of brightness among the aligner's tensors, where nothing is aligned
FOUND = ("quality", "aligned", "reason", "gain", "offset", "outside")  # and an Alignment's


def common_channels(manifest: pd.DataFrame, color: str) -> int:
    """Return the channels of every registered image: 1 for grey, 3 for RGB; 'auto' is grey if all images are."""
    if color == "auto":
        return int(manifest["channels"].max())
    return 1 if color == "grey" else 3


def to_channels(image: NDArray, channels: int) -> NDArray:
    """Convert ``image`` (C, H, W) to ``channels``, keeping its type: grey is repeated, RGB weighted by BT.601."""
    if image.shape[0] == channels:
        return image
    if channels == 3:
        return np.repeat(image, 3, axis=0)  # (3, H, W)
    grey = np.tensordot(LUMA, image.astype(np.float64), axes=1)[None]  # (1, H, W)
    return np.rint(grey).astype(image.dtype)


@dataclass(frozen=True)
class Registered:
    """The images of a manifest in their frames, as they are stored, or on their way there with the ``key`` of all that
    they are made from."""

    images: Sequence[NDArray]  # (C, H, W)
    masks: Sequence[NDArray]  # (H, W) bool, empty (0, 0) where there is none
    alignment: pd.DataFrame
    aligner: "dict[str, Tensor]" = field(default_factory=dict)  # empty: images are taken as they are
    key: str = ""

    def is_made_from(self, key: str) -> bool:
        """Return True if the stored images and masks carry this key and are what was written; reads them whole if they
        do."""
        stores = [each for each in (self.images, self.masks) if isinstance(each, RaggedArray)]
        return len(stores) == 2 and all(each.key == key and each.is_intact() for each in stores)

    def to_store(self, track: Track = untracked) -> tuple[Iterable[NDArray], Iterable[NDArray]]:
        """Return images and masks as a store takes them; what is stored already as it is."""
        if isinstance(self.images, RaggedArray):
            return self.images, self.masks
        tracked = track(self.images, total=len(self.images), label="registering")
        return Keyed(tracked, self.key), Keyed(self.masks, self.key)


def registration_key(
    manifest: pd.DataFrame,
    alignment: pd.DataFrame,
    registration: RegistrationParams,
    *,
    max_pixels: int,
    aligner: "Mapping[str, Tensor] | None" = None,
) -> str:
    """Return a digest of all that registered images and masks are made from: files, masks, alignment, parameters,
    decoders; and where parts are aligned, the aligner and which images it was made from."""
    rows = manifest[["image", "page", "mask", "layout", "channels", "bits", "sha256", "mask_sha256"]].to_csv(
        index=False
    )
    made_by = f"{registration.model_dump_json()} {decoder_key(max_pixels, strict=False)}"
    digest = Digest().add(f"{rows}{alignment.to_csv(index=False)}{made_by}").add_tensors(aligner or {})
    if registration.align != "none":
        digest.add(_learned_from(manifest).to_csv(index=False))
    return digest.hexdigest()


def cuts_ends(manifest: pd.DataFrame, trim_ends: bool | str) -> bool:
    """Return True if bare background and selvedge are cut off; 'auto' does so for strips of the layout aitex."""
    return bool((manifest["layout"] == "aitex").all()) if trim_ends == "auto" else bool(trim_ends)


def evens_brightness(manifest: pd.DataFrame, registration: RegistrationParams) -> bool:
    """Return True if images that are not aligned are brought to one brightness, each by a gain; 'auto' does so for
    strips whose ends are cut off: the light of a line-scan camera differs from strip to strip."""
    if registration.align != "none" or registration.brightness == "none":
        return False
    return registration.brightness == "gain" or cuts_ends(manifest, registration.trim_ends)


def fit_registration(
    manifest: pd.DataFrame,
    folder: Path,
    registration: RegistrationParams,
    *,
    max_pixels: int,
    track: Track = untracked,
    teach: Teach | None = None,
) -> tuple[Aligner | None, dict[str, tuple[Transform, float]]]:
    """Return the aligner made from the normal training images, and what it found of each of these by its name;
    (None, {}) where nothing is to be aligned. Raise FlawlineError if ``registration.reference`` is none of them."""
    if registration.align == "none":
        return None, {}
    _check_reference(registration.reference, manifest, _learned_from(manifest))
    images, names = training_photographs(manifest, folder, max_pixels=max_pixels)
    aligner, found = fit_aligner(images, registration, names=names, track=track, teach=teach)
    return aligner, dict(zip(names, found, strict=True))


def training_photographs(manifest: pd.DataFrame, folder: Path, *, max_pixels: int) -> tuple[Lazy, list[str]]:
    """Return the normal training photographs (C, H, W), decoded when asked for, and their names."""
    learned = _learned_from(manifest)
    rows = _records(learned)
    images = Lazy(len(rows), lambda i: _decode_row(folder, rows[i], max_pixels=max_pixels))
    return images, learned["image"].tolist()


def _learned_from(manifest: pd.DataFrame) -> pd.DataFrame:
    return manifest[(manifest["split"] == "train") & (manifest["label"] == 0)]


def _check_reference(reference: str | None, manifest: pd.DataFrame, learned: pd.DataFrame) -> None:
    if reference is None or (learned["image"] == reference).any():
        return
    row = manifest[manifest["image"] == reference]
    if row.empty:
        hint = near_name(reference, learned["image"])
        raise FlawlineError(
            f"registration.reference must be a normal training image as the manifest names it, got '{reference}', "
            f"which is not there{hint}"
        )
    what = "defective" if row["label"].iloc[0] == 1 else f"in the split {row['split'].iloc[0]}"
    raise FlawlineError(f"registration.reference must be a normal training image: '{reference}' is {what}")


def find_alignment(
    manifest: pd.DataFrame,
    folder: Path,
    *,
    cut: bool,
    max_pixels: int,
    even: bool = False,
    aligner: Aligner | None = None,
    known: Mapping[str, tuple[Transform, float]] | None = None,
    track: Track = untracked,
) -> tuple[pd.DataFrame, float | None]:
    """Return how each image is brought into its frame, a row an image, and the common level of brightness, None where
    there is none or the aligner has it.

    Columns: the move that is undone (``angle`` degrees, ``shift_y`` and ``shift_x`` pixels, ``scale``), ``quality``,
    ``aligned`` and the ``reason`` why not, ``gain`` and ``offset`` of the brightness; the columns kept (``left`` to
    before ``right``, of the reference where parts are aligned); pixels of the mask (``defect_cut``) and of the part
    (``outside``) that are cut off. Without ``aligner`` nothing is moved, all columns are kept unless ``cut``, and the
    gain is 1 unless images are made ``even``. ``known`` are move and quality of images by name."""
    if aligner is not None:
        return _aligned(manifest, folder, aligner, known or {}, max_pixels=max_pixels, track=track), None
    table = _table([Alignment()] * len(manifest), manifest).assign(left=0, right=manifest["width"], defect_cut=0)
    if not cut and not even:
        return table, None
    rows = _records(manifest)
    spans, levels = [], []
    for row in track(rows, total=len(rows), label="looking for the material"):
        image = _decode_row(folder, row, max_pixels=max_pixels)
        left, right = material_span(image) if cut else (0, image.shape[2])
        spans.append((left, right))
        levels.append(median_level(image[..., left:right]) if even else 0.0)
    table[["left", "right"]] = spans
    lost = [_defect_outside(_mask_of_row(folder, row, max_pixels=max_pixels), *span)
            for row, span in zip(rows, spans, strict=True)]  # fmt: skip
    level = _common_level(manifest, levels) if even else None
    gains = [1.0 if level is None else gain_between(level, own) for own in levels]
    return table.assign(defect_cut=lost, gain=gains), level


def _common_level(manifest: pd.DataFrame, levels: Sequence[float]) -> float:
    """Return the median of the levels of the normal training images, in grey levels from 0 to 255."""
    learned = manifest.index.isin(_learned_from(manifest).index)
    return float(np.median(np.array(levels)[learned]))


def _aligned(
    manifest: pd.DataFrame, folder: Path, aligner: Aligner, known: Mapping[str, Any], *, max_pixels: int, track: Track
) -> pd.DataFrame:
    found, lost = [], []
    for row in track(_records(manifest), total=len(manifest), label="aligning all"):
        alignment = aligner.align(_decode_row(folder, row, max_pixels=max_pixels), known.get(row["image"]))
        found.append(alignment)
        lost.append(aligner.cut_off(_mask_of_row(folder, row, max_pixels=max_pixels), alignment))
    _, left, _, right = aligner.box
    return _table(found, manifest).assign(left=left, right=right, defect_cut=lost)


def _table(found: Sequence[Alignment], manifest: pd.DataFrame) -> pd.DataFrame:
    rows = [alignment_row(each) for each in found]
    return pd.concat([manifest[["image"]], pd.DataFrame(rows, manifest.index, [*MOVE, *FOUND])], axis=1)


def alignment_row(alignment: Alignment) -> dict[str, Any]:
    """Return an alignment as a row of the table ``alignment``."""
    move = {name: getattr(alignment.move, name) for name in MOVE}
    return move | {name: getattr(alignment, name) for name in FOUND}


def alignment_of(row: Mapping[str, Any]) -> Alignment:
    """Return what a row of the table ``alignment`` says."""
    return Alignment(Transform(*(row[name] for name in MOVE)), **{name: row[name] for name in FOUND})


def usable(alignment: pd.DataFrame) -> NDArray[np.bool_]:
    """Return which images could be aligned (n,): no other may be learned from, calibrated on or judged."""
    return alignment["aligned"].to_numpy(bool)


def without_misaligned(manifest: pd.DataFrame, alignment: pd.DataFrame) -> pd.DataFrame:
    """Return the manifest with the split 'unused' for images that could not be aligned: they are neither learned from,
    calibrated on nor scored. ``planned`` is the split that they had. Raise FlawlineError if none is left of a split
    that is learned from or calibrated on."""
    split = manifest["split"].where(usable(alignment), UNUSED)
    for name in ("train", "validation", "calibration"):
        if (manifest["split"] == name).any() and not (split == name).any():
            reason = alignment["reason"][(manifest["split"] == name).to_numpy()].iloc[0]
            raise FlawlineError(
                f"none of the {name} images could be aligned (the first: {reason}). Lower registration.least_quality, "
                f"name another registration.reference, or leave images as they are: registration.align=none."
            )
    return manifest.assign(planned=manifest["split"], split=split)


def register_images(
    manifest: pd.DataFrame,
    folder: Path,
    registration: RegistrationParams,
    *,
    max_pixels: int,
    known: Registered | None = None,
    track: Track = untracked,
    teach: Teach | None = None,
) -> Registered:
    """Return the images and masks, decoded when they are asked for and not at all where ``known`` holds the same ones,
    and how they were brought into their frames. The aligner holds only the common level of brightness where nothing is
    aligned but brightness, and nothing where images are taken as they are. ``teach`` trains the localiser of the mode
    ``stn``."""
    check_folder(folder)
    if known is not None:
        key = registration_key(manifest, known.alignment, registration, max_pixels=max_pixels, aligner=known.aligner)
        if known.is_made_from(key):
            return known
    aligner, found = fit_registration(manifest, folder, registration, max_pixels=max_pixels, track=track, teach=teach)
    cut = cuts_ends(manifest, registration.trim_ends)
    even = evens_brightness(manifest, registration)
    alignment, level = find_alignment(
        manifest, folder, cut=cut, even=even, max_pixels=max_pixels, aligner=aligner, known=found, track=track
    )
    how: dict[str, Any] = {"max_pixels": max_pixels, "aligner": aligner}
    images = registered_images(manifest, folder, alignment, color=registration.color, **how)
    masks = registered_masks(manifest, folder, alignment, **how)
    tensors = aligner.to_tensors() if aligner else level_tensors(level)
    key = registration_key(manifest, alignment, registration, max_pixels=max_pixels, aligner=tensors)
    return Registered(images, masks, alignment, tensors, key)


def level_tensors(level: float | None) -> "dict[str, Tensor]":
    """Return the common level of brightness as a file of tensors has it; empty without one."""
    import torch  # takes seconds

    return {} if level is None else {LEVEL: torch.tensor(level, dtype=torch.float64)}


def registered_images(
    manifest: pd.DataFrame,
    folder: Path,
    alignment: pd.DataFrame,
    *,
    color: str,
    max_pixels: int,
    aligner: Aligner | None = None,
) -> Lazy:
    """Return the images (C, H, W) of the manifest in their frames, decoded one at a time when asked for."""
    channels = common_channels(manifest, color)
    rows, frames = _records(manifest), alignment.to_dict("records")

    def make(i: int) -> NDArray:
        image = _decode_row(folder, rows[i], max_pixels=max_pixels)
        if aligner is not None:
            return aligner.warp(to_channels(image, channels), alignment_of(frames[i]))
        kept = to_channels(image[..., frames[i]["left"] : frames[i]["right"]], channels)
        return kept if frames[i]["gain"] == 1.0 else brightened(kept, kept.dtype, gain=frames[i]["gain"])

    return Lazy(len(rows), make)


def frames_seen(
    manifest: pd.DataFrame, alignment: pd.DataFrame, aligner: "Mapping[str, Tensor]"
) -> Callable[[str], NDArray[np.bool_] | None]:
    """Return what tells of an image, by its name, which pixels (h, w) of its frame show its photograph; None where
    nothing was aligned, so that all do."""
    made = aligner_of(aligner)
    if made is None:
        return lambda image: None
    rows = alignment.set_index("image").to_dict("index")
    sizes = manifest.set_index("image")[["height", "width"]]
    return lambda image: made.seen(alignment_of(rows[image]), sizes.loc[image].tolist())


def registered_masks(
    manifest: pd.DataFrame, folder: Path, alignment: pd.DataFrame, *, max_pixels: int, aligner: Aligner | None = None
) -> Lazy:
    """Return the masks (H, W) bool of the manifest's images; empty (0, 0) where there is none, or all was cut off."""
    rows, frames = _records(manifest), alignment.to_dict("records")

    def make(i: int) -> NDArray[np.bool_]:
        mask = _mask_of_row(folder, rows[i], max_pixels=max_pixels)
        if aligner is None:
            mask = mask[:, frames[i]["left"] : frames[i]["right"]]
        elif mask.size:
            mask = aligner.warp_mask(mask, alignment_of(frames[i]))
        return mask if mask.any() else np.zeros((0, 0), bool)

    return Lazy(len(rows), make)


def _records(manifest: pd.DataFrame) -> list[dict[str, Any]]:
    names = ["image", "page", "bits", "sha256", "mask", "mask_sha256", "height", "width"]
    return manifest[names].to_dict("records")


def _defect_outside(mask: NDArray[np.bool_], left: int, right: int) -> int:
    """Return how many defective pixels lie outside the columns ``left`` to before ``right``."""
    return int(mask.sum() - mask[:, left:right].sum())


def check_space(folder: Path, manifest: pd.DataFrame, channels: int) -> None:
    """Raise FlawlineError if the disk of ``folder`` has no room for the images and masks of the manifest."""
    pixels = manifest["height"].astype(np.int64) * manifest["width"]
    needed = int((pixels * (channels * manifest["depth"] // 8 + manifest["mask"].notna())).sum())
    free = shutil.disk_usage(next(home for home in (folder, *folder.absolute().parents) if home.exists())).free
    if free < needed:
        raise FlawlineError(
            f"the disk of {folder} is too full: {len(manifest)} images need {needed / 1e6:.0f} MB, "
            f"{free / 1e6:.0f} MB are free. Make room, or link data/ to a larger disk."
        )


def _decode_row(folder: Path, row: Mapping[str, Any], *, max_pixels: int) -> NDArray:
    """Return the photograph (C, H, W) of a row of the manifest on the full scale of its type, whatever bits it uses."""
    path = folder / file_of(row["image"], row["page"])
    try:
        content = read_bytes(path)
    except UnreadableImageError as error:
        raise _changed(path, str(error)) from None
    if content_digest(content) != row["sha256"]:
        raise _changed(path, "other content")
    # Ingestion has decided on what it is used in spite of.
    photograph = decode(content, max_pixels=max_pixels, page=row["page"] or None, strict=False)
    return to_full_scale(photograph, row["bits"])


def _mask_of_row(folder: Path, row: Mapping[str, Any], *, max_pixels: int) -> NDArray[np.bool_]:
    if not isinstance(row["mask"], str):
        return np.zeros((0, 0), bool)
    size = (int(row["height"]), int(row["width"]))
    try:
        source = read_mask_source(folder, row["mask"], file_of(row["image"], row["page"]))
        if source.key(size, row["page"]) != row["mask_sha256"]:
            raise _changed(folder / row["mask"], "other content")
        return source.pixels(size, max_pixels=max_pixels, page=row["page"])
    except UnreadableImageError as error:
        raise _changed(folder / row["mask"], str(error)) from None


def _changed(path: Path, how: str) -> FlawlineError:
    return FlawlineError(f"{path} has changed since ingestion. Run the ingestion again ({how}).")
