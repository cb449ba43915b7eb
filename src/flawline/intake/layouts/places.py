"""Where the pictures of a folder lie, and what the names of their folders say: split, class, images or masks, in any
order and below any folder that lies around everything."""

from collections.abc import Sequence
from dataclasses import dataclass

from flawline.intake.folders import SIDECARS, Contents
from flawline.intake.grouping import grouped
from flawline.intake.names import (
    MASKS,
    ending_of,
    folded,
    is_good,
    means_derived,
    means_images,
    means_masks,
    parts_of,
    photograph_of,
    plain,
    says_defective,
    says_good,
    split_and_class,
    split_of,
    stem_of,
    tokens,
    without_image_word,
)

MASK_WORDS = frozenset(("mask", "masks", "gt"))
DOUBTED = "lies in {}, which is called good and defective; say which it is: move it, or name it in a table"
OUTSIDE = "lies outside {}, where the folders of classes lie"


@dataclass(frozen=True)
class Place:
    """What the folders of a file say."""

    path: str
    split: str | None
    kind: str  # the folder of the class, as it is written; empty: none
    below: tuple[str, ...]  # other folders, around and below that of the class
    masks: str = ""  # the folder of masks that it lies in; empty: none
    derived: str = ""  # the folder of thumbnails, overlays and the like that it lies in; empty: none
    doubt: str = ""  # why nobody can say which class it is of

    @property
    def stem(self) -> str:
        return stem_of(self.path)


@dataclass(frozen=True)
class Parts:
    """The folders of a file by what they say; ``free`` are those that may be classes."""

    path: str
    split: str | None
    free: tuple[str, ...]
    masks: str = ""
    derived: str = ""


def places_in(contents: Contents, good: tuple[str, ...]) -> tuple[list[Place], tuple[str, ...]]:
    """Return (where the pictures lie, and what lies in folders beside them and is named like nothing that is known; the
    folders that lie around those of the classes)."""
    pictures = set(contents.pictures)
    listed = [path for path in contents.files
              if path in pictures or ("/" in path and ending_of(path) not in SIDECARS)]  # fmt: skip
    parts = [_parts(path, good) for path in listed]
    around = _around([each for each in parts if each.path in pictures], good)
    return [_place(each, around, good) for each in parts], around


def as_photograph(place: Place, around: tuple[str, ...], good: tuple[str, ...]) -> Place:
    """Return the place of a picture whose folders, though called like those of masks or thumbnails, hold photographs of
    their own."""
    return _place(_parts(place.path, good, photographs=True), around, good)


def empty_kinds(folders: Sequence[str], around: tuple[str, ...], good: tuple[str, ...]) -> set[str]:
    """Return the classes for normal images among ``folders``, which may be empty."""
    kinds = {_place(_parts(f"{folder}/x", good), around, good).kind for folder in folders}
    return {kind for kind in kinds if is_good(kind, good)}


def _parts(path: str, good: tuple[str, ...], *, photographs: bool = False) -> Parts:
    split, home, derived, free = None, "", "", []
    parts = parts_of(path)
    for depth, part in enumerate(parts):
        both, rest = split_and_class(part)
        if not photographs and not home and means_masks(part):
            home = "/".join(parts[: depth + 1])
            free += [_class_in(part)] if _class_in(part) else []
        elif split_of(part):
            split = split or split_of(part)
        elif both and (is_good(rest, good) or says_defective(rest)):
            split, free = split or both, [*free, rest]
        elif means_images(part):
            continue
        elif not photographs and not derived and means_derived(part):
            derived = "/".join(parts[: depth + 1])
        else:
            free.append(part)
    return Parts(path, split, tuple(free), home, derived)


def _class_in(name: str) -> str:
    """Return the class in the name of a folder of masks: scratch in ``scratch_mask``, none in ``Ground Truth``."""
    words = [word for word in tokens(name) if word not in MASK_WORDS]
    return "" if plain(name) in MASKS else "_".join(words)


def _around(parts: Sequence[Parts], good: tuple[str, ...]) -> tuple[str, ...]:
    """Return the folders that lie around those of the classes. These lie where the outermost folder is called good;
    where none is, below what lies around everything."""
    photographs = [each.free for each in parts if not each.masks]
    for says in (is_good, says_good):
        level = min((k for free in photographs for k, part in enumerate(free) if says(part, good)), default=None)
        if level is not None:
            around = {free[:level] for free in photographs if len(free) > level}
            return around.pop() if len(around) == 1 else ()
    return ()


def _place(parts: Parts, around: tuple[str, ...], good: tuple[str, ...]) -> Place:
    inside = parts.free[: len(around)] == around
    free = parts.free[len(around) :] if inside else parts.free
    kind, below = (free[0], free[1:]) if free else ("", ())
    doubt = "" if inside or not free else OUTSIDE.format("/".join(around) + "/")
    normal, words = is_good(kind, good), [part for part in below if is_good(part, good) or says_defective(part)]
    if any(is_good(word, good) != normal for word in words) and not parts.masks:
        doubt = DOUBTED.format("/".join([kind, *below]) + "/")
    return Place(parts.path, parts.split, kind, below, parts.masks, parts.derived, doubt)


def derived_from(places: Sequence[Place]) -> dict[str, str]:
    """Return why pictures are no photographs: they lie in a folder of thumbnails, overlays or the like, most of which
    are called like photographs elsewhere, or are called like one beside them and small, overlay, ..."""
    stems = {_image_stem(place) for place in places if not place.derived}
    beside = {(parts_of(place.path), folded(without_image_word(place.stem))) for place in places}
    homes = grouped((place for place in places if place.derived), lambda place: place.derived)
    found: dict[str, str] = {}
    for home, inside in homes.items():
        if 2 * sum(_image_stem(place) in stems for place in inside) >= len(inside):
            reason = f"lies in {home}/, a folder of pictures that are made from photographs"
            found |= {place.path: reason for place in inside}
    for place in places:
        made_from = photograph_of(place.stem)
        if made_from and (parts_of(place.path), folded(made_from)) in beside:
            found[place.path] = f"is called like a picture made from the photograph {made_from} beside it"
    return found


def _image_stem(place: Place) -> str:
    return folded(without_image_word(photograph_of(place.stem) or place.stem))
