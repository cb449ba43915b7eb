"""Files of 16 bits whose images use fewer: on which scale they are read, and what is said of it."""

import numpy as np
import pandas as pd
import pytest
from base_params import BASE

from flawline.intake.decoding import encode_png
from flawline.intake.depths import settle_bits, usual_depth
from flawline.intake.manifest import ingest_folder
from flawline.intake.measuring import Measured, Measurements

NOTHING = pd.DataFrame(columns=["path", "reason"])


def images(*largest, told=0, depth=16, label=0, prefix="good"):
    """Return (name, label, depth, largest, told) of images with these largest values."""
    return [(f"{prefix}/{i}", label, depth, value, told) for i, value in enumerate(largest)]


def settle(*several, wanted="auto"):
    """Return (bits by image, reasons by image, notes) of images as ``images`` makes them."""
    rows = [row for each in several for row in each]
    manifest = pd.DataFrame([row[:3] for row in rows], columns=["image", "label", "depth"])
    manifest = manifest.assign(sha256=manifest["image"], page=0, bits=manifest["depth"])
    measured = [Measured(name, depth=depth, largest=most, bits=told) for name, _, depth, most, told in rows]
    kept, quarantine, notes = settle_bits(manifest, NOTHING, Measurements.of(measured, "").table, wanted)
    return dict(zip(kept["image"], kept["bits"], strict=True)), dict(quarantine.to_numpy()), notes


def said(notes, *, caution):
    return " ".join(note.text for note in notes if note.caution == caution)


