import numpy as np
import pytest

from flawline.checks import FlawlineError
from flawline.methods.one_class import Inputs, check_learns, check_one_size, embedding_of


def test_images_of_one_size_may_have_any_channels():
    check_one_size([(1, 8, 9), (3, 8, 9)], "patch_memory")


def test_several_sizes_are_told_with_their_number_and_what_to_do():
    with pytest.raises(FlawlineError, match=r"there are 2: 8 x 9, 9 x 8\..*registration\.align = rigid"):
        check_one_size([(1, 9, 8), (1, 8, 9), (1, 9, 8)], "patch_memory")


def test_too_few_images_to_learn_from_are_told():
    check_learns(2, 2, "patch_gaussian")
    with pytest.raises(FlawlineError, match="patch_gaussian needs at least 2 normal images to learn from, got 1"):
        check_learns(1, 2, "patch_gaussian")


def test_inputs_without_their_embedding_are_an_error():
    with pytest.raises(ValueError, match="no embedding"):
        embedding_of(Inputs((np.zeros((1, 2, 2), np.float32),)))
