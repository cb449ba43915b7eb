import pytest

from flawline.checks import FlawlineError
from flawline.params import merged
from flawline.variations import Variation, variations_of


def test_without_anything_varied_there_is_one_run_as_it_is():
    (one,) = variations_of({})
    assert (one.label, one.variant, one.tree()) == ("", "", {})


def test_every_combination_has_a_label_and_a_folder_of_its_own():
    found = variations_of({"rdcae.model.l21_weight": [1.0, 1.6], "patch_set.size": [32, 64]})
    assert [each.label for each in found] == [
        "l21_weight 1.0, size 32", "l21_weight 1.0, size 64", "l21_weight 1.6, size 32", "l21_weight 1.6, size 64",
    ]  # fmt: skip
    assert found[1].variant == "rdcae.model.l21_weight=1.0-patch_set.size=64"
    assert found[1].tree() == {
        "variant": found[1].variant, "rdcae": {"model": {"l21_weight": 1.0}}, "patch_set": {"size": 64},
    }  # fmt: skip


def test_protocol_has_its_own_folder_already():
    assert Variation({"protocol": "leak_free"}).tree() == {"protocol": "leak_free"}


@pytest.mark.parametrize(
    ("varied", "said"),
    [
        ({"category": ["a", "b"]}, "cannot vary category by --vary; use --categories"),
        ({"cae.train.epochs": []}, r"--vary cae.train.epochs needs values: --vary cae.train.epochs=VALUE,VALUE"),
    ],
)
def test_what_cannot_be_varied_is_said(varied, said):
    with pytest.raises(FlawlineError, match=said):
        variations_of(varied)


def test_merging_keeps_what_the_other_does_not_change():
    assert merged({"a": {"b": 1, "c": 2}, "d": 3}, {"a": {"b": 4}}) == {"a": {"b": 4, "c": 2}, "d": 3}
