"""How far a rate may be from what was counted."""

from scipy.special import betaincinv

from flawline.checks import FlawlineError

LOW, HIGH = "_low", "_high"  # end the names of an interval's ends


def exact_interval(count: int, total: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """Return the interval (low, high) of a rate of which ``count`` of ``total`` trials were counted.

    It holds the true rate with at least that confidence, whatever it is. Raise FlawlineError unless 0 <= count <=
    total and there is a trial. Source: Clopper & Pearson 1934, doi:10.1093/biomet/26.4.404."""
    if not 0 <= count <= total or not total:
        raise FlawlineError(f"count must be from 0 to total, and total at least 1; got {count} of {total}")
    tail = (1 - confidence) / 2
    low = float(betaincinv(count, total - count + 1, tail)) if count else 0.0
    high = float(betaincinv(count + 1, total - count, 1 - tail)) if count < total else 1.0
    return low, high


def rate_with_interval(name: str, count: int, total: int) -> dict[str, float]:
    """Return a rate under ``name``, and the ends of its exact 95 % interval under the names that end with LOW and HIGH;
    empty of no trials."""
    if not total:
        return {}
    low, high = exact_interval(count, total)
    return {name: count / total, f"{name}{LOW}": low, f"{name}{HIGH}": high}
