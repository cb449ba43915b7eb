import pytest

from flawline.checks import FlawlineError
from flawline.metrics.mcnemar import p_worse


@pytest.mark.parametrize(("worse", "better", "wanted"), [
    (0, 0, 1.0), (5, 0, 1 / 32), (1, 1, 3 / 4), (0, 5, 1.0), (4, 1, 6 / 32),
])  # fmt: skip
def test_of_so_many_tosses_of_a_coin_as_many_are_worse(worse, better, wanted):
    assert p_worse(worse, better) == pytest.approx(wanted)


def test_counts_are_not_negative():
    with pytest.raises(FlawlineError, match="better must be >= 0, got -1"):
        p_worse(2, -1)
