"""Whether one of two classifiers is wrong more often than the other on the same images."""

from scipy.stats import binomtest

from flawline.checks import check_range


def p_worse(worse: int, better: int) -> float:
    """Return the one-sided p-value of ``worse`` images on which one is wrong and the other right, against ``better``
    on which it is the other way round: 1 where they differ on none.

    Raise FlawlineError if a count is negative. Source: the exact test of McNemar 1947, doi:10.1007/BF02295996."""
    check_range("worse", worse, low=0)
    check_range("better", better, low=0)
    if not worse + better:
        return 1.0
    return float(binomtest(worse, worse + better, 0.5, alternative="greater").pvalue)
