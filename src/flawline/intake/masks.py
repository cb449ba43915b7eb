"""The defective pixels of an image: from one mask picture, from several that belong together, or from annotations.

A manifest's column ``mask`` names its source: pictures or files of annotations, joined by ``//`` where they are
several."""

import json
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from flawline.intake.annotations import Annotated, Runs, read_annotation
from flawline.intake.annotations.base import united
from flawline.intake.decoding import UnreadableImageError, alpha_of, decode, is_lossy, orientation_in, read_bytes
from flawline.intake.names import ending_of
from flawline.storage.digests import Digest, content_digest

ANNOTATIONS = frozenset((".json", ".xml", ".txt"))  # a source that ends so is no picture
APART = "//"  # between the pictures of one mask: no relative path holds it


@dataclass(frozen=True)
class MaskSource:
    """A mask before its pixels are made: the contents of its pictures, or what is marked."""

    names: tuple[str, ...]
    pictures: tuple[bytes, ...] = ()
    marked: Annotated | None = None

    @property
    def sha256(self) -> str:
        """The digest of all that the mask is made from, whatever the image's size."""
        digest = Digest()
        for content in self.pictures:
            digest.add(bytes.fromhex(content_digest(content)))
        if self.marked is not None:
            digest.add(json.dumps(asdict(self.marked)))
        return digest.hexdigest()

    @property
    def orientation(self) -> int:
        """The EXIF orientation that was applied to the pictures, 1 of annotations; 0 if these do not say for which
        size they are made, so that no photograph contradicts them."""
        if self.marked is None:
            return max(orientation_in(content) for content in self.pictures)
        return int(self.marked.size is not None or any(isinstance(shape, Runs) for shape in self.marked.shapes))

    def key(self, size: tuple[int, int], page: int) -> str:
        """Return a digest of all that the mask of a ``page`` of an image of ``size`` depends on."""
        return content_digest(f"{self.sha256} {page} {size[0]} {size[1]}")

    def pixels(self, size: tuple[int, int], *, max_pixels: int, page: int = 0) -> NDArray[np.bool_]:
        """Return the defective pixels (H, W) of an image of ``size`` (h, w), which is a ``page`` (from 1) of its file.

        Raise UnreadableImageError, naming the file, if that is not possible or the sizes differ."""
        if self.marked is not None:
            marked = self.marked
            return self._named(0, lambda: marked.mask(size))
        masks = [self._named(k, lambda k=k: _picture(self.pictures[k], size, max_pixels, page))
                 for k in range(len(self.pictures))]  # fmt: skip
        return reduce(np.logical_or, masks)

    def _named(self, k, make):  # type: ignore[no-untyped-def]
        try:
            return make()
        except UnreadableImageError as error:
            raise UnreadableImageError(f"its mask {self.names[k]} {error}") from error


def read_mask_source(folder: Path, mask: str, image: str) -> MaskSource:
    """Read what ``mask`` names for ``image``, both relative to ``folder``; raise UnreadableImageError if that fails."""
    paths = mask.split(APART)
    names = tuple(PurePosixPath(path).name for path in paths)
    try:
        if ending_of(mask) in ANNOTATIONS:
            return MaskSource(names, marked=reduce(united, [read_annotation(folder, path, image) for path in paths]))
        return MaskSource(names, tuple(read_bytes(folder / path) for path in paths))
    except UnreadableImageError as error:
        raise UnreadableImageError(f"its mask {names[0]} {error}") from error


def _picture(content: bytes, size: tuple[int, int], max_pixels: int, page: int) -> NDArray[np.bool_]:
    """Return every pixel (H, W) above 0 in any channel; of a lossy picture, whose black is never clean, above half of
    its range. A mask that is painted on transparency marks what is opaque."""
    pixels = decode(content, max_pixels=max_pixels, page=page or None)  # (C, H, W)
    black = _half(pixels) if is_lossy(content) else 0
    mask = np.any(pixels > black, axis=0)  # (H, W)
    if mask.shape != size:
        raise UnreadableImageError(f"has size {mask.shape[0]} x {mask.shape[1]}, the image {size[0]} x {size[1]}")
    alpha = alpha_of(content, page=page or None)
    return mask if alpha is None else _visible(mask, alpha)


def _half(pixels: NDArray) -> int:
    """Return half of the range: of 8 bits, or of what is used of 16, since files of 10 and 12 bits keep their units."""
    return 127 if pixels.dtype == np.uint8 else max(127, int(pixels.max()) // 2)


def _visible(mask: NDArray[np.bool_], alpha: NDArray) -> NDArray[np.bool_]:
    """Return the pixels (H, W) that a picture marks whose colour marks ``mask`` and that is as opaque as ``alpha``.

    What is less than half as opaque as its most opaque pixel counts as transparent, and there no colour is to be seen.
    Where colour says the same of all that is to be seen, opacity marks; else colour does, if what it marks is visible.
    Raise UnreadableImageError if the two contradict each other."""
    seen = alpha > alpha.max() / 2
    if not seen.any():
        if mask.min() != mask.max():
            raise UnreadableImageError("is wholly transparent (alpha is 0 everywhere), but its colours differ")
        return seen
    if seen.all():
        return mask
    if mask[seen].all():
        return seen
    if not mask[seen].any():
        if seen.mean() > 0.5:
            raise UnreadableImageError(
                "is black where it is opaque and transparent elsewhere (alpha), and more than half of it is opaque: "
                "nobody knows which of the two it marks; save it without transparency, white on black"
            )
        return seen
    if mask[~seen].any():
        raise UnreadableImageError(
            "marks other pixels by its colour than by its transparency (alpha); save it without transparency, "
            "white on black"
        )
    return mask
