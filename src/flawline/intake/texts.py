"""Texts that lie beside images, in whatever encoding people's tools wrote them."""

import codecs
from pathlib import Path

BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"),
        (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip


def read_text(path: Path, most_bytes: int | None = None) -> str:
    """Return a file's text, of its first ``most_bytes``: as its byte order mark says, else UTF-8, else as Windows
    writes western languages. Raise OSError if it cannot be read, ValueError if it is no text."""
    with path.open("rb") as file:
        content = file.read(-1 if most_bytes is None else most_bytes)
    for mark, encoding in BOMS:
        if content.startswith(mark):
            return content.decode(encoding)
    if b"\0" in content:
        raise ValueError("it is no text: it holds bytes of 0")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return content.decode("cp1252")
