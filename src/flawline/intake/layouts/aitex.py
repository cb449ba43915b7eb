"""AITEX (AFID): strips of fabric; the last number of a file's name is the fabric code, and each code a category.

Source: Silvestre-Blanes et al. 2019, A public fabric database for defect detection methods and results,
doi:10.2478/aut-2019-0035."""

import re
from collections.abc import Iterator

from flawline.checks import FlawlineError
from flawline.intake.folders import Contents
from flawline.intake.layouts.base import Layout, Listed, RawFile, folder_named
from flawline.intake.masks import APART
from flawline.intake.names import stem_of
from flawline.params import IngestionParams

NORMAL, DEFECTIVE, MASKS = "NODefect_images", "Defect_images", "Mask_images"
NAME = re.compile(r"(?P<number>\d+)_(?P<defect>\d+)_(?P<fabric>\d+)$")  # of a file, without extension
MASK_NAME = re.compile(r"(?P<image>.+)_mask\d*$")


def list_aitex(contents: Contents, params: IngestionParams, category: str) -> Listed:
    """NODefect_images/FABRIC/NNNN_000_FF, Defect_images/NNNN_DDD_FF, Mask_images/NNNN_DDD_FF_mask (or _mask1, _mask2).

    Lists the fabric code that ``category`` ends in; a defect is named by its code. A strip is a group of its own."""
    code = fabric_of(category, codes_in(contents))
    masks = _index_masks(contents)
    files = []
    for name, label in ((NORMAL, 0), (DEFECTIVE, 1)):
        for path in _pictures_in(contents, name):
            match = NAME.match(stem_of(path))
            if match is None:
                files.append(RawFile(path, label, "unknown", unusable="its name is not NUMBER_DEFECT_FABRIC"))
            elif match["fabric"] == code:
                mask = APART.join(masks.get(stem_of(path), ())) or None
                files.append(RawFile(path, label, match["defect"] if label else "good", mask=mask if label else None))
    return Listed(files)


def codes_in(contents: Contents) -> list[str]:
    """Return the fabric codes that have normal strips."""
    matches = (NAME.match(stem_of(path)) for path in _pictures_in(contents, NORMAL))
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


def _index_masks(contents: Contents) -> dict[str, list[str]]:
    """Return the mask pictures of each image's name: one, or several that belong together."""
    masks: dict[str, list[str]] = {}
    for path in _pictures_in(contents, MASKS):
        match = MASK_NAME.match(stem_of(path))
        masks.setdefault(match["image"] if match else stem_of(path), []).append(path)
    return masks


def _pictures_in(contents: Contents, name: str) -> Iterator[str]:
    home = folder_named(contents, name)
    return (path for path in contents.pictures if home is not None and path.startswith(f"{home}/"))


def _is_aitex(contents: Contents) -> bool:
    return folder_named(contents, NORMAL) is not None


AITEX = Layout(
    is_in=lambda contents, params: _is_aitex(contents),
    list_files=list_aitex,
    wanted=lambda params: f"{NORMAL}/FABRIC/, {DEFECTIVE}/ and {MASKS}/",
    shared=_is_aitex,
    certain=True,
)
