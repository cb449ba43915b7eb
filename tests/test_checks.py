import numpy as np
import pytest

from flawline.checks import FlawlineError, check_range, check_shape, near_name


@pytest.mark.parametrize(
    ("bounds", "wanted"),
    [({"low": 0}, ">= 0"), ({"high": 1}, "<= 1"), ({"low": 0, "high": 1}, r"in \[0, 1\]")],
)
def test_check_range_says_what_was_wanted_and_what_came(bounds, wanted):
    bad = -1 if "low" in bounds else 2
    with pytest.raises(FlawlineError, match=rf"share must be {wanted}, got {bad}"):
        check_range("share", bad, **bounds)
    with pytest.raises(FlawlineError, match="got nan"):
        check_range("share", float("nan"), **bounds)


def test_check_range_includes_its_bounds():
    for value in (0, 0.5, 1):
        check_range("share", value, low=0, high=1)
    check_range("share", -1e9)


def test_check_shape_takes_strings_for_any_length():
    check_shape("patches", np.zeros((7, 1, 8, 8)), ("N", 1, 8, 8))
    check_shape("patches", np.zeros((0, 1, 8, 8)), ("N", 1, "H", "W"))


@pytest.mark.parametrize("shape", [(2, 3, 8, 8), (1, 8, 8), (2, 1, 8, 8, 1), ()])
def test_check_shape_says_what_was_wanted_and_what_came(shape):
    wanted = rf"patches must have shape \(N, 1, H, W\), got \({', '.join(map(str, shape))}\)"
    with pytest.raises(FlawlineError, match=wanted):
        check_shape("patches", np.zeros(shape), ("N", 1, "H", "W"))


def test_near_name():
    assert near_name("trian", ["model", "train"]) == " (did you mean 'train'?)"
    assert near_name("xyz", ["model", "train"]) == ""
    assert near_name("xyz", []) == ""
    assert near_name(1, [10, 2]) == " (did you mean '10'?)"


def test_a_users_mistake_is_a_value_error():
    assert issubclass(FlawlineError, ValueError)
