"""Every method is asked what it requires of the images before anything long starts."""

from dataclasses import replace

import pytest
from base_params import TREE as BASE

from flawline.checks import FlawlineError
from flawline.methods import requirements
from flawline.methods.registry import METHODS
from flawline.methods.requirements import check_method, check_methods, odd_ones, why_not
from flawline.params import Params, PixelScorerParams

SMALLER = {name: {"patches": BASE[name]["patches"] | {"size": 32, "stride": 16}} for name in ("cae", "vae", "aae")}
FRAMED = {"ae", "ssim_ae", "dae", "stn_ae", "stn_ae_random", "stn_ae_refined"}
FRAMES = {"side": 64, "size": 32, "stride": 16}
SMALLER |= {name: {"patches": BASE[name]["patches"] | FRAMES} for name in FRAMED}
SMALLER["cpcae"] = {"patches": BASE["cpcae"]["patches"] | {"side": 64, "size": 32, "stride": 16}}
TREE = BASE | {name: BASE[name] | parts for name, parts in SMALLER.items()}
TREE["deep_feature_knn"] = {"scorer": BASE["deep_feature_knn"]["scorer"] | {"k": 5}}  # as cpcae
ALIKE = [(3, 64, 80)] * 4
SEVERAL = [(3, 64, 80), (3, 96, 80)]
SMALL = [(3, 24, 80)] * 4
SEES_DCAE = {"dcae", "oc_svm_lrep", "oc_svm_aere", "isolation_forest_lrep", "isolation_forest_aere"}
PATCHWISE = {"cae", "vae", "aae", "pca", "texture", "deep_svdd", "rdcae", *SEES_DCAE}
ANY_SIZE = (
    PATCHWISE | FRAMED | {"deep_feature_knn", "mean_brightness", "patch_memory_free", "patch_gaussian_free", "auto"}
)
LEARNS_NOTHING = {
    "cae",
    "vae",
    "aae",
    "pca",
    "deep_svdd",
    "dcae",
    "rdcae",
    "ae_l2",
    *FRAMED,
}  # beyond its reconstructor
SEES_CPCAE = {"cpcae", "ae_l2", "cpcae_fused", "patch_memory_map", "patch_memory_fused", "patch_gaussian_map",
              "patch_gaussian_fused"}  # fmt: skip
NEEDS_TWO = {"patch_gaussian", "patch_gaussian_map", "patch_memory_fused", "patch_memory_free", "patch_gaussian_free",
             "texture"}  # fmt: skip
POOLED = {"cpcae", "deep_feature_knn", "cpcae_fused", "mean_image"}


def able(shapes, count):
    return {name for name, method in METHODS.items() if why_not(method, TREE, shapes, count) is None}


@pytest.mark.parametrize("name", METHODS)
def test_enough_images_of_one_size_suit_every_method(name):
    check_method(METHODS[name], TREE, ALIKE, 10)
    assert why_not(METHODS[name], TREE, ALIKE, 10) is None


@pytest.mark.parametrize("name", METHODS)
def test_several_sizes_suit_what_sees_patches_or_one_vector_of_the_photograph(name):
    reason = why_not(METHODS[name], TREE, SEVERAL, 10)
    if name in ANY_SIZE:
        assert reason is None
    else:
        assert "position by position, so all must have one size; there are 2: 64 x 80, 96 x 80" in reason
        assert reason.startswith(("cpcae" if name in ("cpcae", "ae_l2", "cpcae_fused") else name) + " compares")


@pytest.mark.parametrize("name", METHODS)
def test_images_smaller_than_a_patch_suit_what_cuts_none(name):
    reason = why_not(METHODS[name], TREE, SMALL, 10)
    if name in PATCHWISE:
        assert "patches.size = 32 is larger than 4 of 4 images (first: 24 x 80)" in reason
    elif name in FRAMED:
        assert "patches.size = 32 is larger than 4 of 4 images once downsized to patches.side = 64 pixels" in reason
    elif name in SEES_CPCAE:
        assert "patches.size = 32 is larger than the images once downsized to patches.side = 64" in reason
    else:
        assert reason is None


@pytest.mark.parametrize(
    ("count", "unable"),
    [
        (0, METHODS.keys() - LEARNS_NOTHING),
        (1, NEEDS_TWO | POOLED | {"patch_gaussian_fused"}),
        (2, {"patch_gaussian_fused"} | POOLED),
        (4, POOLED),  # k is 5
        (5, set()),
    ],
)
@pytest.mark.parametrize("shapes", [ALIKE, None])
def test_too_few_images_are_told_by_each_method_that_learns(count, unable, shapes):
    assert METHODS.keys() - able(shapes, count) == unable


