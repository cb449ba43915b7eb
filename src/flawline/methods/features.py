"""Feature extraction with a pretrained network: the outputs of selected stages, and pooling of these to one vector."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, interpolate

from flawline.checks import FlawlineError, check_shape, how_to_install, near_name
from flawline.methods.lite import VARIANTS, load_lite
from flawline.methods.tiles import Field, in_tiles, pays
from flawline.params import FeatureParams
from flawline.storage.tensors import tensors_digest
from flawline.training.engines import FREE_SIZE, CompiledNetwork, Engine, TorchNetwork, running
from flawline.training.runtime import TORCH_ON_CPU, Runtime

TIMM = "timm:"
# for timm's networks of tokens, whose size is fixed else
ANY_SIZE = {"dynamic_img_size": True, "dynamic_img_pad": True}
HALF = (0.5, 0.5, 0.5)  # mean and deviation by which the input of EfficientNet-Lite is scaled
TRIAL = (160, 192)  # height and width of the image on which a network of timm is tried
WINDOW = 3  # side and step of the local average in ``three_way_pool``, cells
INSTALL = f"{how_to_install('timm')}, where torchvision fits torch"


class FeatureExtractor:
    """A frozen network: images (n, C, H, W) in [0, 1], C of 1 or 3, to each layer's output (n, D, h, w) float32.

    ``side`` is the shorter side that images are brought to first, None: as they are. ``widths`` are the D of the
    layers, ``digest`` is the SHA-256 of the weights; ``field`` is what an output depends on, where that is known: then
    large images are looked at in tiles, so that memory does not grow with them."""

    def __init__(
        self,
        network: TorchNetwork | CompiledNetwork,
        widths: tuple[int, ...],
        digest: str,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        side: int | None = None,
        field: Field | None = None,
    ):
        self._network = network
        self.widths, self.digest, self.side, self._field = widths, digest, side, field
        self._mean, self._std = (torch.tensor(values)[None, :, None, None] for values in (mean, std))
        self.device = "cpu"

    def to(self, device: str) -> "FeatureExtractor":
        """Return this extractor, moved to ``device``."""
        if isinstance(self._network, TorchNetwork):
            self._network.to(device)
        self._mean, self._std, self.device = self._mean.to(device), self._std.to(device), device
        return self

    @torch.no_grad()
    def __call__(self, images: Tensor) -> list[Tensor]:
        check_shape("images", images, ("N", "C", "H", "W"))
        if images.shape[1] not in (1, 3):
            raise FlawlineError(f"images must have 1 or 3 channels, got {images.shape[1]}")
        placed = images.to(self.device).float()
        looked_at = placed if self.side is None else resized(placed, self.side)  # (n, C, H, W)
        scaled = (looked_at.expand(-1, 3, -1, -1) - self._mean).div_(self._std)  # (n, 3, H, W)
        if self._field is not None and pays(scaled.shape[2:], self._field):
            return [layer.float() for layer in in_tiles(self._network, scaled, self._field)]
        return [layer.float() for layer in self._network(scaled)]


@cache
def load_extractor(params: FeatureParams, runtime: Runtime = TORCH_ON_CPU) -> FeatureExtractor:
    """Return the extractor of ``params`` in a ``runtime``; its weights are read once for each.

    Raise FlawlineError if there is no such network or layer, or its weights cannot be loaded, do not fit, or are in a
    format that can run code: random weights never take their place."""
    if params.backbone in VARIANTS:
        return _lite(params, runtime.engine).to(runtime.device)
    if params.backbone.startswith(TIMM):
        return _timm(params, runtime.engine).to(runtime.device)
    raise FlawlineError(
        f"no backbone '{params.backbone}'{near_name(params.backbone, VARIANTS)}; wanted {', '.join(VARIANTS)}, or "
        f"{TIMM}NAME for a network of the package timm."
    )


def network_digest(features: FeatureParams) -> str:
    """Return the SHA-256 of the weights of the network that ``features`` name."""
    return load_extractor(features).digest


def terms_of(features: FeatureParams) -> str:
    """Return whose weights the network of ``features`` has, and on what terms, as far as they are known."""
    if features.backbone not in VARIANTS:
        return f"it looks through {features.backbone}: its weights have a licence of their own, which their hub names"
    return (
        f"it looks through {features.backbone}, an EfficientNet-Lite that learned on ImageNet, of the package "
        f"{VARIANTS[features.backbone].package.replace('_', '-')}: the network's code is Apache-2.0, the package names "
        f"no licence for the weights"
    )


def check_network(features: FeatureParams, digest: str) -> None:
    """Raise FlawlineError if the network of ``features`` has other weights here than those of ``digest``."""
    found = network_digest(features)
    if found != digest:
        raise FlawlineError(
            f"the detector learned what {features.backbone} of weights {digest[:12]} sees, here its weights are "
            f"{found[:12]}: scores would not mean the same. Install the package, or give the file, that it was made "
            f"with; or make the detector again."
        )


def _lite(params: FeatureParams, engine: Engine) -> FeatureExtractor:
    if params.weights is not None:
        raise FlawlineError(
            f"features.weights must be null for {params.backbone}, whose weights come as a package; got "
            f"{params.weights}"
        )
    widths = VARIANTS[params.backbone].widths
    check_layers(params, len(widths))
    network, digest = load_lite(params.backbone, params.layers, params.padding)
    return FeatureExtractor(
        running(network, engine, precision=params.precision, free=FREE_SIZE),
        tuple(widths[i] for i in params.layers), digest, mean=HALF, std=HALF, side=params.side,
        field=VARIANTS[params.backbone].field(params.layers),
    )  # fmt: skip


def _timm(params: FeatureParams, engine: Engine) -> FeatureExtractor:
    timm, name = _import_timm(), params.backbone.removeprefix(TIMM)
    known = timm.list_models()
    if name not in known:
        raise FlawlineError(f"timm has no network '{name}'{near_name(name, known)}")
    widths, options = _stages(timm, name)
    check_layers(params, len(widths))
    source: dict[str, Any] = {}
    if params.weights is not None:
        tensors = read_weights(Path(params.weights))
        plain = timm.create_model(name, pretrained=False, num_classes=0, **options)
        check_fits(tensors, plain.state_dict(), params)
        source = {"pretrained_cfg_overlay": {"file": params.weights}}
    taken = tuple(sorted(set(params.layers)))
    try:
        network = timm.create_model(
            name, pretrained=True, features_only=True, out_indices=taken, **options, **source
        )  # fmt: skip
    except Exception as error:  # what a hub raises is its own
        raise FlawlineError(
            f"the weights of timm:{name} cannot be loaded ({type(error).__name__}: {error}). Connect to the hub once, "
            f"or give a file of them: features.weights: FILE.safetensors."
        ) from None
    config = timm.get_pretrained_cfg(name)
    extractor = FeatureExtractor(
        running(InOrder(network, params.layers), engine, precision=params.precision),
        tuple(widths[layer] for layer in params.layers),
        tensors_digest(network.state_dict()),
        mean=config.mean, std=config.std, side=params.side,
    )  # fmt: skip
    check_maps(extractor, params)
    return extractor


def _stages(timm: Any, name: str, options: Mapping[str, bool] = ANY_SIZE) -> tuple[list[int], Mapping[str, bool]]:
    """Return the width of each stage, or of each block of a network of tokens, whose grid is its map; and with what it
    takes images of any size, where it has to be asked for that."""
    try:
        network = timm.create_model(name, pretrained=False, features_only=True, **options)
        return [stage["num_chs"] for stage in network.feature_info.info], options
    except Exception as error:  # each network has its own way to say so
        if options and isinstance(error, TypeError):  # a convolutional network takes any size, and knows no options
            return _stages(timm, name, {})
        raise FlawlineError(
            f"timm:{name} does not give out its stages ({type(error).__name__}: {error}). Take another network."
        ) from None


class InOrder(nn.Module):
    """A network that gives out each of ``layers`` once, the shallowest first, made to give them out as they are asked
    for, as maps (n, D, h, w) where it says that it gives out (n, h, w, D)."""

    def __init__(self, network: nn.Module, layers: tuple[int, ...]):
        super().__init__()
        self.network, self.layers = network, layers

    def forward(self, x: Tensor) -> list[Tensor]:
        found = dict(zip(sorted(set(self.layers)), self.network(x), strict=True))
        last = str(getattr(self.network, "output_fmt", "")).endswith("NHWC")
        return [found[layer].permute(0, 3, 1, 2) if last else found[layer] for layer in self.layers]


def check_maps(extractor: FeatureExtractor, params: FeatureParams) -> None:
    """Raise FlawlineError unless the network takes images of any size, or of the side that is asked for, and gives out
    maps (n, D, h, w): a transformer may do neither."""
    height, width = TRIAL if params.side is None else (params.side, params.side)
    try:
        seen = extractor(torch.zeros(1, 3, height, width))
    except Exception as error:  # each network has its own way to say so
        raise FlawlineError(
            f"{params.backbone} cannot look at images of {height} x {width} pixels ({type(error).__name__}: {error}). "
            f"If it takes one size only, set features.side to that and give square images."
        ) from None
    if any(layer.ndim != 4 or layer.shape[1] != wide for layer, wide in zip(seen, extractor.widths, strict=True)):
        shapes = ", ".join(str(tuple(layer.shape)) for layer in seen)
        raise FlawlineError(
            f"{params.backbone} gives out {shapes}; wanted maps (n, D, h, w) with D of {list(extractor.widths)}. Take "
            f"a convolutional network."
        )


def _import_timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError as error:
        raise FlawlineError(f"timm is not installed ({error}); {INSTALL}, or take the backbone lite0.") from None
    except Exception as error:  # torchvision beside another torch than its own raises what it likes
        raise FlawlineError(
            f"timm cannot be imported ({type(error).__name__}: {error}). Usually its torchvision belongs to another "
            f"build of torch; {INSTALL}, or take the backbone lite0."
        ) from None
    return timm


def check_layers(params: FeatureParams, count: int) -> None:
    """Raise FlawlineError if a layer is asked for that the network does not have."""
    if max(params.layers) >= count:
        raise FlawlineError(
            f"features.layers must be from 0 to {count - 1} for {params.backbone}, got {list(params.layers)}"
        )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a safetensors file; raise FlawlineError if it is missing, or anything else: a pickle can
    run code."""
    if not path.is_file():
        raise FlawlineError(f"features.weights: no file {path}")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise FlawlineError(
            f"features.weights: {path} is not a safetensors file ({error}). Pickles (.pth, .pt, .bin) are not read, "
            f"since they can run code; convert one that you trust: safetensors.torch.save_file(torch.load(FILE, "
            f"weights_only=True), 'weights.safetensors')."
        ) from None


