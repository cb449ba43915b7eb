"""Suitability: whether an autoencoder can learn a material. It can learn what repeats, not what is random everywhere.

Schneider 2022, sections 4.2 and 5: on a stochastic steel surface the autoencoders drew the average grey value of every
patch, and their residuals told nothing. So a network is judged by how much of that error it explains."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flawline.checks import FlawlineError
from flawline.params import SuitabilityParams

VERDICTS = ("suited", "doubtful", "unsuited")
BLACK = 0.95  # of the error of drawing black: nothing was learned


@dataclass(frozen=True)
class ExpectedSuitability:
    """The suitability that the images alone let expect, before training; all figures are shares, 1 is best."""

    verdict: str  # suited, doubtful or unsuited
    reason: str
    regularity: float  # `spectral_regularity`
    linear: float  # of the held-out patches' variation, explained by a linear autoencoder of the same code length

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain values, ready for JSON."""
        return asdict(self)


def spectral_regularity(patches: NDArray) -> float:
    """Return the share of the patches' (N, C, s, s) spectral power that a texture without direction or period lacks.

    The power spectrum, averaged over patches, is split at every frequency radius into the ring's median and what stands
    above it: lines, grids and weaves are bright dots on a dim ring, while grain and white noise fill the ring evenly.
    The lowest two radii, which hold brightness gradients, count as without period, so a patch must hold three. A
    sine wave gives nearly 1, patches without any contrast 0, white noise about 0.4 / sqrt(n) for the n patches that fit
    the images side by side: more, overlapping ones add little, and of one image as small as a patch noise looks like a
    pattern."""
    size = patches.shape[-1]
    grey = patches.mean(axis=1, dtype=np.float64)  # (N, s, s)
    grey -= grey.mean(axis=(1, 2), keepdims=True)
    window = np.hanning(size + 1)[:size]
    power = np.zeros((size, size))
    for one in grey:  # one at a time: a spectrum is sixteen bytes a pixel
        power += np.abs(np.fft.fft2(one * np.outer(window, window))) ** 2
    ring = _rings(size)
    medians = np.array([np.median(power[ring == radius]) for radius in range(ring.max() + 1)])
    above = np.maximum(power - medians[ring], 0)[ring > 2].sum()
    total = power.sum()
    return float(above / total) if total > 0 else 0.0


