import numpy as np

from flawline.vision.transform import IDENTITY, Transform


def test_transform_by_hand():
    middle = np.array([[5.0, 10.0]])
    right = middle + np.array([0, 4])
    turned = Transform(angle=90, shift_y=1, shift_x=2, scale=2)  # counter-clockwise: right becomes up
    np.testing.assert_allclose(turned.to_image(middle, (10, 20), (10, 20)), [[6, 12]])
    np.testing.assert_allclose(turned.to_image(right, (10, 20), (10, 20)), [[6 - 8, 12]], atol=1e-12)
    np.testing.assert_allclose(IDENTITY.to_image(middle, (10, 20), (14, 26)), [[7, 13]])


def test_to_reference_undoes_to_image():
    points = np.random.default_rng(0).uniform(0, 50, (7, 2))
    move = Transform(33, 4.5, -2, 1.3)
    np.testing.assert_allclose(move.to_reference(move.to_image(points, (40, 50), (61, 47)), (40, 50), (61, 47)), points)


def test_enlarged_move_takes_the_blocks_where_the_small_one_takes_their_means():
    reference, image, factor = (91, 120), (101, 99), 3
    small = Transform(25, 1.5, -2, 1.1)
    blocks = np.random.default_rng(0).uniform(0, 25, (5, 2))
    places = small.to_image(blocks, [side // factor for side in reference], [side // factor for side in image])
    large = small.enlarged(factor, reference, image).to_image((blocks + 0.5) * factor - 0.5, reference, image)
    np.testing.assert_allclose(large, (places + 0.5) * factor - 0.5)


def test_rounded_angle_is_within_half_a_turn():
    assert Transform(350.00001, -1e-9).rounded() == Transform(-10, 0)
