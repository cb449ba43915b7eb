"""AITEX (AFID): strips of fabric; the last number of a file's name is the fabric code, and each code a category.

Source: Silvestre-Blanes et al. 2019, A public fabric database for defect detection methods and results,
doi:10.2478/aut-2019-0035."""

import re
from collections.abc import Iterator
from pathlib import Path

from flawline.checks import FlawlineError
from flawline.intake.layouts.base import Layout, RawFile, folder_named, pictures_in, relative
from flawline.intake.masks import APART
from flawline.params import IngestionParams

NORMAL, DEFECTIVE, MASKS = "NODefect_images", "Defect_images", "Mask_images"
NAME = re.compile(r"(?P<number>\d+)_(?P<defect>\d+)_(?P<fabric>\d+)$")  # of a file, without extension
MASK_NAME = re.compile(r"(?P<image>.+)_mask\d*$")


def list_aitex(folder: Path, params: IngestionParams, category: str) -> Iterator[RawFile]:
    """NODefect_images/FABRIC/NNNN_000_FF, Defect_images/NNNN_DDD_FF, Mask_images/NNNN_DDD_FF_mask (or _mask1, _mask2).

    Lists the fabric code that ``category`` ends in; a defect is named by its code. A strip is a group of its own."""
    code = fabric_of(category, codes_in(folder))
    masks = _index_masks(folder)
    for name, label in ((NORMAL, 0), (DEFECTIVE, 1)):
        home = folder_named(folder, name)
        for path in pictures_in(home, deep=True) if home else ():
            match = NAME.match(path.stem)
            file = relative(path, folder)
            if match is None:
                yield RawFile(file, label, "unknown", unusable="its name is not NUMBER_DEFECT_FABRIC")
            elif match["fabric"] == code:
                mask = APART.join(masks.get(path.stem, ())) or None
                yield RawFile(file, label, match["defect"] if label else "good", mask=mask if label else None)


def codes_in(folder: Path) -> list[str]:
    """Return the fabric codes that have normal strips."""
    home = folder_named(folder, NORMAL)
    matches = (NAME.match(path.stem) for path in pictures_in(home, deep=True)) if home else iter(())
    return sorted({match["fabric"] for match in matches if match})


def fabric_of(category: str, codes: list[str]) -> str:
    """Return the fabric code that ``category`` ends in, the only one where there is one; raise FlawlineError else."""
    named = [code for code in codes if re.search(rf"(?<!\d){code}$", category)]
    if named or len(codes) == 1:
        return (named or codes)[0]
    raise FlawlineError(
        f"the folder holds the fabric codes {', '.join(codes) or 'none'}, each a category of its own; the category "
        f"must end in one of them (such as fabric{(codes or ['00'])[0]}), got '{category}'"
    )


def _index_masks(folder: Path) -> dict[str, list[str]]:
    """Return the mask pictures of each image's name: one, or several that belong together."""
    masks: dict[str, list[str]] = {}
    home = folder_named(folder, MASKS)
    for path in pictures_in(home, deep=True) if home else ():
        match = MASK_NAME.match(path.stem)
        masks.setdefault(match["image"] if match else path.stem, []).append(relative(path, folder))
    return masks


def _is_aitex(folder: Path) -> bool:
    return folder_named(folder, NORMAL) is not None


AITEX = Layout(
    is_in=lambda folder, params: _is_aitex(folder),
    list_files=list_aitex,
    wanted=lambda params: f"{NORMAL}/FABRIC/, {DEFECTIVE}/ and {MASKS}/",
    shared=_is_aitex,
)
