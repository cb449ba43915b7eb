import numpy as np
import pytest
from base_params import BASE

from flawline.intake.examples.base import GROUPS, draw_images, image_generator, to_8_bit

COUNTS = BASE.examples.riblet.albedo.but(train=3, validation=1, calibration=2, normal_test=1, anomalous_test=2)


def draw(generator, defective):
    image = generator.integers(0, 256, (1, 4, 5), np.uint8)
    return image, np.eye(4, 5, dtype=bool) if defective else None


def drawn(counts=COUNTS, seed=0):
    return {(e.split, e.defect, e.name): e for e in draw_images(counts, seed, draw, defect="bent")}


def test_images_come_in_order_and_are_counted_in_split_and_defect():
    assert list(drawn()) == [
        ("train", "good", "000"), ("train", "good", "001"), ("train", "good", "002"),
        ("validation", "good", "000"),
        ("calibration", "good", "000"), ("calibration", "good", "001"),
        ("test", "good", "000"),
        ("test", "bent", "000"), ("test", "bent", "001"),
    ]  # fmt: skip
    assert all((e.mask is None) == (e.defect == "good") for e in drawn().values())


def test_an_image_does_not_depend_on_how_many_others_there_are():
    more = drawn(COUNTS.model_copy(update={"train": 5, "calibration": 1, "normal_test": 4}))
    both = drawn().keys() & more.keys()
    assert len(both) == 8
    for key in both:
        np.testing.assert_array_equal(drawn()[key].image, more[key].image)


def test_no_image_comes_twice_and_another_seed_gives_others():
    images = [e.image.tobytes() for seed in (0, 1) for e in drawn(seed=seed).values()]
    assert len(set(images)) == len(images) == 18


def test_images_are_drawn_when_they_are_asked_for():
    calls = []
    images = draw_images(
        COUNTS, 0, lambda generator, defective: calls.append(1) or draw(generator, defective), defect="x"
    )
    assert calls == []
    next(images)
    assert calls == [1]


def test_rows_of_groups_never_move_since_they_are_seeds():
    assert [count for _, count in GROUPS[:5]] == [
        "train", "validation", "calibration", "normal_test", "anomalous_test",
    ]  # fmt: skip
    expected = np.random.default_rng(np.random.SeedSequence([7, 3, 2])).integers(1 << 30)
    assert image_generator(7, 3, 2).integers(1 << 30) == expected


@pytest.mark.parametrize(
    ("value", "level"), [(0, 0), (1, 255), (-0.2, 0), (1.2, 255), (0.5, 128), (0.1, 26), (0.9, 230)]
)
def test_to_8_bit_takes_the_nearest_level_and_clips(value, level):
    assert to_8_bit(np.full((1, 1, 1), value, np.float32)).tolist() == [[[level]]]
