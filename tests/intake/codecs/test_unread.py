import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from base_params import BASE

from flawline.intake.codecs.base import UnreadableImageError
from flawline.intake.codecs.suffixes import SUFFIXES_NOT_READ, SUFFIXES_READ
from flawline.intake.decoding import count_pages
from flawline.intake.layouts import list_raw_folder
from flawline.intake.manifest import read_raw_files

FILTERS = np.zeros((8, 8), np.uint16)
TAGS = ((256, 1), (257, 1), (273, 80), (279, 1))  # width, height, place and length of the only strip
CR2 = b"II*\0\x10\0\0\0CR\2\0" + bytes(4) + struct.pack("<H", len(TAGS)) + b"".join(
    struct.pack("<HHII", tag, 4, 1, value) for tag, value in TAGS
) + bytes(40)  # fmt: skip
FILTERS.flags.writeable = False


def iso(brand):
    return struct.pack(">I4s4sI4s", 24, b"ftyp", brand, 0, b"mif1") + bytes(40)


def tiff(pixels, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def nef():
    """Return a thumbnail with the colour filters in a page below it, as cameras write them."""
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as file:
        file.write(np.zeros((4, 4, 3), np.uint8), photometric="rgb", subifds=1, metadata=None,
                   extratags=[(271, 2, None, "NIKON CORPORATION", True)])  # fmt: skip
        file.write(FILTERS, photometric="cfa", metadata=None)
    return buffer.getvalue()


@pytest.mark.parametrize(("content", "name"), [
    (iso(b"heic"), "HEIC"), (iso(b"mif1"), "HEIF"), (iso(b"crx "), "CR3, camera raw"), (iso(b"isom"), "MP4, a film"),
    (b"8BPS" + bytes(30), "PSD"), (b"%PDF-1.7\n" + bytes(30), "PDF"), (b"v/1\x01" + bytes(30), "OpenEXR"),
    (b"#?RADIANCE\n", "Radiance HDR"), (b'<?xml version="1.0"?>\n<svg width="3"/>', "SVG"),
    (bytes(128) + b"DICM", "DICOM"), (b"P7\nWIDTH 3", "PAM"), (b"Pf\n3 2\n-1.0\n", "PFM"),
    (bytes(40) + b"TRUEVISION-XFILE.\0", "TGA"), (b"\xff\xd8\xff\xf7" + bytes(30), "JPEG-LS"),
    (tiff(FILTERS, photometric="cfa"), "DNG or other camera raw"),
    (tiff(FILTERS, photometric="minisblack", extratags=[(50706, 1, 4, b"\1\4\0\0", True)]), "DNG, camera raw"),
    (nef(), "camera raw of NIKON CORPORATION"), (CR2, "CR2, camera raw"),
])  # fmt: skip
def test_format_that_is_not_read_is_named_with_what_to_do(read, content, name):
    for ask in (read, count_pages):
        with pytest.raises(UnreadableImageError) as raised:
            ask(content)
        assert str(raised.value) == f"is a picture in a format that is not read ({name}); convert it to PNG or TIFF"


def test_no_suffix_is_both_read_and_not():
    assert not SUFFIXES_READ & SUFFIXES_NOT_READ
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in SUFFIXES_READ | SUFFIXES_NOT_READ)


@pytest.mark.parametrize("files", [
    {"images.csv": "image,label\n0.png,0\n", "0.png": ""}, {"train/good/0.png": ""}, {"good/0.png": ""},
    {"m.json": '{"images": [{"id": 1, "file_name": "0.png"}], "annotations": []}', "0.png": ""},
    {"0.png": "", "0.xml": "<annotation/>"}, {"train/0.png": "", "train/0_GT.png": ""},
    {"kos01/0.png": "", "kos01/0_label.png": ""},
])  # fmt: skip
@pytest.mark.parametrize("name", ["a.HEIC", "good/b.dng", "c.jxl"])
def test_picture_that_is_not_read_is_overlooked_in_no_layout(tmp_path, files, name):
    for path, content in (files | {name: ""}).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    assert name in {file.path for file in list_raw_folder(tmp_path, BASE.ingestion).files}


def test_folder_of_formats_reads_what_can_be_read_and_names_the_rest(tmp_path):
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    pgm, jp2 = b"P5 8 8 255\n" + grey.tobytes(), imagecodecs.jpeg2k_encode(grey, level=0)
    contents = {"a.heic": iso(b"heic"), "b.jpg": iso(b"heic"), "c.dng": nef(), "d.pgm": pgm, "e.tif": jp2}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    listed = list_raw_folder(tmp_path, BASE.ingestion)
    rows, quarantine, _ = read_raw_files(tmp_path, listed.files, max_pixels=1000)
    assert rows["image"].tolist() == ["d.pgm", "e.tif"]
    assert quarantine["path"].tolist() == ["a.heic", "b.jpg", "c.dng"]
    assert quarantine["reason"].str.contains("a format that is not read").all()
