"""What the names of files and folders say: which split, which class, a mask or a photograph, and of which image.

Names are compared in Unicode's composed form and in any case, since file systems and tools change both on the way."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import pairwise
from pathlib import PurePosixPath

from flawline.intake.grouping import grouped

SPLITS = {  # what data sets call their splits
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validate": "validation", "validation": "validation",
    "dev": "validation",
    "calibration": "calibration", "calib": "calibration",
    "test": "test", "testing": "test", "testpublic": "test", "evaluation": "test", "eval": "test", "holdout": "test",
}  # fmt: skip
OF_SPLITS = frozenset(("set", "data", "images", "imgs", "img", "obj", "split"))  # beside the word for the split
MASKS = frozenset((
    "mask", "masks", "gt", "groundtruth", "groundtruths", "label", "labels", "annotation", "annotations",
    "segmentation", "segmentations", "segmentationmask", "segmentationmasks", "seg", "segs", "segmask", "segmasks",
    "labelimage", "labelimages", "maskimage", "maskimages", "annotationmask", "annotationmasks", "binarymask",
    "binarymasks", "defectmask", "defectmasks", "anomalymask", "anomalymasks", "pixellabel", "pixellabels",
    "segmentationclass", "segmentationobject", "maske", "masken", "masque", "masques", "máscara", "máscaras",
    "mascara", "mascaras", "maschera", "maschere",
))  # fmt: skip
IMAGES = frozenset((
    "image", "images", "img", "imgs", "photo", "photos", "picture", "pictures", "jpegimages", "rgb", "data", "dataset",
    "bild", "bilder",
))  # fmt: skip
# Folders, and ends of names, of pictures that are made from photographs or taken beside them.
DERIVED = frozenset((
    "thumb", "thumbs", "thumbnail", "thumbnails", "preview", "previews", "small", "overlay", "overlays", "heatmap",
    "heatmaps", "anomalymap", "anomalymaps", "visualization", "visualizations", "vis", "result", "results", "depth",
    "depthmap", "depthmaps", "normals", "normalmap", "normalmaps", "surfacenormal", "surfacenormals", "xyz", "backup",
))  # fmt: skip
NEGATIONS = frozenset((
    "no", "not", "non", "nicht", "kein", "keine", "un", "ne", "nao", "não", "pas", "niet", "ej", "ikke", "değil", "nem",
    "ei", "не", "false", "isn", "cant", "without", "ohne", "sans", "sin", "sem",
))  # fmt: skip
DEFECTIVE = frozenset((  # words for defective parts that name no defect
    "bad", "ng", "nok", "ko", "defect", "defects", "defective", "def", "fail", "fails", "failed", "failure", "reject",
    "rejects", "rejected", "anomaly", "anomalies", "anomalous", "abnormal", "faulty", "fault", "faults", "nogood",
    "notgood", "notok", "nio", "nichtinordnung", "schlecht", "ausschuss", "defekt", "fehlerhaft", "fehler",
    "malo", "malos", "mala", "defecto", "defectos", "defectuoso", "rechazado", "mauvais", "nonconforme", "défaut",
    "défauts", "defaut", "défectueux", "rebut", "scarto", "scarti", "difettoso", "difetto", "difetti", "ruim",
    "reprovado", "defeito", "defeitos", "wadliwy", "wada", "брак", "дефект", "不良", "不良品", "缺陷", "不合格", "异常",
    "異常", "欠陥", "불량", "이상",
))  # fmt: skip
CALLED_DEFECTIVE = frozenset((  # in the name of a file; fewer than those that a folder may have
    "ng", "nok", "nio", "bad", "defect", "defects", "defective", "fail", "failed", "reject", "rejected", "anomaly",
    "anomalous", "scrap", "ausschuss", "defekt", "不良", "缺陷",
))  # fmt: skip
DERIVED_STEM = re.compile(rf"(?P<image>.+?)[-_. ](?:{'|'.join(sorted(DERIVED))}|\d{{2,4}}x\d{{2,4}})$", re.IGNORECASE)
IMAGE_STEM = re.compile(
    r"(?:image|img|photo|picture|rgb)[-_. ]*(?P<after>.+)|(?P<before>.+?)[-_. ]+(?:image|img|photo|rgb)$", re.IGNORECASE
)
WORD = re.compile(r"[^\W_]+")
AFFIX = r"mask|masks|gt|ground[-_ ]?truth|label|labels|labelids|seg|segm|segmentation|annotation|anno|maske|masque"
AFTER = re.compile(rf"(?P<image>.+?)[-_. ]+(?:{AFFIX})(?:[-_. ]?(?P<number>\d+))?$", re.IGNORECASE)
BEFORE = re.compile(rf"(?:{AFFIX})[-_. ]+(?P<image>.+)$", re.IGNORECASE)


def parts_of(path: str) -> tuple[str, ...]:
    """Return the names of the folders of a relative path."""
    return tuple(path.split("/")[:-1])


def name_of(path: str) -> str:
    """Return the last name of a relative path."""
    return path.rpartition("/")[2]


def stem_of(path: str) -> str:
    """Return the name of a file without its ending."""
    name = name_of(path)
    return name.rpartition(".")[0] or name


def ending_of(path: str) -> str:
    """Return how the name of a file ends, in lower case and with the dot; empty where it has no ending."""
    name = name_of(path)
    before, dot, after = name.rpartition(".")
    return f".{after.lower()}" if before and dot else ""


def composed(name: str) -> str:
    """Return a name in Unicode's composed form (NFC)."""
    return unicodedata.normalize("NFC", name)


