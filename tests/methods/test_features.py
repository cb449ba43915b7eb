import sys
import types
from types import SimpleNamespace

import pytest
import torch
from base_params import BASE
from safetensors.torch import save_file
from torch import nn

from flawline.checks import FlawlineError
from flawline.methods.features import (
    FeatureExtractor,
    load_extractor,
    max_pool,
    resized,
    three_way_pool,
)
from flawline.methods.lite import VARIANTS
from flawline.storage.tensors import tensors_digest

FEATURES = BASE.cpcae.scorer.features


@pytest.fixture
def x():
    return torch.rand(3, 3, 64, 48, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def patches():
    return load_extractor(FEATURES.but(layers=(2, 3, 4)))


# --- what it gives out -----------------------------------------------------------------------------------------------
def test_the_layers_come_in_the_order_asked_for(patches, x):
    assert patches.widths == (40, 80, 112)
    assert [tuple(layer.shape) for layer in patches(x)] == [(3, 40, 8, 6), (3, 80, 4, 3), (3, 112, 4, 3)]
    assert patches.digest == VARIANTS["lite0"].sha256


def test_an_image_is_seen_the_same_alone_as_among_others(patches, x):
    for together, alone in zip(patches(x), patches(x[1:2]), strict=True):
        torch.testing.assert_close(together[1:2], alone, rtol=1e-4, atol=1e-4)


def test_grey_is_seen_as_three_equal_channels(patches, x):
    for grey, colour in zip(patches(x[:, :1]), patches(x[:, :1].expand(-1, 3, -1, -1)), strict=True):
        torch.testing.assert_close(grey, colour, rtol=0, atol=0)


def test_two_channels_are_refused(patches):
    with pytest.raises(FlawlineError, match="images must have 1 or 3 channels, got 2"):
        patches(torch.zeros(1, 2, 32, 32))


def test_input_is_scaled_to_minus_one_to_one():
    seen = []

    class Ears(nn.Module):
        def forward(self, x):
            seen.append(x)
            return [x]

    FeatureExtractor(Ears(), (3,), "", mean=(0.5,) * 3, std=(0.5,) * 3)(
        torch.tensor([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
    )
    assert seen[0].shape == (1, 3, 1, 3)
    assert seen[0][0, 0, 0].tolist() == [-1, 0, 1]


def test_the_shorter_side_is_brought_to_what_was_asked_for(x):
    assert resized(x, 24).shape == (3, 3, 32, 24)
    assert resized(x, 96).shape == (3, 3, 128, 96)
    assert resized(x, 48) is x
    assert 0 <= float(resized(x, 96).min()) <= float(resized(x, 96).max()) <= 1
    larger = load_extractor(FEATURES.but(layers=(3,), side=96))
    torch.testing.assert_close(larger(x)[0], load_extractor(FEATURES.but(layers=(3,)))(resized(x, 96))[0])


def test_no_weight_can_be_trained(patches, x):
    assert not any(layer.requires_grad for layer in patches(x.requires_grad_()))


def test_the_same_parameters_give_the_same_extractor():
    assert load_extractor(FEATURES.but(layers=(2, 3, 4))) is load_extractor(FEATURES.but(layers=(2, 3, 4)))


def test_the_digest_tells_weights_apart():
    one, other = nn.Linear(2, 2), nn.Linear(2, 2)
    assert tensors_digest(one.state_dict()) == tensors_digest(one.state_dict()) != tensors_digest(other.state_dict())


# --- pooling ---------------------------------------------------------------------------------------------------------
def test_pooling_by_hand():
    features = torch.zeros(1, 1, 4, 4)
    features[0, 0, 0, 0], features[0, 0, 3, 3] = 9.0, 7.0
    assert max_pool(features).tolist() == [[9.0]]
    # The largest; the mean of 16; local means of 3 x 3 (9 / 9), 3 x 1, 1 x 3 and 1 x 1 cells (7).
    assert three_way_pool(features).tolist() == [[9.0, 1.0, 7.0]]


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (2, 3)])
def test_small_maps_can_be_pooled(size):
    features = torch.ones(2, 4, *size)
    assert three_way_pool(features).tolist() == [[1.0] * 12] * 2


# --- what cannot be had ----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone": "lite"}, r"no backbone 'lite' \(did you mean 'lite[012]'\?\); wanted lite0, lite1, lite2, or"),
        ({"layers": (8,)}, r"features\.layers must be from 0 to 7 for lite0, got \[8\]"),
        ({"weights": "a.safetensors"}, r"features\.weights must be null for lite0, whose weights come as a package"),
    ],
)
def test_what_lite0_does_not_have_is_refused(params, message):
    with pytest.raises(FlawlineError, match=message):
        load_extractor(FEATURES.but(**params))


