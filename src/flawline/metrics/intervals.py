"""How far a rate may be from what was counted."""

from scipy import stats

from flawline.checks import FlawlineError


def exact_interval(count: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval (low, high) of a rate of which ``count`` of ``total`` trials were counted.

    It holds the true rate with at least that confidence, whatever it is. Raise FlawlineError unless 0 <= count <=
    total and there is a trial. Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404."""
    if not 0 <= count <= total or not total:
        raise FlawlineError(f"count must be from 0 to total, and total at least 1; got {count} of {total}")
    tail = (1 - confidence) / 2
    low = float(stats.beta.ppf(tail, count, total - count + 1)) if count else 0.0
    high = float(stats.beta.ppf(1 - tail, count + 1, total - count)) if count < total else 1.0
    return low, high