def check_fits(tensors: dict[str, Tensor], wanted: dict[str, Tensor], params: FeatureParams) -> None:
    """Raise FlawlineError unless ``tensors`` have the names and shapes of ``wanted``."""
    missing = [name for name in wanted if name not in tensors]
    other = [f"{name} is {tuple(tensors[name].shape)}, wanted {tuple(value.shape)}"
             for name, value in wanted.items() if name in tensors and tensors[name].shape != value.shape]  # fmt: skip
    if missing or other:
        told = "; ".join([*(f"{name} is missing" for name in missing[:3]), *other[:3]])
        raise FlawlineError(
            f"features.weights: {params.weights} does not fit {params.backbone}: {told} ({len(missing)} missing, "
            f"{len(other)} of another shape, of {len(wanted)}). Wanted the weights of that very network."
        )


def resized(images: Tensor, side: int) -> Tensor:
    """Return ``images`` (n, C, H, W) in [0, 1] with a shorter side of ``side`` pixels, aspect kept: bicubic,
    antialiased, align_corners=False."""
    height, width = images.shape[2:]
    shorter = min(height, width)
    if shorter == side:
        return images
    size = (round(height * side / shorter), round(width * side / shorter))
    return interpolate(images, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)


def max_pool(features: Tensor) -> Tensor:
    """Return the largest value of each feature (n, D) of ``features`` (n, D, h, w): global max pooling."""
    return features.amax(dim=(2, 3))


def three_way_pool(features: Tensor) -> Tensor:
    """Return (n, 3 D) of ``features`` (n, D, h, w): the paper's pooling, three times as long as the usual one.

    Source: Saeedi & Giusti 2022, Fig. 3, which our copy does not show; the text speaks of parallel and cascaded
    poolings that are concatenated. Our reading: in parallel the global maximum and the global average, and in cascade
    the global maximum of local averages over 3 x 3 cells."""
    window = (min(WINDOW, features.shape[2]), min(WINDOW, features.shape[3]))
    local = avg_pool2d(features, window, stride=window, ceil_mode=True, count_include_pad=False)
    return torch.cat([max_pool(features), features.mean(dim=(2, 3)), max_pool(local)], dim=1)
