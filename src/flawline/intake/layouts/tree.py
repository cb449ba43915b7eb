"""A folder for each class of images: 'mvtec' (with folders for the splits, as in MVTec AD) and 'folders' (without).

Names say what lies where, in any order: of the split, of the class, or no more than that images or masks lie there, as
in MVTec AD, MVTec LOCO, MVTec AD 2, VisA, BTAD and Real-IAD. Masks lie in a folder of masks, in a tree like that of the
images, or beside their images."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from flawline.intake.folders import Contents
from flawline.intake.grouping import grouped
from flawline.intake.layouts.base import Layout, Listed, RawFile
from flawline.intake.layouts.matching import masks_beside, match
from flawline.intake.layouts.places import Place, as_photograph, derived_from, empty_kinds, places_in
from flawline.intake.mask_likeness import may_be_masks
from flawline.intake.masks import APART
from flawline.intake.names import called_defective, called_good, is_good, says_good, stem_of, tokens
from flawline.intake.notes import Note
from flawline.params import IngestionParams

LOOSE = "lies loose beside folders of classes; move it into one of them"
NO_CLASS = "lies in no folder of a class, so nobody says whether it is good"
NO_SPLIT = "lies in no folder of a split (train, validation, calibration or test) as the others do"
NO_IMAGE = "is a mask of no image"
DOUBTFUL = "lies in {}, whose name holds a word for good and more; say whether it is: ingestion.good, or a table"
UNCALLED = "is not called good by its name, as others are; put images into a folder of their class"
CALLED = "is called defective by its name ({}) and counts as good; move it into a folder of its class"


@dataclass(frozen=True)
class Tree:
    """A folder's photographs and their masks, and what the names of its folders say."""

    photographs: tuple[Place, ...]
    masks: Mapping[str, tuple[str, ...]]  # photograph -> its masks
    orphans: tuple[str, ...]  # masks of no photograph
    derived: Mapping[str, str]  # picture that is made from a photograph -> why it is one
    kinds: frozenset[str]  # folders of classes
    good: frozenset[str]  # those of normal images
    doubtful: frozenset[str]  # those whose names hold a word for good and more
    notes: tuple[Note, ...] = ()


def list_tree(contents: Contents, params: IngestionParams, category: str = "") -> Listed:
    """List photographs by the folder of their class; those that lie in none are defective if their mask marks
    something, and good where no folder is a class."""
    tree = read_tree(contents, params)
    parted = any(place.split and place.kind in tree.good for place in tree.photographs)
    files = [_raw_file(place, tree, parted=parted) for place in tree.photographs]
    files += [RawFile(path, 0, "good", unusable=NO_IMAGE) for path in tree.orphans]
    files += [RawFile(path, 0, "good", unusable=reason) for path, reason in tree.derived.items()]
    files = files if tree.kinds else _by_name(files, params.good)
    strangers = [file.path for file in files if file.unusable]
    loose = [file for file in files if file.label == 0 and not file.unusable] if not tree.kinds else []
    notes = [*tree.notes, *_taken_for_good(tree.good, params.good)]
    if loose and tree.masks:
        said = f"{len(loose)} images have no mask and lie in no folder of a class: they count as good."
        notes.append(Note(said, caution=True))
    return Listed(files, tuple(notes), strangers=frozenset(strangers), assumed=bool(loose))


def _raw_file(place: Place, tree: Tree, *, parted: bool) -> RawFile:
    mask = APART.join(tree.masks.get(place.path, ())) or None
    if reason := _out_of_place(place, tree, parted=parted, masked=mask is not None):
        return RawFile(place.path, 0, "good", place.split, unusable=reason)
    if place.kind and (tree.good or not mask):
        if place.kind not in tree.good:
            return RawFile(place.path, 1, place.kind, place.split, mask)
    elif mask:
        return RawFile(place.path, None, place.kind or "defect", place.split, mask)
    called = CALLED.format(word) if (word := called_defective(place.stem)) else ""
    return RawFile(place.path, 0, "good", place.split, mask, unusable=called)


def _by_name(files: Sequence[RawFile], good: tuple[str, ...]) -> list[RawFile]:
    """Return loose images; where names call some of them good, the others do not count as good."""
    called = {file.path for file in files if called_good(stem_of(file.path), good)}
    return [replace(file, unusable=UNCALLED)
            if called and file.path not in called and file.label == 0 and not file.unusable else file
            for file in files]  # fmt: skip


def _out_of_place(place: Place, tree: Tree, *, parted: bool, masked: bool) -> str:
    """Return why nobody can say of which class a photograph is; empty where its folders or its mask say it."""
    if place.doubt or place.kind in tree.doubtful:
        return place.doubt or DOUBTFUL.format(f"{place.kind}/")
    if parted and place.split is None and place.kind not in tree.good:
        return NO_SPLIT if place.kind else LOOSE
    if place.kind or masked:
        return ""
    if tree.kinds:
        return LOOSE if place.split is None else NO_CLASS
    return NO_CLASS if place.split == "test" and not tree.masks else ""


