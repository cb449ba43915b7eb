"""Engines: the same network, run by PyTorch and by OpenVINO, on images of any size and from several threads."""

import logging
import sys
from importlib.util import find_spec

import pytest
import torch
from base_params import BASE
from torch import nn

from flawline.checks import FlawlineError
from flawline.methods.features import load_extractor
from flawline.methods.registry import RECONSTRUCTORS, resolve
from flawline.params import ComputeParams
from flawline.training import engines, runtime
from flawline.training.compute import pick_runtime, side_by_side
from flawline.training.engines import FREE_SIZE, CompiledNetwork, compiled, running
from flawline.training.runtime import TORCH_ON_CPU, Runtime, check_engine

needs_openvino = pytest.mark.skipif(find_spec("openvino") is None, reason="OpenVINO is not installed")
OPENVINO = Runtime("cpu", "openvino")
FEATURES = BASE.patch_memory_free.scorer.features  # of images as they are
SIZES = [(1, 3, 64, 64), (2, 3, 64, 64), (1, 1, 70, 45), (1, 3, 33, 97)]


@pytest.fixture
def images():
    return torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@needs_openvino
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("features", [FEATURES, FEATURES.but(padding="replicate")], ids=["zeros", "replicate"])
def test_openvino_gives_what_torch_gives_for_images_of_any_size(features, shape):
    x = torch.rand(shape, generator=torch.Generator().manual_seed(0))
    load_extractor(features, OPENVINO)(torch.rand(SIZES[0]))  # so that the others are not the first shape
    for ours, theirs in zip(load_extractor(features, OPENVINO)(x), load_extractor(features)(x), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


@needs_openvino
def test_threads_that_call_at_once_get_their_own_results():
    extractor = load_extractor(FEATURES, OPENVINO)
    given = [torch.full((1, 3, 64, 64), k / 20) for k in range(20)]
    alone = [extractor(x)[-1] for x in given]
    for one, other in zip(side_by_side(lambda x: extractor(x)[-1], given, workers=4), alone, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0)


@needs_openvino
def test_a_network_is_compiled_once_for_any_size_or_for_each_shape():
    plain = load_extractor(FEATURES)._network
    network = CompiledNetwork(plain, precision="float32", free=FREE_SIZE)
    for height in (64, 80, 96):
        network(torch.zeros(1, 3, height, 64))
    assert list(network._compiled) == [(-1, 3, -1, -1)]
    fixed = CompiledNetwork(plain, precision="float32", free=())
    heights = [64 + 16 * k for k in range(engines.SHAPES + 1)]
    for height in (*heights, heights[0]):
        x = torch.rand(1, 3, height, 64)
        torch.testing.assert_close(fixed(x)[0], plain(x)[0], rtol=1e-4, atol=1e-4)
    assert [shape[2] for shape in fixed._compiled] == [*heights[2:], heights[0]]


@needs_openvino
def test_what_comes_out_does_not_depend_on_what_was_looked_at_before():
    first, second = (CompiledNetwork(load_extractor(FEATURES)._network, precision="float32", free=FREE_SIZE)
                     for _ in range(2))  # fmt: skip
    x = torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    alone = first(x)
    second(torch.rand(1, 3, 96, 48))
    for ours, theirs in zip(second(x), alone, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


@needs_openvino
@pytest.mark.parametrize("name", [name for name, row in RECONSTRUCTORS.items() if row.network and row.network.compiled])
def test_a_model_of_patches_is_compiled_once_for_any_number_of_them(name):
    row, branch = RECONSTRUCTORS[name], getattr(BASE, name)
    size, channels = branch.patches.size, 2 if name == "cpcae" else 1  # and the position
    model = resolve(row.network.build)(branch.model, channels=1, size=size).eval().requires_grad_(False)
    ours = compiled(model, "openvino")
    for count in (4, 7, 1):
        x = torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(count))
        torch.testing.assert_close(ours(x), model(x), rtol=1e-4, atol=1e-5)
    assert len(ours._run._compiled) == 1
    assert compiled(model, "torch") is model


@needs_openvino
def test_what_a_compiled_model_is_asked_for_beside_its_output_is_its_models():
    model = resolve(RECONSTRUCTORS["vae"].network.build)(BASE.vae.model, channels=1, size=64).eval()
    x = torch.rand(2, 1, 64, 64)
    torch.testing.assert_close(compiled(model, "openvino").encode(x), model.encode(x))
    with pytest.raises(AttributeError, match="flavour"):
        _ = compiled(model, "openvino").flavour


@needs_openvino
def test_what_cannot_be_compiled_torch_runs_and_the_log_says_so_once(images, caplog, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no such operation\nand much more")

    network = nn.Sequential(nn.Conv2d(3, 4, 3))
    network.forward = lambda x: [nn.Sequential.forward(network, x)]
    found = running(network, "openvino")
    monkeypatch.setattr(engines._openvino(), "convert_model", refuse)
    with caplog.at_level(logging.WARNING):
        first, again = found(images)[0], found(images)[0]
    torch.testing.assert_close(first, network(images)[0])
    torch.testing.assert_close(first, again)
    assert [each.getMessage() for each in caplog.records] == [
        "OpenVINO cannot compile the network (RuntimeError: no such operation): PyTorch runs it."
    ]


@needs_openvino
def test_openvino_does_not_call_home():
    engines._openvino()
    loaded = [name for name in sys.modules if name.split(".")[0] == "openvino_telemetry" and sys.modules[name]]
    assert loaded == []


@pytest.mark.parametrize("engine", ["torch", pytest.param("openvino", marks=needs_openvino)])
def test_in_bfloat16_features_are_near_those_in_float32(images, engine):
    if engine == "openvino" and "BF16" not in engines._core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor has no bfloat16")
    lower = load_extractor(FEATURES.but(precision="bfloat16"), Runtime("cpu", engine))
    for near, exact in zip(lower(images), load_extractor(FEATURES)(images), strict=True):
        assert near.dtype == torch.float32
        assert 0 < (near - exact).abs().max() < 0.2 * exact.abs().max()


@needs_openvino
def test_openvino_does_not_change_the_precision_in_silence(monkeypatch):
    class Old:
        def get_property(self, *_):
            return ["FP32"]

    monkeypatch.setattr(engines, "_core", Old)
    with pytest.raises(FlawlineError, match="bfloat16, which this processor does not have"):
        running(nn.Identity(), "openvino", precision="bfloat16")


def test_openvino_is_taken_where_it_is_installed_and_the_cpu_computes(monkeypatch):
    monkeypatch.setattr("flawline.training.compute.is_installed", lambda engine: True)
    assert pick_runtime(ComputeParams(device="cpu")) == OPENVINO
    monkeypatch.setattr("flawline.training.compute.is_installed", lambda engine: False)
    assert pick_runtime(ComputeParams(device="cpu")) == TORCH_ON_CPU
    assert pick_runtime(ComputeParams(device="cpu", engine="torch")) == TORCH_ON_CPU


def test_an_engine_that_is_asked_for_and_not_there_is_told_with_how_to_get_it(monkeypatch):
    monkeypatch.setattr(runtime, "is_installed", lambda engine: False)
    with pytest.raises(FlawlineError, match=r"engine is openvino, which is not installed; pip install 'flawline\[open"):
        pick_runtime(ComputeParams(device="cpu", engine="openvino"))


def test_openvino_on_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(runtime, "is_installed", lambda engine: True)
    with pytest.raises(FlawlineError, match="runs on the CPU, not on cuda"):
        check_engine("openvino", "cuda")


def test_an_engine_is_called_by_name_version_and_device():
    assert str(TORCH_ON_CPU) == f"torch {torch.__version__} on cpu"
