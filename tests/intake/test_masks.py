import io
import json

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from flawline.intake.decoding import UnreadableImageError
from flawline.intake.masks import read_mask_source

VOC = """<annotation><size><width>{width}</width><height>3</height></size><object><name>hole</name><bndbox>
<xmin>2</xmin><ymin>1</ymin><xmax>3</xmax><ymax>2</ymax></bndbox></object></annotation>"""
COCO = {"images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"id": 1, "image_id": 1, "bbox": [0, 1, 2, 1]}]}


def save(path, pixels, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(pixels, np.uint8)).save(path, **options)


def mask_of(folder, name, size, image="a.png", **options):
    return read_mask_source(folder, name, image).pixels(size, **{"max_pixels": 10_000, **options})


# --- one picture -----------------------------------------------------------------------------------------------------
def test_every_pixel_above_0_in_any_channel(tmp_path):
    rgb = np.zeros((2, 2, 3), np.uint8)
    rgb[0, 1, 2] = 1
    save(tmp_path / "mask.png", rgb)
    result = mask_of(tmp_path, "mask.png", (2, 2))
    assert result.dtype == bool
    np.testing.assert_array_equal(result, [[False, True], [False, False]])


def test_sixteen_bit_mask_marks_what_8_bits_would_lose(tmp_path):
    Image.fromarray(np.array([[0, 1, 65_535]], np.uint16)).save(tmp_path / "mask.png")
    np.testing.assert_array_equal(mask_of(tmp_path, "mask.png", (1, 3)), [[False, True, True]])


def test_palette_mask_marks_what_is_not_black(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 128, 0, 0])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "mask.png")
    np.testing.assert_array_equal(mask_of(tmp_path, "mask.png", (1, 2)), [[False, True]])


@pytest.mark.parametrize(("name", "options"), [
    ("mask.jpg", {"quality": 50}), ("mask.webp", {"quality": 50}), ("mask.tif", {"compression": "jpeg", "quality": 50}),
])  # fmt: skip
def test_lossy_mask_is_not_swollen_by_its_own_noise(tmp_path, name, options):
    wanted = np.zeros((32, 32), bool)
    wanted[9:21, 11:23] = True
    save(tmp_path / name, wanted * 255, **options)
    pixels = np.asarray(Image.open(tmp_path / name))
    assert (pixels > 0).reshape(32, 32, -1).any(2).sum() > wanted.sum()
    result = mask_of(tmp_path, name, (32, 32))
    assert (result != wanted).mean() < 0.02
    assert not result[:6].any()


def test_lossy_mask_of_ten_bits_marks_what_is_above_half_of_them(tmp_path):
    wanted = np.zeros((32, 32), bool)
    wanted[8:16, 8:24] = True
    content = imagecodecs.avif_encode(wanted * np.uint16(1023), level=60, bitspersample=10)
    (tmp_path / "mask.avif").write_bytes(content)
    assert (mask_of(tmp_path, "mask.avif", (32, 32)) != wanted).mean() < 0.01


# --- transparency ----------------------------------------------------------------------------------------------------
PAINTED = np.array([[0, 0, 1, 1, 0], [0, 0, 1, 0, 0]], bool)


def rgba(marked, color, alpha, *, under=(0, 0, 0), rest=0):
    """Return a picture with ``color`` and ``alpha`` where it is marked, ``under`` and ``rest`` elsewhere."""
    return np.where(marked[..., None], (*color, alpha), (*under, rest)).astype(np.uint8)


@pytest.mark.parametrize("picture", [
    rgba(PAINTED, (255, 255, 255), 255), rgba(PAINTED, (255, 255, 255), 255, under=(255, 255, 255)),
    rgba(PAINTED, (0, 0, 0), 255), rgba(PAINTED, (0, 0, 0), 255, under=(255, 255, 255)),
    rgba(PAINTED, (255, 0, 0), 90), rgba(PAINTED, (9, 9, 9), 255, rest=99),
    rgba(PAINTED, (255, 255, 255), 255, rest=255), rgba(PAINTED, (255, 0, 0), 255, rest=200),
    rgba(PAINTED, (255, 0, 0), 200, rest=255),
])  # fmt: skip
def test_mask_painted_on_transparency_marks_what_is_opaque(tmp_path, picture):
    save(tmp_path / "mask.png", picture)
    np.testing.assert_array_equal(mask_of(tmp_path, "mask.png", PAINTED.shape), PAINTED)


def test_black_strokes_beside_white_ones_mark_nothing(tmp_path):
    picture = rgba(PAINTED, (255, 255, 255), 255)
    picture[0, 0] = (0, 0, 0, 255)
    save(tmp_path / "mask.png", picture)
    np.testing.assert_array_equal(mask_of(tmp_path, "mask.png", PAINTED.shape), PAINTED)


