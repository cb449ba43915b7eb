import pytest

from flawline.places import frame, images_folder


@pytest.mark.parametrize(
    ("protocol", "variant", "folder"),
    [("images", "", "bolt"), ("leak_free", "", "bolt/leak_free"), ("images", "x=1", "bolt/images-x=1"),
     ("leak_free", "x=1", "bolt/leak_free-x=1")],
)  # fmt: skip
def test_each_protocol_and_variant_has_a_folder_of_its_own(protocol, variant, folder):
    assert frame("bolt", protocol, variant) == folder


def test_photographs_are_the_same_for_all_seeds_and_patches_are_not():
    assert images_folder("bolt", "images", 3) == "bolt"
    assert images_folder("bolt/leak_free", "leak_free", 3) == "bolt/leak_free/seed-3"
