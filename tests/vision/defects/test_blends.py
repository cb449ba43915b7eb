import numpy as np
import pytest
import scipy
from defect_images import PARAMS, frozen, rng, textured

from flawline.vision.defects import Blend, Disk
from flawline.vision.defects.base import turned
from flawline.vision.defects.blends import blobs

WHOLE = frozen(np.ones((80, 100), bool))


@pytest.mark.parametrize("share", [0.001, 0.05, 0.4, 1.0])
def test_blobs_cover_the_share_asked_for(share):
    region = Disk(x=30, y=30, radius=28).mask((61, 61))
    found = blobs(region, 0.1, share, rng())
    assert found.sum() == max(1, round(share * region.sum()))
    assert not (found & ~region).any()


def test_rough_noise_makes_more_blobs_than_smooth_noise():
    counts = [np.mean([scipy.ndimage.label(blobs(WHOLE, scale, 0.2, rng(seed)))[1] for seed in range(5)])
              for scale in (0.02, 0.2)]  # fmt: skip
    assert counts[0] > 5 * counts[1]


def test_blobs_keep_away_from_a_disks_rim_but_not_from_the_images():
    disk = Disk(x=40, y=40, radius=38).mask((81, 81))
    rim = disk & ~scipy.ndimage.binary_erosion(disk, iterations=2)
    at_rim = [blobs(disk, 0.1, 0.3, rng(seed))[rim].mean() for seed in range(20)]
    assert np.mean(at_rim) < 0.05
    border = np.ones((80, 100), bool)
    border[2:-2, 2:-2] = False
    assert np.mean([blobs(WHOLE, 0.1, 0.3, rng(seed))[border].mean() for seed in range(20)]) > 0.15


def test_opacity_is_the_other_places_part_and_it_is_turned():
    """On a ramp, the other place's values are its coordinates."""
    ys, xs = np.mgrid[:80, :100] / np.float32(200)
    image = frozen(np.stack([ys, xs]).astype(np.float32))
    region = np.zeros((80, 100), bool)
    region[30:51, 40:61] = True  # middle (40, 50)
    params = PARAMS.blend.but(opacity=(0.25, 0.25), angle=(90, 90), visible=0)
    made = Blend(params)(image, region, rng(12))
    points = np.stack(np.nonzero(made.mask))
    source = turned(points - [[40], [50]], -90) + np.array([[made.drawn["source_y"]], [made.drawn["source_x"]]])
    inside = ((source >= 0) & (source <= [[79], [99]])).all(axis=0)
    assert inside.any()
    expected = 0.75 * points + 0.25 * source
    np.testing.assert_allclose(made.image[:, made.mask][:, inside] * 200, expected[:, inside], atol=1e-3)


def test_all_that_was_drawn_is_told():
    made = Blend(PARAMS.blend)(textured(np.float32), WHOLE, rng())
    assert list(made.drawn) == ["scale", "share", "angle", "opacity", "source_x", "source_y"]
    for name in ("scale", "share", "angle", "opacity"):
        low, high = getattr(PARAMS.blend, name)
        assert low <= made.drawn[name] <= high
    assert made.mask.mean() == pytest.approx(made.drawn["share"], abs=1e-3)
