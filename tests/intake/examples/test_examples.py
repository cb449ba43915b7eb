from collections import Counter

import numpy as np
import pytest
from base_params import BASE

from flawline.intake.examples import EXAMPLES, ExampleImage, params_of
from flawline.params import ExamplesParams, check_category

COUNTS = BASE.examples.riblet.albedo.but(train=2, calibration=1, normal_test=1, anomalous_test=2)
SMALL = BASE.examples.but(
    chess=BASE.examples.chess.but(image_size=(80, 96), square=8, region_radius=(10.0, 20.0)),
    noise=BASE.examples.noise.but(image_size=(80, 96)),
    fabric=BASE.examples.fabric.but(image_size=(80, 96), train=2, anomalous_test=3),
    twill=BASE.examples.twill.but(image_size=(80, 96), train=2, calibration=2, anomalous_test=3),
    riblet=BASE.examples.riblet.but(image_size=(80, 96), stripe_width=(6.0, 12.0), albedo=COUNTS, normals=COUNTS),
)


@pytest.fixture(params=EXAMPLES)
def category(request):
    return request.param


@pytest.fixture
def images(category):
    return list(EXAMPLES[category](SMALL))


def test_examples_by_name():
    assert list(EXAMPLES) == [
        "chess",
        "noise",
        "brick",
        "gravel",
        "grass",
        "riblet-albedo",
        "riblet-normals",
        "fabric",
        "twill",
    ]


def test_every_name_can_be_a_category(category):
    assert check_category(category) == category


def test_every_family_has_its_own_parameters_and_none_is_left_over():
    assert {params_of(category) for category in EXAMPLES} == ExamplesParams.model_fields.keys()
    assert params_of("grass") == params_of("brick") == "surface"
    assert params_of("riblet-albedo") == "riblet"
    assert params_of("bolt") is None


def test_images_are_8_bit_and_alike_with_a_mask_exactly_where_defective(category, images):
    size = (128, 128) if params_of(category) == "surface" else (80, 96)
    channels = 3 if category == "riblet-normals" else 1
    for image in images:
        assert isinstance(image, ExampleImage)
        assert (image.image.dtype, image.image.shape) == (np.uint8, (channels, *size))
        assert (image.mask is None) == (image.defect == "good")
        if image.mask is not None:
            assert (image.mask.dtype, image.mask.shape) == (np.bool_, size)
            assert 0 < image.mask.mean() < 0.5


def test_every_split_has_normal_images_and_only_the_test_has_defects(images):
    assert {e.split for e in images if e.defect == "good"} == {"train", "validation", "calibration", "test"}
    assert {e.split for e in images if e.defect != "good"} == {"test"}
    names = Counter((e.split, e.defect, e.name) for e in images)
    assert set(names.values()) == {1}


def test_no_two_images_are_the_same_and_all_are_drawn_again_alike(category, images):
    # two boards may have one phase
    assert category == "chess" or len({e.image.tobytes() for e in images}) == len(images)
    for one, two in zip(images, EXAMPLES[category](SMALL), strict=True):
        np.testing.assert_array_equal(one.image, two.image)


def test_every_family_depends_on_its_seed(category, images):
    name = params_of(category)
    other = SMALL.model_copy(update={name: getattr(SMALL, name).model_copy(update={"seed": 1})})
    pairs = zip(images, EXAMPLES[category](other), strict=True)
    assert any((one.image != two.image).any() for one, two in pairs)
