import pytest
from scipy import stats

from flawline.checks import FlawlineError
from flawline.metrics.intervals import exact_interval, rate_with_interval


@pytest.mark.parametrize(("count", "total"), [(0, 10), (3, 10), (10, 10), (1, 480)])
def test_interval_is_that_of_scipys_binomial_test(count, total):
    wanted = stats.binomtest(count, total).proportion_ci(confidence_level=0.95, method="exact")
    assert exact_interval(count, total) == pytest.approx((wanted.low, wanted.high))


def test_nothing_of_ten_may_be_a_third():
    low, high = exact_interval(0, 10)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 10))


def test_a_rate_comes_with_the_ends_of_its_interval_and_not_at_all_of_nothing():
    low, high = exact_interval(3, 10)
    assert rate_with_interval("escape_rate", 3, 10) == {
        "escape_rate": 0.3, "escape_rate_low": low, "escape_rate_high": high,
    }  # fmt: skip
    assert rate_with_interval("escape_rate", 0, 0) == {}


@pytest.mark.parametrize(("count", "total"), [(-1, 3), (4, 3), (0, 0)])
def test_counts_that_cannot_be_are_refused(count, total):
    with pytest.raises(FlawlineError, match="count must be from 0 to total"):
        exact_interval(count, total)