class Small(nn.Module):
    """In the place of a network of timm: two stages, given out from the shallowest on, whatever the order asked for."""

    def __init__(self, taken=None, classes=1000):
        super().__init__()
        self.one, self.two = nn.Conv2d(3, 4, 3, stride=2), nn.Conv2d(4, 5, 3, stride=2)
        if taken is None and classes:
            self.classifier = nn.Linear(5, classes)
        self.taken = taken
        self.feature_info = SimpleNamespace(info=[{"num_chs": 4}, {"num_chs": 5}])

    def forward(self, x):
        first = self.one(x)
        return [layer for k, layer in enumerate([first, self.two(first)]) if k in self.taken]


class LastAxis(Small):
    """Gives out (n, h, w, D), as some transformers do."""

    def forward(self, x):
        return [layer.permute(0, 2, 3, 1) for layer in super().forward(x)]


class SaysSo(LastAxis):
    """The same, and says that it does."""

    output_fmt = "NHWC"


class Tokens(Small):
    """Tokens of 8 x 8 pixels, and a position for each of 4 x 4: takes images of another size if it is told to."""

    def __init__(self, taken=None, classes=1000, *, dynamic_img_size=False, dynamic_img_pad=False):
        super().__init__(taken, classes)
        self.dynamic = dynamic_img_size and dynamic_img_pad
        self.one, self.two = nn.Conv2d(3, 6, 8, stride=8), nn.Linear(6, 6)
        self.positions = nn.Parameter(torch.randn(1, 6, 4, 4))
        self.feature_info = SimpleNamespace(info=[{"num_chs": 6}] * 2)

    def forward(self, x):
        if not self.dynamic and x.shape[2:] != (32, 32):
            raise AssertionError("Input height doesn't match model (32).")
        x = nn.functional.pad(x, (0, -x.shape[3] % 8, 0, -x.shape[2] % 8))
        grid = self.one(x)  # (n, 6, h, w)
        grid = grid + nn.functional.interpolate(self.positions, grid.shape[2:], mode="bilinear")
        tokens = grid.flatten(2).mT  # (n, h w, 6)
        return [layer for k, layer in enumerate([grid, self.two(tokens).mT.view_as(grid)]) if k in self.taken]


class OneSize(Small):
    def forward(self, x):
        if x.shape[2:] != (32, 32):
            raise AssertionError("Input height doesn't match model (32).")
        return super().forward(x)


NETWORKS = {"small": Small, "last_axis": LastAxis, "one_size": OneSize, "says_so": SaysSo, "tokens": Tokens}


@pytest.fixture
def timm(monkeypatch, tmp_path):
    """A package timm with a few networks, whose hub cannot be reached."""
    made = []

    def create_model(
        name, *, pretrained, features_only=False, out_indices=(0, 1), pretrained_cfg_overlay=None, num_classes=1000,
        **options,
    ):  # fmt: skip
        if pretrained and pretrained_cfg_overlay is None:
            raise OSError("no route to the hub")
        if name == "flat":
            raise RuntimeError("features_only not implemented")
        made.append(pretrained_cfg_overlay)
        torch.manual_seed(0)
        return NETWORKS[name](out_indices if features_only else None, num_classes, **options)

    package = types.ModuleType("timm")
    package.list_models = lambda: [*NETWORKS, "smaller", "flat"]
    package.create_model = create_model
    package.get_pretrained_cfg = lambda name: SimpleNamespace(mean=(0.4,) * 3, std=(0.2,) * 3)
    package.made = made
    monkeypatch.setitem(sys.modules, "timm", package)
    load_extractor.cache_clear()
    return package


@pytest.fixture
def weights(tmp_path, timm):
    path = tmp_path / "own.safetensors"
    save_file(timm.create_model("small", pretrained=False).state_dict(), path)
    return path


def test_weights_from_a_file_are_used_and_named(timm, weights):
    extractor = load_extractor(FEATURES.but(backbone="timm:small", weights=str(weights), layers=(0, 1)))
    assert extractor.widths == (4, 5)
    assert timm.made[-1] == {"file": str(weights)}
    assert len(extractor.digest) == 64


def test_layers_of_timm_come_in_the_order_asked_for(timm, weights, x):
    extractor = load_extractor(FEATURES.but(backbone="timm:small", weights=str(weights), layers=(1, 0, 1)))
    assert extractor.widths == (5, 4, 5) == tuple(layer.shape[1] for layer in extractor(x))