@pytest.mark.parametrize("form", ["LA.png", "mask.tif", "planes.tif", "palette.png", "grey16.png", "mask.webp",
                                  "mask.gif", "mask.jp2", "mask.jxl", "mask.avif"])  # fmt: skip
def test_alpha_of_every_format(tmp_path, form):
    path, alpha = tmp_path / form, PAINTED * np.uint8(255)
    grey_alpha = np.stack([np.full_like(alpha, 255), alpha], axis=-1)
    picture = rgba(PAINTED, (255, 255, 255), 255, under=(255, 255, 255))
    encoders = {".jp2": imagecodecs.jpeg2k_encode, ".jxl": imagecodecs.jpegxl_encode, ".avif": imagecodecs.avif_encode}
    if path.suffix in encoders:
        level = {".jp2": 0, ".jxl": None, ".avif": 100}[path.suffix]
        path.write_bytes(encoders[path.suffix](picture, level=level))
    elif form == "LA.png":
        save(path, grey_alpha)
    elif form == "mask.tif":
        tifffile.imwrite(path, picture.astype(np.uint16) * 257, photometric="rgb", extrasamples=["unassalpha"])
    elif form == "planes.tif":
        tifffile.imwrite(path, grey_alpha.transpose(2, 0, 1), photometric="minisblack", planarconfig="separate",
                         extrasamples=["assocalpha"])  # fmt: skip
    elif form == "palette.png":
        image = Image.fromarray(PAINTED.astype(np.uint8), "P")
        image.putpalette([255, 255, 255, 0, 255, 0])
        image.save(path, transparency=0)
    elif form == "grey16.png":
        Image.fromarray(np.where(PAINTED, 9, 65535).astype(np.uint16)).save(path, transparency=65535)
    elif form == "mask.gif":
        image = Image.fromarray(PAINTED.astype(np.uint8), "P")
        image.putpalette([255, 255, 255, 0, 255, 0])
        image.save(path, transparency=0)
    else:
        save(path, picture, lossless=True, exact=True)
    np.testing.assert_array_equal(mask_of(tmp_path, form, PAINTED.shape), PAINTED)


def test_wholly_transparent_mask_marks_nothing(tmp_path):
    save(tmp_path / "mask.png", rgba(PAINTED, (255, 255, 255), 0, under=(255, 255, 255)))
    assert not mask_of(tmp_path, "mask.png", PAINTED.shape).any()


def test_transparent_mask_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    save(tmp_path / "mask.png", rgba(PAINTED, (0, 0, 0), 255), exif=exif)
    np.testing.assert_array_equal(mask_of(tmp_path, "mask.png", PAINTED.shape[::-1]), np.rot90(PAINTED, -1))


@pytest.mark.parametrize(("picture", "reason"), [
    (rgba(PAINTED, (255, 255, 255), 0), r"is wholly transparent \(alpha is 0 everywhere\), but its colours differ"),
    (rgba(~PAINTED, (0, 0, 0), 255), r"is black where it is opaque and transparent elsewhere \(alpha\)"),
    (np.dstack([rgba(PAINTED, (255,) * 3, 0)[..., :3], np.tile(np.uint8([0, 255, 255, 0, 0]), (2, 1))]),
     r"marks other pixels by its colour than by its transparency \(alpha\)"),
])  # fmt: skip
def test_colour_and_transparency_that_contradict_each_other(tmp_path, picture, reason):
    save(tmp_path / "mask.png", picture)
    with pytest.raises(UnreadableImageError, match=rf"its mask mask\.png {reason}"):
        mask_of(tmp_path, "mask.png", PAINTED.shape)


# --- several pictures ------------------------------------------------------------------------------------------------
def test_pictures_that_belong_together_are_united(tmp_path):
    save(tmp_path / "m" / "1.png", [[255, 0, 0]])
    save(tmp_path / "m" / "2.png", [[0, 0, 1]])
    np.testing.assert_array_equal(mask_of(tmp_path, "m/1.png//m/2.png", (1, 3)), [[True, False, True]])


def test_damaged_one_of_several_pictures_is_named(tmp_path):
    save(tmp_path / "1.png", [[255]])
    (tmp_path / "2.png").write_bytes((tmp_path / "1.png").read_bytes()[:-5])
    with pytest.raises(UnreadableImageError, match=r"its mask 2\.png is damaged"):
        mask_of(tmp_path, "1.png//2.png", (1, 1))