def _rings(size: int) -> NDArray[np.int64]:
    """Return the frequency radius (s, s) of a spectrum's entries, whole periods a patch, rounded.

    The corners beyond the largest whole ring are one ring with it: they have too few entries for a median."""
    periods = np.fft.fftfreq(size) * size
    radius = np.rint(np.hypot(periods[:, None], periods)).astype(np.int64)  # (s, s)
    return np.minimum(radius, size // 2)


def patch_mean_error(patches: NDArray) -> float:
    """Return the mean squared error (Schneider 2022, Eq. 3) of the network that draws of every patch (N, C, s, s) its
    average in every channel: the cheapest answer to a material without any regularity (section 4.2, Fig. 8)."""
    means = patches.mean(axis=(2, 3), keepdims=True, dtype=np.float64)
    return float(np.square(patches - means).mean())


def linear_error(patches: NDArray, held_out: NDArray, *, code_length: int) -> float:
    """Return the mean squared error on ``held_out`` (M, C, s, s) of the best linear autoencoder of ``patches``
    (N, C, s, s): the first ``code_length`` principal components, at most N - 1."""
    from sklearn.decomposition import PCA  # takes a second to import

    flat, other = (np.asarray(p, np.float32).reshape(len(p), -1) for p in (patches, held_out))  # (N, C s s)
    if not np.ptp(flat):  # nothing varies, and there are no components
        return float(np.square(other - flat[0]).mean())
    components = min(code_length, len(flat) - 1, flat.shape[1])
    model = PCA(components, random_state=0).fit(flat)  # of many large patches a randomised solver, hence the seed
    return float(np.square(model.inverse_transform(model.transform(other)) - other).mean())


def explained(error: float, baseline: float) -> float:
    """Return the share of the error ``baseline`` that a network of error ``error`` takes away; at least 0.

    Nothing to explain (a baseline of 0) is wholly explained if the network makes no error either."""
    if baseline <= 0:
        return 1.0 if error <= 0 else 0.0
    return max(0.0, 1 - error / baseline)


def expect_suitability(
    patches: NDArray, held_out: NDArray, *, code_length: int, params: SuitabilityParams
) -> ExpectedSuitability:
    """Judge from normal patches (N, C, s, s) and held-out normal ones, before training, whether an autoencoder with a
    code of ``code_length`` numbers can learn them.

    Raises FlawlineError if there are fewer than two patches or no held-out one."""
    if len(patches) < 2 or not len(held_out):
        raise FlawlineError(
            f"wanted two patches or more of the training images and one held-out, got {len(patches)} and "
            f"{len(held_out)}. Raise patches.per_epoch."
        )
    regularity = spectral_regularity(patches)
    linear = explained(linear_error(patches, held_out, code_length=code_length), patch_mean_error(held_out))
    told = f"{regularity:.0%} of the spectral power lies in a repeating pattern"
    also = f"a linear autoencoder explains {linear:.0%} of what varies in held-out patches"
    if regularity >= params.regular:
        return ExpectedSuitability("suited", f"{told} (suited from {params.regular:.0%}); {also}.", regularity, linear)
    if linear >= params.linear:
        reason = f"only {told}, but {also} (from {params.linear:.0%}): shapes that recur may still be learned."
        return ExpectedSuitability("doubtful", reason, regularity, linear)
    reason = f"only {told} (suited from {params.regular:.0%}), and {also} (doubtful from {params.linear:.0%})."
    return ExpectedSuitability("unsuited", reason, regularity, linear)


def reach_of(patches: NDArray) -> float:
    """Return how far the patches' values go on the scale [0, 1]: what 99 of 100 do not exceed."""
    return float(np.quantile(patches, 0.99))


def black_error(patches: NDArray) -> float:
    """Return the mean squared error of the network that draws every patch black."""
    return float(np.square(patches, dtype=np.float64).mean())


def judge_network(
    error: float,
    baseline: float,
    expected_suitability: str,
    params: SuitabilityParams,
    *,
    reach: float = 1.0,
    black: float = np.inf,
) -> tuple[str, str, float]:
    """Return (verdict, reason, explained share) of a trained network from its mean squared error on held-out normal
    patches and that of their averages, ``baseline``; ``expected_suitability`` is the verdict before training.

    Training, unlike the verdict before it, depends on a factor of brightness: its steps are as long for dark images,
    and a decoder that ends in a sigmoid may learn nothing of them but black. So where the patches' ``reach`` is small,
    or the error is that of drawing ``black``, a network that fails is a reason to doubt, never to call the material
    unsuited."""
    share = explained(error, baseline)
    verdict = "suited" if share >= params.suited else "doubtful" if share >= params.doubtful else "unsuited"
    limits = f"suited from {params.suited:.0%}, unsuited below {params.doubtful:.0%}"
    reason = (
        f"the trained network explains {share:.0%} of what varies in held-out normal patches ({limits}): its error is "
        f"{error:.5f}, that of drawing each patch's average {baseline:.5f}."
    )
    if verdict != "suited" and (reach < params.dark or draws_black(error, baseline, black)):
        what = "It draws black, whatever it is shown." if draws_black(error, baseline, black) else ""
        reason += (
            f" {what} The images reach {reach:.0%} of the range (dark below {params.dark:.0%}), and a network learns "
            f"badly of dark images, whatever the material: brighten them, and train again. Before training, where "
            f"brightness does not count, they looked {expected_suitability}."
        ).replace("  ", " ")
        return "doubtful", reason, share
    if VERDICTS.index(verdict) > VERDICTS.index(expected_suitability):
        reason += (
            f" Before training the images looked {expected_suitability}: the training may not be finished; try more "
            f"epochs."
        )
    return verdict, reason, share


def draws_black(error: float, baseline: float, black: float) -> bool:
    """Return True if the network's error is that of drawing black, and drawing averages would be far better."""
    return bool(error >= BLACK * black and baseline < black / 2)