# --- by the largest value --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("largest", "bits"),
    [
        (0, 8),
        (255, 8),
        (256, 10),
        (1023, 10),
        (1024, 12),
        (3890, 12),
        (4096, 14),
        (16383, 14),
        (16384, 16),
        (65535, 16),
    ],
)
def test_the_fewest_bits_are_used_that_hold_the_largest_value_of_all(largest, bits):
    found, odd, notes = settle(images(largest // 2, largest, largest // 2))
    assert set(found.values()) == {bits}
    assert odd == {}
    assert said(notes, caution=False) == (
        f"16-bit files that use {bits} bits: values are read on the scale 0 to {2**bits - 1} (the largest value of all "
        f"is {largest})."
    )


def test_a_defective_image_counts_too():
    found, _, notes = settle(images(900, 950, 800), images(2500, 2000, label=1, prefix="dent"))
    assert set(found.values()) == {12}
    assert said(notes, caution=True) == ""  # two of five are not few


def test_one_file_of_another_scale_is_named_and_how_to_decide():
    found, odd, notes = settle(images(*[3500] * 99), images(60000, prefix="other"))
    assert set(found.values()) == {16}
    assert odd == {}
    assert said(notes, caution=True) == (
        "Of 100 files, 1 file holds values up to 60000 (other/0); no other goes beyond 3500. All are read on the scale "
        "0 to 65535, on which the others are dark. If the others use 12 bits, ingestion.bits=12 reads them so and puts "
        "the rest into quarantine."
    )
    found, odd, notes = settle(images(*[3500] * 99), images(60000, prefix="other"), wanted=12)
    assert set(found.values()) == {12}
    assert odd == {"other/0": "holds the value 60000, more than 4095; ingestion.bits is 12 bits"}
    assert said(notes, caution=True) == ""


def test_a_brightest_image_that_is_not_far_from_the_others_is_no_stray():
    assert said(settle(images(*[4000] * 20, 4200))[2], caution=True) == ""


def test_of_several_strays_three_are_named():
    notes = settle(images(*[1000] * 60), images(*[9000] * 5, prefix="other"))[2]
    assert "5 files hold values up to 9000 (other/0, other/1, other/2, ...)" in said(notes, caution=True)


# --- by what the files say -------------------------------------------------------------------------------------------
def test_what_all_files_say_counts_though_fewer_bits_would_hold_their_values():
    found, odd, notes = settle(images(1000, 900, 990, told=12), images(1000, told=12, label=1, prefix="dent"))
    assert set(found.values()) == {12}
    assert odd == {}
    assert "values are read on the scale 0 to 4095 (as TIFF tags say)" in said(notes, caution=False)
    assert said(notes, caution=True) == (
        "The images are dark: no value exceeds 1000 on the scale 0 to 4095. A network that is trained on them learns "
        "little of what it could; expose longer, or set ingestion.bits to what the camera has."
    )


def test_files_that_say_nothing_go_with_those_that_do_if_their_values_fit():
    assert set(settle(images(3000, told=12), images(900, 800, 700, prefix="png"))[0].values()) == {12}


def test_what_says_otherwise_than_most_normal_images_is_quarantined():
    found, odd, _ = settle(images(4000, 3000, 3100, told=12), images(900, told=10, prefix="other"))
    assert set(found.values()) == {12}
    assert odd == {"other/0": "uses 10 bits of 16, as its TIFF tags say; most normal images have 12"}


def test_files_that_say_nothing_and_hold_more_decide_where_they_are_most():
    told, silent = images(4000, told=12), images(60000, 50000, 61000, prefix="png")
    found, odd, _ = settle(told, silent)
    assert (set(found.values()), list(odd)) == ({16}, ["good/0"])
    found, odd, _ = settle(images(4000, 4001, 4002, told=12), images(60000, prefix="png"))
    assert (set(found.values()), list(odd)) == ({12}, ["png/0"])
    assert odd["png/0"] == "holds the value 60000, more than 4095; most normal images have 12 bits"


# --- by hand, and 8 bits ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("wanted", "dark"), [(12, False), (14, True), (16, True)])
def test_what_is_wanted_is_used(wanted, dark):
    found, _, notes = settle(images(3500, 3000), wanted=wanted)
    assert set(found.values()) == {wanted}
    assert f"as ingestion.bits = {wanted} says" in said(notes, caution=False)
    assert ("The images are dark" in said(notes, caution=True)) is dark


def test_images_of_8_bits_are_as_they_are_and_the_parameter_is_said_to_be_idle():
    assert settle(images(200, 255, depth=8)) == ({"good/0": 8, "good/1": 8}, {}, [])
    notes = settle(images(200, 255, depth=8), wanted=12)[2]
    assert said(notes, caution=False) == (
        "ingestion.bits = 12 is about 16-bit files and changes nothing: these have 8."
    )


def test_dark_images_of_8_bits_are_cautioned_of():
    assert said(settle(images(64, 20, depth=8))[2], caution=True) == ""
    notes = settle(images(63, 20, depth=8))[2]
    assert said(notes, caution=True).startswith("The images are dark: no value exceeds 63 on the scale 0 to 255.")


def test_images_of_another_depth_take_no_part():
    found, _, notes = settle(images(60000, label=1, prefix="dent"), images(200, 210, depth=8))
    assert (found["good/0"], notes) == (8, [])
    found, _, _ = settle(images(255, depth=8, prefix="other"), images(3000, 3100))
    assert found["good/0"] == 12


def test_no_image_at_all():
    empty = pd.DataFrame(columns=["image", "label", "depth", "bits", "sha256", "page"])
    rows, odd, notes = settle_bits(empty, NOTHING, Measurements.of([], "").table, "auto")
    assert (len(rows), len(odd), notes) == (0, 0, [])
    assert usual_depth(empty) == 0


# --- a folder --------------------------------------------------------------------------------------------------------
def test_a_folder_of_twelve_bit_images(tmp_path):
    generator = np.random.default_rng(0)
    (tmp_path / "good").mkdir()
    for i in range(6):
        pixels = generator.integers(0, 4096, (1, 20, 24)).astype(np.uint16)
        (tmp_path / "good" / f"{i}.png").write_bytes(encode_png(pixels))
    (tmp_path / "good" / "bright.png").write_bytes(encode_png(pixels * 9))
    manifest, quarantine, _, _, notes = ingest_folder(tmp_path, BASE.ingestion.but(bits=12), category="c")
    assert set(manifest["bits"]) == {12}
    assert set(manifest["depth"]) == {16}
    assert quarantine["path"].tolist() == ["good/bright.png"]
    assert "scale 0 to 4095" in notes["text"].iloc[0]
    manifest, _, _, _, notes = ingest_folder(tmp_path, BASE.ingestion, category="c")
    assert set(manifest["bits"]) == {16}
    assert notes["caution"].tolist() == [True, False]
    assert "(good/bright.png)" in notes["text"].iloc[0]