def _taken_for_good(found: frozenset[str], good: tuple[str, ...]) -> list[Note]:
    unusual = sorted(kind for kind in found if not is_good(kind, good))
    return [Note(f"Taken for good by a word in its name: {', '.join(unusual)}.", caution=True)] if unusual else []


# --- what the names say ----------------------------------------------------------------------------------------------
@lru_cache(maxsize=4)
def read_tree(contents: Contents, params: IngestionParams) -> Tree:
    """Return what the folders of ``contents`` say."""
    good = params.good
    places, around = places_in(contents, good)
    homes = grouped((place for place in places if place.masks), lambda place: place.masks)
    photographed = {
        home for home, inside in homes.items()
        if may_be_masks(contents.root, [each.path for each in inside], max_pixels=params.max_pixels) is False
    }  # fmt: skip
    masks = [place for place in places if place.masks and place.masks not in photographed]
    others = [as_photograph(place, around, good) if place.masks else place
              for place in places if not place.masks or place.masks in photographed]  # fmt: skip
    derived = derived_from(others)
    photographs = [as_photograph(place, around, good) if place.derived else place
                   for place in others if place.path not in derived]  # fmt: skip
    beside = masks_beside(contents, photographs, max_pixels=params.max_pixels)
    shown = {mask for each in beside.values() for mask in each}
    photographs = [place for place in photographs if place.path not in shown]
    kinds = ({place.kind for place in photographs} | empty_kinds(contents.folders, around, good)) - {""}
    sound, doubtful = good_kinds(kinds, good)
    found, orphans = match(photographs, masks, good=sound)
    every = {path: (*found.get(path, ()), *beside.get(path, ())) for path in {*found, *beside} - shown}
    return Tree(tuple(photographs), every, tuple(orphans), derived, frozenset(kinds), sound, doubtful,
                _notes(photographed))  # fmt: skip


def good_kinds(kinds: set[str], good: tuple[str, ...]) -> tuple[frozenset[str], frozenset[str]]:
    """Return (classes of normal images, those whose names hold a word for good and more).

    Where a folder is called by such a word, no other is taken for good that only holds one. Where none is, a folder may
    hold one beside numbers and what other classes are called too, as ``ok_front`` beside ``def_front``."""
    exact = frozenset(kind for kind in kinds if is_good(kind, good))
    holding = frozenset(kind for kind in kinds if says_good(kind, good)) - exact
    if exact:
        return exact, holding
    shared = {kind for kind in holding if _rest(kind, good) <= _words_of(kinds - {kind})}
    return frozenset(shared), holding - shared


def _rest(kind: str, good: tuple[str, ...]) -> set[str]:
    return {word for word in tokens(kind) if not is_good(word, good) and not word.isdecimal()}


def _words_of(kinds: set[str]) -> set[str]:
    return {word for kind in kinds for word in tokens(kind)}


def _notes(photographed: set[str]) -> tuple[Note, ...]:
    if not photographed:
        return ()
    names = ", ".join(sorted(photographed))
    said = f"The pictures in {names} have many grey levels: they are read as photographs, not as masks."
    return (Note(said, caution=True),)


# --- the layouts -----------------------------------------------------------------------------------------------------
def classes_in_words(contents: Contents, params: IngestionParams) -> str:
    """Return in words the folders of classes with the number of their photographs, the largest first; else nothing."""
    counts = Counter(place.kind for place in read_tree(contents, params).photographs if place.kind)
    return ", ".join(f"{kind}/ ({count} images)" for kind, count in counts.most_common(8))


def _is_mvtec(contents: Contents, params: IngestionParams) -> bool:
    tree = read_tree(contents, params)
    return any(place.split and place.kind in tree.good for place in tree.photographs)


def _is_folders(contents: Contents, params: IngestionParams) -> bool:
    """Folders are classes where one is called good, or where every image has its mask; else images lie loose."""
    tree = read_tree(contents, params)
    if not tree.photographs:
        return bool(tree.good)
    if tree.kinds:
        every = all(place.path in tree.masks for place in tree.photographs)
        return bool(tree.good) or every
    return any(place.path in contents.pictures for place in tree.photographs)


MVTEC = Layout(
    is_in=_is_mvtec,
    list_files=list_tree,
    wanted=lambda params: f"train/{params.good[0]}/, test/DEFECT/ and ground_truth/DEFECT/",
)
FOLDERS = Layout(
    is_in=_is_folders,
    list_files=list_tree,
    wanted=lambda params: f"{params.good[0]}/ with normal images and, if there are any, a folder a defect",
)
