"""How the localiser of a spatial transformer learns to turn patches to one orientation.

Angles are those by which a frame is turned, in degrees, counter-clockwise as the eye sees it. Source: Rádli & Czúni
2022, section 6 (Eqs 6 and 7); Jaderberg et al. 2015. The network is ``flawline.vision.localiser``."""

import logging
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, interpolate, max_pool2d

from flawline.checks import FlawlineError
from flawline.methods.frames import COUNTS, middle_of, split_counts
from flawline.methods.maps import device_of
from flawline.params import LocaliserParams
from flawline.training.loop import batches_of
from flawline.training.objective import Material, Phase, Stage, Tensors
from flawline.training.windows import Windows
from flawline.vision.kernels import gaussian, separable
from flawline.vision.orientation import HALF_TURN, angle_spread, orientations_of
from flawline.vision.turning import frame_side, turn

VIEW = 64  # side of the picture whose gradients are taken, pixels: section 6
SOBEL = ((-1.0, 0.0, 1.0), (-2.0, 0.0, 2.0), (-1.0, 0.0, 1.0))  # G_x, Eq. 6
BATCH = 64  # patches measured together
MANY = 0.5  # share of ambiguous patches from which it is said

logger = logging.getLogger(__name__)


# --- the closed form -------------------------------------------------------------------------------------------------
def levelling_angles(x: Tensor, blur: float) -> tuple[Tensor, Tensor]:
    """Return by how many degrees (n,) frames ``x`` (n, C + 1, F, F) are to be turned so that their lines are level, and
    how coherent these are (n,). A blank frame stays as it is: 0, with coherence 0."""
    channels, counts = split_counts(x)
    side = int(counts[0, 0, counts.shape[-2] // 2].sum())  # of the square that counts
    grey = middle_of(channels.mean(dim=1, keepdim=True), side)[:, 0]  # (n, side, side)
    angles, coherence = orientations_of(grey, blur)
    levelling = (HALF_TURN / 2 - angles) % HALF_TURN - HALF_TURN / 2  # within a quarter turn
    return levelling.nan_to_num(0.0), coherence


# --- Eq. 7 -----------------------------------------------------------------------------------------------------------
def gradient_energy(x: Tensor, degrees: Tensor, *, view: str, blur: float) -> Tensor:
    """Return the mean size (n,) of the gradient of frames ``x`` (n, C + 1, F, F) once turned by ``degrees`` (n,).

    It is differentiated from left to right, by the Sobel filter of Eq. 6. Lines from left to right do not change that
    way, so it is lowest where lines are level, at every half turn; of a pattern with several families of lines it has
    several minima (Fig. 7). The view of 64 x 64 pixels is the whole frame resized (``resized``, the paper's), in which
    a fine weave is lost, or its middle (``crop``).

    Departs from Eq. 7 as printed, which masks the picture and then filters it, and so measures the mask's edge: white
    noise costs 17 to 29 % more at 45 degrees. Here the picture is smoothed and filtered, and then the mean is taken
    where the window of both filters lies inside what counts. It is turned by bicubic interpolation: bilinear smooths,
    and that alone makes oblique angles look 14 to 21 % better."""
    if view == "crop":
        x = middle_of(x, min(x.shape[-1], frame_side(VIEW)))
    channels, counts = split_counts(x)
    picture = _viewed(turn(channels.mean(dim=1, keepdim=True), degrees, "bicubic"), view)
    inside = _viewed(turn(counts, degrees.detach(), "bilinear"), view) > COUNTS
    kernel = gaussian(blur, like=x)
    across = conv2d(separable(picture, kernel, kernel), x.new_tensor(SOBEL)[None, None], padding=1).abs()
    far = len(kernel) // 2 + 1  # pixels that a value of both filters depends on
    within = _eroded(inside.to(x), far)
    return (across * within).sum(dim=(1, 2, 3)) / within.sum(dim=(1, 2, 3)).clamp_min(1)


def _viewed(planes: Tensor, view: str) -> Tensor:
    """Return planes (n, 1, F, F) as 64 x 64 pixels, or fewer where there are no more."""
    if view == "crop":
        return middle_of(planes, min(planes.shape[-1], VIEW))
    if planes.shape[-1] <= VIEW:
        return planes
    return interpolate(planes, size=VIEW, mode="bilinear", align_corners=False, antialias=True)


def _eroded(inside: Tensor, far: int) -> Tensor:
    """Return 1 where all pixels of ``inside`` (n, 1, H, W) up to ``far`` away are 1, and none is beyond the rim."""
    outside = torch.nn.functional.pad(1 - inside, (far, far, far, far), value=1.0)
    return 1 - max_pool2d(outside, 2 * far + 1, stride=1)


def swept_angles(x: Tensor, *, count: int, view: str, blur: float) -> Tensor:
    """Return which of ``count`` angles (n,), evenly over half a turn, each frame has the lowest `gradient_energy` at:
    the best of its several minima, but for what lies between two of the angles. Bidart & Wong 2019 start so."""
    tried = torch.arange(count, dtype=x.dtype, device=x.device) * (HALF_TURN / count)
    energies = [gradient_energy(x, angle.expand(len(x)), view=view, blur=blur) for angle in tried]
    return tried[torch.stack(energies).argmin(dim=0)]


# --- losses ----------------------------------------------------------------------------------------------------------
def gradient_loss(model: Any, x: Tensor, generator: torch.Generator | None = None, *, view: str, blur: float) -> Tensor:
    """Return the mean `gradient_energy` of frames ``x`` turned as the model says. Eq. 7."""
    return gradient_energy(x, model.degrees(x), view=view, blur=blur).mean()


def sweep_loss(
    model: Any, x: Tensor, generator: torch.Generator | None = None, *, count: int, view: str, blur: float
) -> Tensor:
    """Return how far the model's angles are from the best of a sweep: see `taught_loss`."""
    with torch.no_grad():
        wanted = swept_angles(x, count=count, view=view, blur=blur)
    return taught_loss(model.degrees(x), wanted, torch.ones_like(wanted))


def structure_tensor_loss(
    model: Any, x: Tensor, generator: torch.Generator | None = None, *, blur: float, least_coherence: float
) -> Tensor:
    """Return how far the model's angles are from those that level the lines by the structure tensor. A patch weighs as
    much as its angle is coherent; one of less than ``least_coherence`` is ambiguous, and teaches nothing."""
    with torch.no_grad():
        wanted, coherence = levelling_angles(x, blur)
        weights = torch.where(coherence >= least_coherence, coherence, 0.0)
    return taught_loss(model.degrees(x), wanted, weights)


def taught_loss(degrees: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of 1 - cos(2 (angle - wanted)), angles (n,) in degrees: 0 where they are the same up to
    half a turn, 2 where they are a quarter turn apart; 0 where nothing weighs anything."""
    apart = 1 - torch.cos(2 * torch.deg2rad(degrees - wanted))
    return (apart * weights).sum() / weights.sum().clamp_min(1e-6)


# --- stages ----------------------------------------------------------------------------------------------------------
SERIES = ("angle_spread", "angle_spread_before", "ambiguous_share")


def localiser_stages(params: LocaliserParams) -> tuple[Stage, ...]:
    """Return how the localiser is trained before the autoencoder: first towards the best angle of a sweep, if asked
    for, then by its teacher."""
    seen: dict[str, Any] = {"view": params.gradient_view, "blur": params.blur}
    sweep = partial(sweep_loss, count=params.sweep, **seen)
    taught = partial(structure_tensor_loss, blur=params.blur, least_coherence=params.least_coherence)
    teach = taught if params.teacher == "structure_tensor" else partial(gradient_loss, **seen)
    before = (_stage("sweep", sweep, params, params.sweep_epochs),) if params.sweep else ()
    return (*before, _stage("pretrain", teach, params, params.pretrain_epochs))


def _stage(name: str, loss: Any, params: LocaliserParams, epochs: int) -> Stage:
    asked: dict[str, Any] = {"blur": params.blur, "least_coherence": params.least_coherence}
    return Stage(
        (Phase("train", loss, parts=("localiser",)),),
        loss,
        name=name,
        epochs=epochs,
        start=partial(check_teacher, teacher=params.teacher, **asked),
        after_epoch=partial(measure_angles, **asked),
        series=SERIES,
    )


def check_teacher(
    model: Any, material: Material, own: Tensors, *, teacher: str, blur: float, least_coherence: float
) -> Tensors:
    """Raise FlawlineError if the structure tensor is to teach and has no clear angle in any patch; say so where it has
    none in most of them."""
    if teacher != "structure_tensor":
        return {}
    _, coherence = _closed_form(model, material.train, blur)
    clear = coherence >= least_coherence
    if not clear.any():
        raise FlawlineError(
            f"the structure tensor is to teach angles, but has a clear one in none of {len(clear)} training patches: "
            f"their coherence is at most {float(coherence.max()):.3g}, model.least_coherence is {least_coherence:g}. "
            f"They are blank or look the same after a quarter turn: there is no orientation to normalise. Take ae, or "
            f"model.teacher = gradient."
        )
    ambiguous = 1 - float(clear.float().mean())
    if ambiguous > MANY:
        logger.warning(
            "%.0f %% of the training patches have no clear orientation, and the localiser learns nothing of them",
            100 * ambiguous,
        )
    return {}


@torch.no_grad()
def measure_angles(
    model: Any, material: Material, own: Tensors, *, blur: float, least_coherence: float
) -> tuple[Tensors, dict[str, float]]:
    """Return how much the orientations of held-out patches differ once turned and as they are, as circular standard
    deviations modulo 180 degrees, and the share of patches whose orientation is ambiguous, which are left out."""
    levelling, coherence = _closed_form(model, material.validation, blur)
    turned = torch.cat([model.degrees(x) for x in _frames(model, material.validation)]).cpu()
    clear = coherence >= least_coherence
    spreads = [_spread(angles[clear]) for angles in (turned - levelling, -levelling)]
    return own, {**dict(zip(SERIES, spreads, strict=False)), SERIES[2]: 1 - float(clear.float().mean())}


def _spread(angles: Tensor) -> float:
    """Return the spread of angles (n,); of none it is that of all angles alike, since a record must be finite."""
    return angle_spread(angles.numpy()) if len(angles) else angle_spread(torch.arange(HALF_TURN).numpy())


@torch.no_grad()
def _closed_form(model: Any, windows: Windows, blur: float) -> tuple[Tensor, Tensor]:
    found = [levelling_angles(x, blur) for x in _frames(model, windows)]
    angles, coherence = zip(*found, strict=True)
    return torch.cat(angles).cpu(), torch.cat(coherence).cpu()


def _frames(model: Any, windows: Windows) -> Any:
    """Yield the windows that stay the same, where the model is, a batch at a time."""
    for batch in batches_of(windows, windows.fixed(), BATCH, {}, device_of(model)):
        yield batch.x
