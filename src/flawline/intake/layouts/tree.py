"""A folder for each class of images: 'mvtec' (with folders for the splits, as in MVTec AD) and 'folders' (without).

Names say what lies where, in any order: of the split, of the class, or no more than that images or masks lie there, as
in MVTec AD, MVTec LOCO, MVTec AD 2, VisA, BTAD and Real-IAD. Masks lie in a folder of masks, in a tree like that of the
images, or beside their images."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from flawline.intake.folders import SIDECARS, Contents
from flawline.intake.layouts.base import Layout, Listed, RawFile
from flawline.intake.mask_likeness import look_like_masks
from flawline.intake.masks import APART
from flawline.intake.names import (
    MASKS,
    folded,
    image_stems,
    is_good,
    means_images,
    means_masks,
    parts_of,
    plain,
    says_good,
    split_of,
    stem_of,
    tokens,
)
from flawline.intake.notes import Note
from flawline.params import IngestionParams

Key = tuple[str, tuple[str, ...], str]  # class, folders below it, stem: as they are compared
LOOSE = "lies loose beside folders of classes; move it into one of them"
NO_CLASS = "lies in no folder of a class, so nobody says whether it is good"
NO_SPLIT = "lies in no folder of a split (train, validation, calibration or test) as the others do"
NO_IMAGE = "is a mask of no image"
MASK_WORDS = frozenset(("mask", "masks", "gt"))


@dataclass(frozen=True)
class Place:
    """What the folders of a file say."""

    path: str
    split: str | None
    kind: str  # the folder of the class, as it is written; empty: none
    below: tuple[str, ...]  # folders below that of the class
    masks: str = ""  # the folder of masks that it lies in, empty: none

    @property
    def stem(self) -> str:
        return stem_of(self.path)


@dataclass(frozen=True)
class Tree:
    """A folder's photographs and their masks, and what the names of its folders say."""

    photographs: tuple[Place, ...]
    masks: Mapping[str, tuple[str, ...]]  # photograph -> its masks
    orphans: tuple[str, ...]  # masks of no photograph
    kinds: frozenset[str]  # folders of classes
    notes: tuple[Note, ...] = ()

    def good_kinds(self, good: Sequence[str]) -> list[str]:
        """Return the folders of classes that hold normal images."""
        return sorted(kind for kind in self.kinds if says_good(kind, good))


def list_tree(contents: Contents, params: IngestionParams, category: str = "") -> Listed:
    """List photographs by the folder of their class; those that lie in none are defective if their mask marks
    something, and good where no folder is a class."""
    tree = read_tree(contents, params.good)
    good = tree.good_kinds(params.good)
    parted = any(place.split and place.kind in good for place in tree.photographs)
    files = [_raw_file(place, tree, good, parted=parted) for place in tree.photographs]
    files += [RawFile(path, 0, "good", unusable=NO_IMAGE) for path in tree.orphans]
    strangers = [file.path for file in files if file.unusable]
    loose = [file for file in files if file.label == 0 and not file.unusable] if not tree.kinds else []
    notes = [*tree.notes, *_taken_for_good(good, params.good)]
    if loose and tree.masks:
        said = f"{len(loose)} images have no mask and lie in no folder of a class: they count as good."
        notes.append(Note(said, caution=True))
    return Listed(files, tuple(notes), strangers=frozenset(strangers), assumed=bool(loose))


def _raw_file(place: Place, tree: Tree, good: Sequence[str], *, parted: bool) -> RawFile:
    mask = APART.join(tree.masks.get(place.path, ())) or None
    if parted and place.split is None and place.kind not in good:
        return RawFile(place.path, 0, "good", unusable=NO_SPLIT if place.kind else LOOSE)
    if place.kind and (good or not mask):
        normal = place.kind in good
        return RawFile(place.path, 0 if normal else 1, "good" if normal else place.kind, place.split, mask)
    if mask:
        return RawFile(place.path, None, place.kind or "defect", place.split, mask)
    reason = (LOOSE if place.split is None else NO_CLASS) if tree.kinds else ""
    return RawFile(place.path, 0, "good", place.split, unusable=reason)


def _taken_for_good(found: Sequence[str], good: Sequence[str]) -> list[Note]:
    unusual = [kind for kind in found if not is_good(kind, good)]
    return [Note(f"Taken for good by a word in its name: {', '.join(unusual)}.")] if unusual else []


