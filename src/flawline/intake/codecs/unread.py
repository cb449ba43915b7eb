"""Pictures in formats that are not read are called by their names, by content: nobody looks for damage that is none."""

# What a file begins with, at which byte, and what it then is. Formats that need a choice before they are pixels (camera
# raw, drawings, floating point), or that no installed library reads, are not read.
STARTS: tuple[tuple[int, bytes, str], ...] = (
    (0, b"8BPS", "PSD"), (0, b"%PDF-", "PDF"), (0, b"%!PS", "PostScript"), (0, b"\xc5\xd0\xd3\xc6", "EPS"),
    (0, b"v/1\x01", "OpenEXR"), (0, b"#?RADIANCE", "Radiance HDR"), (0, b"#?RGBE", "Radiance HDR"),
    (0, b"\0\0\x01\0", "ICO"), (0, b"icns", "ICNS"), (0, b"II\xbc", "JPEG XR"), (0, b"BPG\xfb", "BPG"),
    (0, b"gimp xcf", "XCF"), (0, b"qoif", "QOI"), (0, b"DDS ", "DDS"), (0, b"SIMPLE  =", "FITS"),
    (0, b"IIRO", "ORF, camera raw"), (0, b"IIRS", "ORF, camera raw"), (0, b"MMOR", "ORF, camera raw"),
    (0, b"IIU\0", "RW2, camera raw"), (0, b"FUJIFILMCCD-RAW", "RAF, camera raw"), (0, b"FOVb", "X3F, camera raw"),
    (0, b"\0MRM", "MRW, camera raw"), (0, b"P7\n", "PAM"), (0, b"Pf\n", "PFM"), (0, b"PF\n", "PFM"),
    (0, b"\xff\xd8\xff\xf7", "JPEG-LS"), (128, b"DICM", "DICOM"), (0, b"\xd7\xcd\xc6\x9a", "WMF"),
    (0, b"FLIF", "FLIF"), (0, b"AT&TFORM", "DjVu"), (0, b"\x59\xa6\x6a\x95", "Sun raster"),
)  # fmt: skip
BRANDS = {  # of the ISO base media file format
    b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC", b"heis": "HEIC", b"hevc": "HEIC", b"hevx": "HEIC",
    b"mif1": "HEIF", b"msf1": "HEIF", b"crx ": "CR3, camera raw",
    b"isom": "MP4, a film", b"iso2": "MP4, a film", b"mp41": "MP4, a film", b"mp42": "MP4, a film",
    b"qt  ": "QuickTime, a film",
}  # fmt: skip


def format_not_read(content: bytes) -> str:
    """Return the name of the format of a picture that is not read; empty if the content is none that is known."""
    if content[4:8] == b"ftyp":
        return BRANDS.get(content[8:12], "")
    if b"<svg" in content[:1024].lower():
        return "SVG"
    if content[-18:-1] == b"TRUEVISION-XFILE.":
        return "TGA"
    return next((name for at, start, name in STARTS if content.startswith(start, at)), "")


def not_read(name: str) -> str:
    """Return the reason for which a picture in a format called ``name`` is refused."""
    return f"is a picture in a format that is not read ({name}); convert it to PNG or TIFF"
