import numpy as np
import pytest
from defect_images import frozen, rng

from flawline.checks import FlawlineError
from flawline.figures.gallery import CELL, GAP, TITLE, SheetRow, contact_sheet, first_of_each, window


def row(name="line", size=(60, 80), dtype=np.uint8, channels=1):
    original = frozen(np.full((channels, *size), 100, dtype))
    mask = np.zeros(size, bool)
    mask[20:30, 40:60] = True
    damaged = original.copy()
    damaged[:, mask] = 200
    return SheetRow(name, original, damaged, mask)


def cells(sheet):
    """Return the three pictures of the first row of a sheet."""
    return [sheet[GAP + TITLE : GAP + TITLE + CELL, GAP + i * (CELL + 2) :][:, :CELL] for i in range(3)]


def test_row_shows_original_damaged_and_mask_around_the_defect():
    original, damaged, mask = cells(contact_sheet([row()]))
    assert (original == 100).all()
    assert np.unique(damaged).tolist() == [100, 200]
    assert np.unique(mask).tolist() == [0, 255]
    np.testing.assert_array_equal(mask == 255, damaged == 200)
    assert (mask == 255).mean() == pytest.approx(10 * 20 / 40**2, rel=0.1)  # of a square twice as long as the defect


def test_sheet_has_three_rows_side_by_side_and_as_many_lines_as_it_takes():
    one, three, four = (contact_sheet([row()] * count).shape for count in (1, 3, 4))
    assert one[2] == three[2] == four[2] == 3
    assert one[0] == three[0] < four[0]
    assert one[1] < three[1] == four[1]
    assert contact_sheet([row()]).dtype == np.uint8


def test_names_are_written():
    assert (contact_sheet([row("line")]) != contact_sheet([row("blend")])).any()
    assert (contact_sheet([row("")])[GAP : GAP + TITLE] == 255).all()


@pytest.mark.parametrize(("dtype", "channels"), [(np.uint16, 1), (np.float32, 3), (np.uint8, 3)])
def test_images_of_every_depth_and_colour_are_shown(dtype, channels):
    assert contact_sheet([row(dtype=dtype, channels=channels)]).ndim == 3


def test_both_images_have_one_white():
    """Of a 12-bit camera; the damaged image alone would look as bright as the original."""
    original = frozen(np.full((1, 40, 40), 2000, np.uint16))
    damaged, mask = np.minimum(original, 1000), np.ones((40, 40), bool)
    first, second, _ = cells(contact_sheet([SheetRow("dark", original, damaged, mask)]))
    assert int(first.max()) == pytest.approx(2 * int(second.max()), abs=2)


def test_window_is_a_square_around_the_mask_moved_into_the_image():
    mask = np.zeros((100, 200), bool)
    mask[0:4, 150:190] = True
    assert window(mask) == (slice(0, 80), slice(120, 200))
    mask = np.zeros((20, 200), bool)
    mask[10, 100] = True
    assert window(mask) == (slice(0, 20), slice(84, 116))  # narrower than the least square


def test_sheet_of_nothing_is_refused():
    with pytest.raises(FlawlineError, match="rows must hold at least one pseudo-defect, got none"):
        contact_sheet([])
    empty = row()
    with pytest.raises(FlawlineError, match="mask must mark at least one pixel"):
        contact_sheet([SheetRow("x", empty.original, empty.damaged, empty.mask & False)])
    with pytest.raises(FlawlineError, match=r"damaged must have shape \(1, 60, 80\), got \(1, 30, 80\)"):
        contact_sheet([SheetRow("x", empty.original, empty.damaged[:, :30], empty.mask)])


def test_first_of_each_kind_and_family():
    told = [{"kind": "line"}, {"kind": "julia", "family": "yarn"}, {"kind": "line", "family": float("nan")},
            {"kind": "julia", "family": "hole"}, {"kind": "julia", "family": "yarn"}]  # fmt: skip
    assert first_of_each([*told, {"kind": "stain"}, {"kind": "julia", "family": "point"}]) == (
        {"line": 0, "julia yarn": 1, "julia hole": 3, "julia point": 6, "stain": 5}
    )
    assert list(first_of_each([{"kind": "stain"}, *told])) == ["stain", "line", "julia yarn", "julia hole"]


def test_sheet_is_the_same_for_the_same_rows():
    noise = rng().integers(0, 256, (3, 90, 70), dtype=np.uint8)
    one = SheetRow("noise", noise, noise // 2, noise[0] > 250)
    np.testing.assert_array_equal(contact_sheet([one]), contact_sheet([one]))