# --- what the names say ----------------------------------------------------------------------------------------------
@lru_cache(maxsize=4)
def read_tree(contents: Contents, good: tuple[str, ...]) -> Tree:
    """Return what the folders of ``contents`` say; ``good`` are the words for normal images."""
    wrapped = _wrapper(contents, good)
    places = [_place(path, wrapped) for path in _listed(contents)]
    homes = _grouped_by_home(place for place in places if place.masks)
    photographed = {home for home, paths in homes.items() if look_like_masks(contents.root, paths) is False}
    masks = [place for place in places if place.masks and place.masks not in photographed]
    photographs = [_place(place.path, wrapped, masks=False) if place.masks else place
                   for place in places if not place.masks or place.masks in photographed]  # fmt: skip
    found, orphans = match(photographs, masks)
    beside = _beside(contents, photographs)
    shown = {mask for each in beside.values() for mask in each}
    photographs = [place for place in photographs if place.path not in shown]
    every = {path: (*found.get(path, ()), *beside.get(path, ())) for path in {*found, *beside} - shown}
    empty = {_place(f"{folder}/x", wrapped).kind for folder in contents.folders}
    kinds = {place.kind for place in photographs} | empty - {_place(path, wrapped).kind for path in contents.files}
    return Tree(tuple(photographs), every, tuple(orphans), frozenset(kinds - {""}), _notes(photographed))


def _notes(photographed: set[str]) -> tuple[Note, ...]:
    if not photographed:
        return ()
    names = ", ".join(sorted(photographed))
    return (Note(f"The pictures in {names} have many grey levels: they are read as photographs, not as masks."),)


def _listed(contents: Contents) -> list[str]:
    """Return the pictures, and what lies in folders beside them and is named like nothing that is known."""
    pictures = set(contents.pictures)
    return [path for path in contents.files
            if path in pictures or (parts_of(path) and not path.lower().endswith(tuple(SIDECARS)))]  # fmt: skip


def _wrapper(contents: Contents, good: Sequence[str]) -> int:
    """Return how many folders lie around everything and say nothing: an unpacked archive often has one, or two."""
    paths = [parts_of(path) for path in contents.pictures]
    depth = 0
    while paths and all(len(parts) > depth for parts in paths):
        names = {parts[depth] for parts in paths}
        if any(split_of(name) or means_images(name) or says_good(name, good) for name in names):
            return depth
        if len(names) > 1 or means_masks(next(iter(names))):
            break
        depth += 1
    return 0


def _place(path: str, wrapped: int, *, masks: bool = True) -> Place:
    """Return what the folders of a path say; without ``masks``, none of them is a folder of masks."""
    split, kind, home, below = None, "", "", []
    for depth, part in enumerate(parts_of(path)[wrapped:], wrapped):
        if masks and not home and means_masks(part):
            home = "/".join(parts_of(path)[: depth + 1])
            kind = kind or _class_in(part)
        elif not kind and split is None and split_of(part):
            split = split_of(part)
        elif means_images(part):
            continue
        elif not kind:
            kind = part
        else:
            below.append(part)
    return Place(path, split, kind, tuple(below), home)


def _class_in(name: str) -> str:
    """Return the class in the name of a folder of masks: scratch in ``scratch_mask``, none in ``Ground Truth``."""
    words = [word for word in tokens(name) if word not in MASK_WORDS]
    return "" if plain(name) in MASKS else "_".join(words)


def _grouped_by_home(places: Iterator[Place]) -> dict[str, list[str]]:
    homes: dict[str, list[str]] = defaultdict(list)
    for place in places:
        homes[place.masks].append(place.path)
    return homes


