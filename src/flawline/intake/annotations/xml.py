"""What the formats in XML share."""

import re
from pathlib import Path

HEAD = 4096  # bytes in which the root must begin
ROOT = re.compile(rb"<\s*([A-Za-z_][\w.-]*)[\s/>]")
ASIDE = re.compile(rb"<!--.*?-->|<\?.*?\?>", re.DOTALL)  # comments and instructions


def root_tag(path: Path) -> str:
    """Return the name of an XML file's root element, empty if it cannot be told."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError:
        return ""
    found = ROOT.search(ASIDE.sub(b"", head))
    return found[1].decode() if found else ""