# Names of folders come again with every file in them.
@lru_cache(maxsize=2**12)
def folded(name: str) -> str:
    """Return a name as it is compared: composed, in one case."""
    return composed(name).casefold()


@lru_cache(maxsize=2**12)
def plain(name: str) -> str:
    """Return a name's letters and digits alone, in one case: ``Ground Truth`` and ``ground_truth`` are the same."""
    return "".join(tokens(name))


@lru_cache(maxsize=2**12)
def tokens(name: str) -> tuple[str, ...]:
    """Return the words of a name: ``OK_front`` is ok, front."""
    return tuple(WORD.findall(folded(name)))


@lru_cache(maxsize=2**12)
def split_of(name: str) -> str | None:
    """Return the split that a folder's name means, such as ``val`` and ``obj_Train_data``; None for any other name."""
    if plain(name) in SPLITS:
        return SPLITS[plain(name)]
    told = [SPLITS[word] for word in tokens(name) if word in SPLITS]
    others = [word for word in tokens(name) if word not in SPLITS]
    joined = next((word.removesuffix("set") for word in others if word.removesuffix("set") in SPLITS), "")
    if joined and len(others) == 1 and not told:
        return SPLITS[joined]
    return told[0] if len(told) == 1 and others and OF_SPLITS.issuperset(others) else None


@lru_cache(maxsize=2**12)
def split_and_class(name: str) -> tuple[str | None, str]:
    """Return (split, class) of a folder whose name says both, as ``train_good`` does; else (None, the name)."""
    words = tokens(name)
    for place, rest in ((0, words[1:]), (-1, words[:-1])):
        if len(words) > 1 and words[place] in SPLITS and not NEGATIONS & set(rest):
            return SPLITS[words[place]], " ".join(rest)
    return None, name


@lru_cache(maxsize=2**12)
def means_masks(name: str) -> bool:
    """Return True if a folder of this name holds masks: ``Ground Truth``, ``scratch_mask``, ``gt``."""
    words = tokens(name)
    return plain(name) in MASKS or (len(words) > 1 and bool({words[0], words[-1]} & {"mask", "masks", "gt"}))


def means_images(name: str) -> bool:
    """Return True if a folder's name says no more than that images lie in it."""
    return plain(name) in IMAGES


def means_derived(name: str) -> bool:
    """Return True if a folder of this name holds pictures that are made from photographs: ``thumbs``, ``overlays``."""
    return plain(name) in DERIVED


def photograph_of(stem: str) -> str | None:
    """Return the stem of the photograph that a picture of this ``stem`` is made from: 007 for ``007_small``,
    ``007-150x150``; None where its name says nothing like that."""
    found = DERIVED_STEM.match(stem)
    return found["image"] if found else None


def without_image_word(stem: str) -> str:
    """Return a stem without a word that says no more than that it is an image: 007 for ``image_007``."""
    found = IMAGE_STEM.match(stem)
    return (found["before"] or found["after"]) if found else stem