# --- masks -----------------------------------------------------------------------------------------------------------
def match(photographs: Sequence[Place], masks: Sequence[Place]) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Return (masks of each photograph, masks of none): by class, folders below it and name. A mask whose name fits a
    photograph better takes it; several that fit as well are united."""
    index: dict[Key, list[Place]] = defaultdict(list)
    for place in photographs:
        for key in {_key(place.kind, place.below, place.stem), ("", (), folded(place.stem))}:
            index[key].append(place)
    found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
    orphans = []
    classes = any(place.kind for place in photographs)
    for mask in masks:
        for rank, key in enumerate(_keys(mask, classes=classes)):
            fits = _only(index.get(key, ()), mask.split)
            if fits is not None:
                found[fits.path][rank].append(mask.path)
                break
        else:
            orphans.append(mask.path)
    best = {path: ranks.pop(min(ranks)) for path, ranks in found.items()}
    orphans += [mask for ranks in found.values() for paths in ranks.values() for mask in paths]
    return {path: tuple(sorted(paths)) for path, paths in best.items()}, sorted(orphans)


def _key(kind: str, below: Sequence[str], stem: str) -> Key:
    return plain(kind) or folded(kind), tuple(folded(part) for part in below), folded(stem)


def _keys(mask: Place, *, classes: bool) -> list[Key]:
    """Return how a photograph of this mask may be called, the likeliest first: NAME_mask, NAME, and NAME/000."""
    stems = [*image_stems(mask.stem), mask.stem]
    keys = [_key(mask.kind, mask.below, stem) for stem in stems]
    if mask.below:
        keys.append(_key(mask.kind, mask.below[:-1], mask.below[-1]))
    if mask.kind and not mask.below:
        keys.append(_key("", (), mask.kind))
    if not mask.kind or not classes:
        keys += [("", (), folded(stem)) for stem in stems]
    return keys


def _only(places: Sequence[Place], split: str | None) -> Place | None:
    """Return the one photograph that a mask of a ``split`` can be of: where it says none, rather one that is tested."""
    same = [place for place in places if split in (None, place.split)]
    if len(same) > 1 and split is None:
        same = [place for place in same if place.split == "test"] or same
    return same[0] if len(same) == 1 else None


def _beside(contents: Contents, photographs: Sequence[Place]) -> dict[str, tuple[str, ...]]:
    """Return the masks that lie beside their photographs: NAME_mask beside NAME, or NAME.png beside NAME.jpg where the
    one looks like a mask and the other does not."""
    pictures = set(contents.pictures)
    found: dict[str, list[str]] = defaultdict(list)
    for places in _by_folder([place for place in photographs if place.path in pictures]).values():
        by_stem: dict[str, list[Place]] = defaultdict(list)
        for place in places:
            by_stem[folded(place.stem)].append(place)
        for image, mask in [*_suffixed(places, by_stem), *_of_same_stem(contents, by_stem)]:
            found[image].append(mask)
    sampled = [mask for masks in found.values() for mask in masks]
    if look_like_masks(contents.root, sampled) is False:
        return {}
    return {image: tuple(sorted(masks)) for image, masks in found.items()}


def _by_folder(places: Sequence[Place]) -> dict[tuple[str, ...], list[Place]]:
    folders: dict[tuple[str, ...], list[Place]] = defaultdict(list)
    for place in places:
        folders[parts_of(place.path)].append(place)
    return folders


def _suffixed(places: Sequence[Place], by_stem: Mapping[str, list[Place]]) -> Iterator[tuple[str, str]]:
    for mask in places:
        named = (by_stem.get(folded(stem), []) for stem in image_stems(mask.stem))
        image = next((alike[0] for alike in named if len(alike) == 1), None)
        if image is not None:
            yield image.path, mask.path


def _of_same_stem(contents: Contents, by_stem: Mapping[str, list[Place]]) -> Iterator[tuple[str, str]]:
    """Yield (image, mask) of the pairs of one stem, as a few of each pair of endings tell which is the mask."""
    pairs: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for alike in by_stem.values():
        if len(alike) == 2:
            first, second = sorted((place.path for place in alike), key=_ending)
            pairs[_ending(first), _ending(second)].append((first, second))
    for each in pairs.values():
        firsts, seconds = ([pair[k] for pair in each] for k in (0, 1))
        told = look_like_masks(contents.root, firsts), look_like_masks(contents.root, seconds)
        if told == (True, False):
            yield from ((second, first) for first, second in each)
        elif told == (False, True):
            yield from each


def _ending(path: str) -> str:
    return path.rpartition(".")[2].lower()


# --- the layouts -----------------------------------------------------------------------------------------------------
def classes_in_words(contents: Contents, good: tuple[str, ...]) -> str:
    """Return in words the folders of classes with the number of their photographs, the largest first; else nothing."""
    counts = Counter(place.kind for place in read_tree(contents, good).photographs if place.kind)
    return ", ".join(f"{kind}/ ({count} images)" for kind, count in counts.most_common(8))


def _is_mvtec(contents: Contents, params: IngestionParams) -> bool:
    tree = read_tree(contents, params.good)
    good = set(tree.good_kinds(params.good))
    return any(place.split and place.kind in good for place in tree.photographs)


def _is_folders(contents: Contents, params: IngestionParams) -> bool:
    """Folders are classes where one is called good, or where every image has its mask; else images lie loose."""
    tree = read_tree(contents, params.good)
    if not tree.photographs:
        return bool(tree.good_kinds(params.good))
    if tree.kinds:
        every = all(place.path in tree.masks for place in tree.photographs)
        return bool(tree.good_kinds(params.good)) or every
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