def test_the_classifier_of_a_file_does_not_matter(timm, tmp_path):
    path = tmp_path / "none.safetensors"
    save_file(timm.create_model("small", pretrained=False, num_classes=0).state_dict(), path)
    assert load_extractor(FEATURES.but(backbone="timm:small", weights=str(path), layers=(1,))).widths == (5,)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("last_axis", r"gives out \(1, 39, 47, 5\); wanted maps \(n, D, h, w\) with D of \[5\]"),
        ("one_size", r"cannot look at images of 160 x 192 pixels \(AssertionError: .*set features\.side to that"),
        ("flat", r"timm:flat does not give out its stages \(RuntimeError: features_only not"),
    ],
)
def test_networks_that_give_no_maps_are_refused(timm, weights, name, message):
    with pytest.raises(FlawlineError, match=message):
        load_extractor(FEATURES.but(backbone=f"timm:{name}", weights=str(weights), layers=(1,)))


def test_maps_with_their_features_last_are_turned_round(timm, weights, x):
    own, turned = (load_extractor(FEATURES.but(backbone=f"timm:{name}", weights=str(weights), layers=(1,)))
                   for name in ("small", "says_so"))  # fmt: skip
    assert (own(x)[0] == turned(x)[0]).all()


def test_tokens_are_a_map_of_images_of_any_size(timm, tmp_path, x):
    path = tmp_path / "tokens.safetensors"
    save_file(timm.create_model("tokens", pretrained=False, num_classes=0).state_dict(), path)
    extractor = load_extractor(FEATURES.but(backbone="timm:tokens", weights=str(path), layers=(0, 1), side=None))
    assert extractor.widths == (6, 6)
    assert [layer.shape for layer in extractor(torch.rand(1, 3, 40, 60))] == [(1, 6, 5, 8)] * 2


@pytest.mark.parametrize("name", ["test_vit", "test_convnext", "test_mambaout", "vit_tiny_patch16_224"])
def test_networks_of_timm_itself_give_out_maps_with_random_weights(name, tmp_path):
    timm = pytest.importorskip("timm", reason="timm is not installed", exc_type=Exception)
    path = tmp_path / "random.safetensors"
    save_file(timm.create_model(name, pretrained=False, num_classes=0).state_dict(), path)
    load_extractor.cache_clear()
    extractor = load_extractor(FEATURES.but(backbone=f"timm:{name}", weights=str(path), layers=(1, 3), side=None))
    first, second = extractor(torch.rand(1, 3, 150, 200))
    assert (first.shape[1], second.shape[1]) == extractor.widths
    assert first.isfinite().all()


def test_a_network_of_one_size_is_given_that(timm, weights, x):
    params = FEATURES.but(backbone="timm:one_size", weights=str(weights), layers=(1,), side=32)
    assert load_extractor(params)(x[:, :, :48])[0].shape == (3, 5, 7, 7)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"backbone": "timm:smal"}, r"timm has no network 'smal' \(did you mean 'small'\?\)"),
        ({"backbone": "timm:small", "layers": (2,)}, r"features\.layers must be from 0 to 1 for timm:small"),
        ({"backbone": "timm:small", "layers": (1,)}, r"cannot be loaded \(OSError: no route to the hub\).*give a file"),
        (
            {"backbone": "timm:small", "layers": (1,), "weights": "no.safetensors"},
            r"features\.weights: no file no\.saf",
        ),
    ],
)
def test_what_timm_does_not_have_is_refused(timm, params, message):
    with pytest.raises(FlawlineError, match=message):
        load_extractor(FEATURES.but(**params))


def test_weights_of_another_network_are_refused_with_what_does_not_fit(timm, tmp_path):
    save_file({"one.weight": torch.zeros(4, 1, 3, 3), "other": torch.zeros(1)}, tmp_path / "other.safetensors")
    params = FEATURES.but(backbone="timm:small", layers=(1,), weights=str(tmp_path / "other.safetensors"))
    with pytest.raises(FlawlineError, match=r"one\.bias is missing.*one\.weight is \(4, 1, 3, 3\), wanted \(4, 3,"):
        load_extractor(params)


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("a pickle was executed",))


def test_a_pickle_of_weights_is_refused_unread(timm, tmp_path):
    torch.save({"one.weight": Trap()}, tmp_path / "own.pth")
    params = FEATURES.but(backbone="timm:small", layers=(1,), weights=str(tmp_path / "own.pth"))
    with pytest.raises(FlawlineError, match=r"is not a safetensors file .* Pickles .* are not read.*save_file"):
        load_extractor(params)


def test_without_timm_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not there
    load_extractor.cache_clear()
    with pytest.raises(FlawlineError, match=r"timm is not installed .*pip install 'flawline\[timm\]'"):
        load_extractor(FEATURES.but(backbone="timm:small"))


def test_a_timm_that_does_not_import_is_explained(monkeypatch, tmp_path):
    (tmp_path / "timm").mkdir()
    (tmp_path / "timm" / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    load_extractor.cache_clear()
    with pytest.raises(FlawlineError, match=r"timm cannot be imported \(RuntimeError: operator torch.*build"):
        load_extractor(FEATURES.but(backbone="timm:small"))