def called_good(stem: str, good: tuple[str, ...]) -> bool:
    """Return True if a file's name holds a word for normal images: ``OK_0001``, ``no_defect_3``."""
    words = tokens(stem)
    pairs = [first + second for first, second in pairwise(words)]
    return any(is_good(word, good) for word in (*words, *pairs))


def called_defective(stem: str) -> str:
    """Return the word in a file's name that calls it defective, as in ``NG_0001``; empty where there is none."""
    words = tokens(stem)
    return next((word for place, word in enumerate(words)
                 if word in CALLED_DEFECTIVE and not NEGATIONS & set(words[:place])), "")  # fmt: skip


@lru_cache(maxsize=2**12)
def is_good(name: str, good: tuple[str, ...]) -> bool:
    """Return True if ``name`` is one of the words for normal images; in any case, however its parts are joined."""
    return plain(name) in _plain_words(tuple(good)) if plain(name) else False


@lru_cache(maxsize=16)
def _plain_words(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(map(plain, words))


def says_good(name: str, good: tuple[str, ...]) -> bool:
    """Return True if ``name`` is a word for normal images, or begins or ends with one and says nothing to the contrary:
    ``ok_front`` and ``2024_good``, but neither ``not_ok`` nor ``good_defect``."""
    words = tokens(name)
    if is_good(name, good):
        return True
    if len(words) < 2 or NEGATIONS & set(words) or DEFECTIVE & {*words, plain(name)}:
        return False
    return is_good(words[0], good) or is_good(words[-1], good)


def says_defective(name: str) -> bool:
    """Return True if ``name`` is a word for defective parts that names no defect."""
    return plain(name) in DEFECTIVE


def image_stems(stem: str) -> list[str]:
    """Return the stems of images that a mask of this ``stem`` may be of, the likeliest first, without the stem itself:
    ``007`` for ``007_mask``, ``007-GT`` and ``mask_007``; ``007_2`` and ``007`` for ``007_mask2``."""
    found = [match for pattern in (AFTER, BEFORE) if (match := pattern.match(stem))]
    numbered = [f"{match['image']}_{match['number']}" for match in found if match.re is AFTER and match["number"]]
    return list(dict.fromkeys([*numbered, *(match["image"] for match in found)]))


class Names:
    """Relative paths that are found again however they are written: the other Unicode form, another case, backslashes,
    URL quotes, folders of another machine before them."""

    def __init__(self, paths: Iterable[str]):
        self.paths = sorted(paths)
        self._exact = {composed(path): path for path in self.paths}
        self._tails = grouped(self.paths, lambda path: folded(name_of(path)))
        self._stems = grouped(self.paths, lambda path: folded(stem_of(path)))

    def __contains__(self, path: str) -> bool:
        return composed(path) in self._exact

    def exact(self, path: str) -> str | None:
        """Return the path that is ``path`` but for its Unicode form."""
        return self._exact.get(composed(path))

    def of_stem(self, path: str) -> str | None:
        """Return the one path that is ``path`` with an ending, whatever folders are before it; None if there is none,
        or several."""
        alike = self._stems.get(folded(name_of(path)), [])
        same = [each for each in alike if folded(each.rpartition(".")[0]).endswith(folded(path))]
        return same[0] if len(same) == 1 else None

    def within(self, path: str) -> str | None:
        """Return the path that is ``path`` without its first folders, or with others before it; None if there is none,
        or several."""
        wanted = [folded(part) for part in PurePosixPath(path).parts]
        found = self.find(path)
        parts = [folded(part) for part in PurePosixPath(found).parts] if found else []
        return found if found and _common_tail(wanted, parts) == min(len(wanted), len(parts)) else None

    def find(self, path: str) -> str | None:
        """Return the one path with the most last parts in common with ``path``, at least the name; None if there is
        none, or if several have as many."""
        if (exact := self.exact(path)) is not None:
            return exact
        wanted = [folded(part) for part in PurePosixPath(path).parts]
        alike = self._tails.get(wanted[-1], []) if wanted else []
        common = {each: _common_tail(wanted, [folded(part) for part in PurePosixPath(each).parts]) for each in alike}
        most = max(common.values(), default=0)
        best = [each for each, count in common.items() if count == most]
        return best[0] if len(best) == 1 else None


def _common_tail(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for one, other in zip(reversed(first), reversed(second), strict=False):
        if one != other:
            break
        count += 1
    return count