@pytest.mark.parametrize("shapes", [ALIKE, None])
def test_too_few_images_say_how_many_are_needed(shapes):
    assert "patch_gaussian needs at least 2 normal images to learn from, got 1" in why_not(
        METHODS["patch_gaussian"], TREE, shapes, 1
    )
    assert "scorer.k = 5 neighbours are asked for, but there are 3" in why_not(METHODS["cpcae"], TREE, shapes, 3)
    fewer = {**TREE, "cpcae": {**TREE["cpcae"], "scorer": {**TREE["cpcae"]["scorer"], "k": 3}}}
    assert why_not(METHODS["cpcae"], fewer, shapes, 3) is None


@pytest.mark.parametrize("name", ["patch_memory_free", "patch_gaussian_free"])
def test_figures_of_each_place_need_one_size(name):
    by_place = TREE | {name: {"scorer": TREE[name]["scorer"] | {"normalise": "place"}}}
    assert why_not(METHODS[name], by_place, ALIKE, 10) is None
    assert why_not(METHODS[name], by_place, SEVERAL, 10).startswith(
        f"{name} with scorer.normalise = place compares images position by position, so all must have one size; there "
        "are 2: 64 x 80, 96 x 80."
    )
    assert odd_ones(METHODS[name], by_place, ODD, 10) == [4, 5]


def test_sizes_that_are_not_known_yet_are_not_asked_about():
    check_method(METHODS["patch_memory"], TREE, None, 10)
    check_method(METHODS["cae"], TREE, None, 0)


def test_the_reconstructors_own_branch_tells_of_the_patch():
    tree = {**TREE, "cae": {**TREE["cae"], "patches": {**TREE["cae"]["patches"], "size": 16}}}
    assert why_not(METHODS["cae"], tree, SMALL, 10) is None
    assert why_not(METHODS["vae"], tree, SMALL, 10) is not None


def test_the_first_method_that_cannot_is_told_with_all_that_can():
    check_methods(["cae", "patch_memory"], TREE, ALIKE, 10)
    with pytest.raises(FlawlineError) as error:
        check_methods(["cae", "patch_memory", "nearest_neighbour"], TREE, SEVERAL, 10)
    reason, advice = str(error.value).splitlines()
    assert reason.startswith("patch_memory compares images position by position")
    able_ones = ", ".join(name for name in METHODS if name in ANY_SIZE)
    assert advice == (
        f"These methods can serve these images: {able_ones}. Take one: make run ... METHOD=auto, or "
        "kedro run --pipelines=auto."
    )
    assert able(SEVERAL, 10) == ANY_SIZE


ODD = [*ALIKE, (3, 24, 80), (3, 96, 80)]
NAMES = [f"good/{k}.png" for k in range(len(ODD))]


def test_the_few_images_that_are_too_small_are_named_with_the_parameter_that_leaves_them_out():
    with pytest.raises(FlawlineError) as error:
        check_methods(["cae"], TREE, ODD, 10, NAMES)
    assert str(error.value).splitlines()[1] == (
        "Of 6 images these 1 do not fit: good/4.png (24 x 80). Remove them, or leave them out: --params "
        "ingestion.least_side=64."
    )


def test_the_few_images_of_another_size_are_named_where_a_method_takes_one_only():
    with pytest.raises(FlawlineError) as error:
        check_methods(["patch_memory"], TREE, ODD, 10, NAMES)
    assert str(error.value).splitlines()[1] == (
        "Of 6 images these 2 do not fit: good/4.png (24 x 80), good/5.png (96 x 80). Remove them, or leave them out: "
        "--params ingestion.sizes=usual."
    )


@pytest.mark.parametrize(("shapes", "count"), [(ALIKE + 4 * [(3, 24, 80)], 10), (SMALL, 10)])
def test_images_are_not_named_where_most_do_not_fit(shapes, count):
    assert odd_ones(METHODS["cae"], TREE, shapes, count) == []
    with pytest.raises(FlawlineError, match=r"images \(first: 24 x 80\).*\nThese methods can"):
        check_methods(["cae"], TREE, shapes, count, [str(k) for k in range(len(shapes))])


def test_images_are_not_named_where_leaving_them_out_does_not_help():
    assert odd_ones(METHODS["cpcae"], TREE, ODD, 3) == []  # too few to learn from


def test_where_no_method_can_that_is_said(monkeypatch):
    some = {"patch_memory": METHODS["patch_memory"], "cae": METHODS["cae"]}
    monkeypatch.setattr(requirements, "METHODS", some)
    with pytest.raises(FlawlineError, match=r"patches.size = 32 .*\nNo method can\.$"):
        check_methods(["cae"], TREE, [(3, 24, 80), (3, 25, 80)], 10)


def test_a_branch_that_conf_lacks_has_its_defaults():
    own = replace(METHODS["ae_l2"], name="own", params=WithDefaults)
    assert why_not(own, TREE, ALIKE, 1) is None


class WithDefaults(Params):
    scorer: PixelScorerParams = PixelScorerParams(smoothing=2.0)
