"""Pascal VOC: an XML file an image. It counts pixels from 1, its maxima included: xmin 1, xmax 2 are two pixels."""

from pathlib import Path
from xml.etree import ElementTree

from flawline.intake.annotations.base import Annotated, Shape, box, number
from flawline.intake.annotations.xml import root_tag
from flawline.intake.decoding import UnreadableImageError


def is_voc(path: Path) -> bool:
    """Return True if the XML file's root is Pascal VOC's."""
    return root_tag(path) == "annotation"


def read_voc(content: bytes) -> Annotated:
    """Read one image's annotation. Raise UnreadableImageError if it cannot be read."""
    try:
        root = ElementTree.fromstring(content)
        if root.tag != "annotation":
            raise ValueError(f"wanted an <annotation>, got a <{root.tag}>")
        size = tuple(int(_number(root, f"size/{name}")) for name in ("height", "width"))
        shapes = tuple(_object(each) for each in root.iter("object"))
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # LookupError: an encoding that is none
        raise UnreadableImageError(f"cannot be read ({error})") from None
    return Annotated(size if all(size) else None, shapes)  # type: ignore[arg-type]  # a pair


def _object(element: ElementTree.Element) -> Shape:
    x1, y1, x2, y2 = (_number(element, f"bndbox/{name}", needed=True) for name in ("xmin", "ymin", "xmax", "ymax"))
    if x2 < x1 or y2 < y1:
        raise ValueError(f"a box from ({x1:g}, {y1:g}) to ({x2:g}, {y2:g})")
    return box(element.findtext("name", "defect").strip() or "defect", x1 - 1, y1 - 1, x2, y2)


def _number(element: ElementTree.Element, path: str, *, needed: bool = False) -> float:
    text = element.findtext(path)
    if text is None and needed:
        raise ValueError(f"an object has no element {path}")
    return number(text or 0, path)