def test_sizes_that_differ(tmp_path):
    save(tmp_path / "1.png", [[255, 0]])
    save(tmp_path / "2.png", [[0]])
    with pytest.raises(UnreadableImageError, match=r"its mask 1\.png has size 1 x 2, the image 2 x 2"):
        mask_of(tmp_path, "1.png", (2, 2))
    with pytest.raises(UnreadableImageError, match=r"its mask 2\.png has size 1 x 1, the image 1 x 2"):
        mask_of(tmp_path, "1.png//2.png", (1, 2))


def test_mask_is_turned_as_its_exif_says(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    save(tmp_path / "mask.png", [[255, 0, 0]], exif=exif)
    np.testing.assert_array_equal(mask_of(tmp_path, "mask.png", (3, 1)), [[True], [False], [False]])


# --- pages -----------------------------------------------------------------------------------------------------------
def test_pages_of_a_mask_go_with_the_pages_of_the_image(tmp_path):
    with tifffile.TiffWriter(tmp_path / "mask.tif") as file:
        for value in (0, 9):
            file.write(np.full((1, 2), value, np.uint8), metadata=None, contiguous=False)
    assert not mask_of(tmp_path, "mask.tif", (1, 2), page=1).any()
    assert mask_of(tmp_path, "mask.tif", (1, 2), page=2).all()
    with pytest.raises(UnreadableImageError, match=r"its mask mask\.tif holds 2 pages or frames; wanted one"):
        mask_of(tmp_path, "mask.tif", (1, 2))
    with pytest.raises(UnreadableImageError, match=r"its mask mask\.tif has no page 3; it holds 2"):
        mask_of(tmp_path, "mask.tif", (1, 2), page=3)


# --- boxes -----------------------------------------------------------------------------------------------------------
def test_voc_box(tmp_path):
    (tmp_path / "a.XML").write_text(VOC.format(width=4))
    wanted = [[False, True, True, False], [False, True, True, False], [False] * 4]
    np.testing.assert_array_equal(mask_of(tmp_path, "a.XML", (3, 4)), wanted)


def test_coco_box(tmp_path):
    (tmp_path / "marks.json").write_text(json.dumps(COCO))
    np.testing.assert_array_equal(mask_of(tmp_path, "marks.json", (2, 3)), [[False] * 3, [True, True, False]])
    with pytest.raises(UnreadableImageError, match=r"its mask marks\.json does not name the image any more"):
        read_mask_source(tmp_path, "marks.json", "b.png")


def test_annotation_for_another_size_names_its_file(tmp_path):
    (tmp_path / "a.xml").write_text(VOC.format(width=9))
    with pytest.raises(
        UnreadableImageError, match=r"its mask a\.xml is for an image of 3 x 9 pixels; this one has 3 x 4"
    ):
        mask_of(tmp_path, "a.xml", (3, 4))


@pytest.mark.parametrize("name", ["gone.png", "gone.xml", "gone.json"])
def test_missing_source_is_named(tmp_path, name):
    with pytest.raises(UnreadableImageError, match=r"its mask gone\.\w+ .*(No such file)"):
        read_mask_source(tmp_path, f"masks/{name}", "a.png")


@pytest.mark.parametrize("name", ["broken.xml", "broken.json"])
def test_broken_source_is_named(tmp_path, name):
    (tmp_path / name).write_text("{<")
    with pytest.raises(UnreadableImageError, match=rf"its mask {name} "):
        read_mask_source(tmp_path, name, "a.png")


# --- digest ----------------------------------------------------------------------------------------------------------
def test_digest_is_of_the_content_and_not_of_the_name(tmp_path):
    for name, value in (("1.png", 255), ("2.png", 255), ("3.png", 254)):
        save(tmp_path / name, [[value, 0]])
    digests = {name: read_mask_source(tmp_path, name, "a.png").sha256
               for name in ("1.png", "2.png", "3.png", "1.png//3.png", "3.png//1.png", "2.png//3.png")}  # fmt: skip
    assert digests["1.png"] == digests["2.png"] != digests["3.png"]
    assert digests["1.png//3.png"] == digests["2.png//3.png"]
    assert len(set(digests.values())) == 4


def test_digest_of_boxes_is_of_what_is_marked(tmp_path):
    (tmp_path / "a.xml").write_text(VOC.format(width=4))
    (tmp_path / "b.xml").write_text(VOC.format(width=4).replace("\n", "  "))
    (tmp_path / "c.xml").write_text(VOC.format(width=5))
    first, again, other = (read_mask_source(tmp_path, f"{name}.xml", "a.png").sha256 for name in "abc")
    assert first == again != other


def test_page_does_not_change_the_digest(tmp_path):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((2, 2), np.uint8))
    (tmp_path / "m.tif").write_bytes(buffer.getvalue())
    source = read_mask_source(tmp_path, "m.tif", "a.png")
    before = source.sha256
    source.pixels((2, 2), max_pixels=9)
    assert source.sha256 == before
