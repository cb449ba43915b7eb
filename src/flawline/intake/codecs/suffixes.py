"""How the names of pictures end, in lower case."""

SUFFIXES_READ = frozenset({
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".gif",
    ".pbm", ".pgm", ".ppm", ".pnm", ".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx", ".jxl", ".avif", ".avifs",
})  # fmt: skip
SUFFIXES_NOT_READ = frozenset({
    ".heic", ".heif", ".hif", ".dng", ".cr2", ".cr3", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".orf", ".rw2", ".raf",
    ".pef", ".srw", ".x3f", ".mrw", ".3fr", ".iiq", ".psd", ".psb", ".svg", ".exr", ".hdr", ".jxr", ".wdp", ".hdp",
    ".bpg", ".pam", ".pfm", ".jls", ".jph", ".jhc", ".tga", ".pcx", ".ico", ".qoi", ".dds", ".dcm", ".fits", ".xcf",
})  # fmt: skip
SUFFIXES = SUFFIXES_READ | SUFFIXES_NOT_READ  # what is named like a picture; one that is not read gets its reason
