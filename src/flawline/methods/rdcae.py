"""The robust deep convolutional autoencoder of Alpdemir 2022: what the network cannot learn, S, is taken out of what it
learns from, X, and pseudo-defects tell when it has learned enough.

The optimisation is Algorithm 2: X = L + S; the network learns L for some epochs; S becomes what is left of X, shrunk by
the proximal operator of lambda times its l2,1 norm; and so on, until pseudo-defects that were held out are told from
normal patches. Settings of conf/paper are the paper's; those of conf/base depart from it
(docs/papers/alpdemir2022.md)."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from flawline.checks import FlawlineError
from flawline.methods.cae import squared_residual
from flawline.methods.lenet import LeNet, LeNetReconstructor
from flawline.methods.linear_skip import LinearSkip
from flawline.methods.maps import Residual, device_of
from flawline.methods.reconstruction import loader
from flawline.params import RDCAEModelParams, RobustPatchParams
from flawline.training.loop import batches_of, unwrapped
from flawline.training.objective import Batch, Best, Material, Objective, Phase, Stop, Tensors, one_stage
from flawline.training.windows import CPU, Device, PseudoWindows, Windows

VALUES = 3 * 32 * 32  # of the paper's patches: the scale on which its lambda is given
MANY = 0.05  # share of the normal patches in S from which it is said
SHOWN = 3  # normal patches, and pseudo-defects, whose split is shown
BLOCK = 8  # side of a block of S, pixels
BATCH = 256  # patches reconstructed together where S is renewed
ITERATION = "outer_iteration"

logger = logging.getLogger(__name__)


# --- what is learned from: X -----------------------------------------------------------------------------------------
@dataclass(frozen=True)
class RobustWindows(Windows):
    """The set X: the same windows in every epoch, the last ``pseudo`` of them with pseudo-defects.

    A window is (image, y, x, place in X, mirrored): mirrored 1 across, 2 down, 3 both ways."""

    sample: NDArray[np.int64] = None  # type: ignore[assignment]  # (n, 5)
    pseudo: int = 0
    originals: Sequence[NDArray] = ()  # of the damaged images, which stand last

    def epoch(self, number: int) -> NDArray[np.int64]:
        """Return all windows (n, 5), in the random order of epoch ``number``."""
        return self.sample[np.random.default_rng([self.seed, 0, number]).permutation(len(self.sample))]

    def cut(self, windows: NDArray, device: Device = CPU) -> Tensor:
        """Return the patches of ``windows`` as float32 (n, C, s, s) in [0, 1], on ``device``."""
        return mirrored(super().cut(windows[:, :3], device), windows[:, 4])

    @cached_property
    def differences(self) -> Tensor:
        """What damage has changed (pseudo, C, s, s): the S of the last windows, as far as it is known."""
        last = self.sample[len(self.sample) - self.pseudo :]
        whole = Windows(self.originals, self.shapes, self.patches, self.seed)
        shifted = last[:, :3] - [len(self.images) - len(self.originals), 0, 0]
        return self.cut(last) - mirrored(whole.cut(shifted), last[:, 4])


def mirrored(patches: Tensor, how: NDArray) -> Tensor:
    """Return patches (n, C, s, s), each mirrored as ``how`` (n,) says: 1 across, 2 down, 3 both ways."""
    for bit, axis in ((1, 3), (2, 2)):
        turned = torch.from_numpy((how & bit) > 0).to(patches.device)
        patches = torch.where(turned[:, None, None, None], patches.flip(axis), patches)
    return patches


def join_pseudo(train: Windows, damaged: PseudoWindows, patches: RobustPatchParams) -> RobustWindows:
    """Return X of normal windows and n r / (1 - r) pseudo-defective ones, r being ``patches.pseudo_share``."""
    normal = train.epoch(0)[:, :3]
    count = round(len(normal) * patches.pseudo_share / (1 - patches.pseudo_share))
    found = damaged.defective(count) + np.array([len(train.images), 0, 0])
    turns = [0, 1, 2, 3] if patches.mirror else [0]
    some = [np.column_stack([part, np.full(len(part), turn)]) for part in (normal, found) for turn in turns]
    every = np.concatenate(some)  # (n, 4), the damaged ones last
    sample = np.column_stack([every[:, :3], np.arange(len(every)), every[:, 3]])  # (n, 5)
    images = [*train.images, *damaged.windows.images]
    shapes = [*train.shapes, *damaged.windows.shapes]
    return RobustWindows(
        images, shapes, train.patches, train.seed, sample, len(found) * len(turns), damaged.originals
    )  # fmt: skip


# --- the split: X = L + S --------------------------------------------------------------------------------------------
def shrink_groups(s: Tensor, threshold: float, group: str) -> Tensor:
    """Shorten every group of ``s`` (N, C, h, w) by ``threshold`` and zero the shorter ones: the proximal operator of
    ``threshold`` times the l2,1 norm.

    A group is a ``patch``, that is, all of its values; a ``pixel``, that is, one value of all patches; or a ``block``
    of 8 x 8 pixels of a patch, with all its channels. Source: Alpdemir 2022, Eq. 8, Algorithm 2 line 9, which leaves
    the group open: S transposed, as printed, has a patch a group."""
    lengths = group_lengths(s, group)
    return s * (1 - threshold / lengths.clamp_min(1e-12)).clamp_min(0)


def group_lengths(s: Tensor, group: str) -> Tensor:
    """Return the Euclidean length of the group of every value of ``s`` (N, C, h, w), to be multiplied with it."""
    if group == "pixel":
        return torch.linalg.vector_norm(s, dim=0, keepdim=True)  # (1, C, h, w)
    if group == "patch":
        return torch.linalg.vector_norm(s, dim=(1, 2, 3), keepdim=True)  # (N, 1, 1, 1)
    squares = s.square().sum(dim=1, keepdim=True)  # (N, 1, h, w)
    sums = avg_pool2d(squares, BLOCK, stride=BLOCK, ceil_mode=True, divisor_override=1)
    return sums.sqrt().repeat_interleave(BLOCK, 2).repeat_interleave(BLOCK, 3)[..., : s.shape[2], : s.shape[3]]


def penalty(params: RDCAEModelParams, normal: Tensor) -> float:
    """Return lambda: as given, scaled from the paper's 3 x 32 x 32 values to those of a patch if asked for; or the
    quantile of the lengths of held-out normal residuals ``normal`` (n, C, h, w) above which they land in S."""
    if params.l21_weight is None:
        return float(group_lengths(normal, params.group).flatten().quantile(params.l21_quantile))
    return params.l21_weight * ((normal[0].numel() / VALUES) ** 0.5 if params.l21_scaled else 1.0)


def separate(
    model: nn.Module, params: RDCAEModelParams, material: Material, own: Tensors
) -> tuple[Tensor, dict[str, float]]:
    """Return the new S (n, C, s, s) of X, and what of it is told: lambda, and the share of the normal and of the
    pseudo-defective patches that are in it. Raise FlawlineError if S holds all normal patches, unless ``full_s`` allows
    it: what is left to learn from is what the network makes already."""
    train = _robust(material)
    s = torch.empty_like(own["s"])
    threshold = penalty(params, residuals(model, material.validation, material.validation.fixed()))
    together = len(s) if params.group == "pixel" else BATCH  # a pixel's group is of all patches
    for some in torch.arange(len(s)).split(together):
        x = train.cut(train.sample[some], device_of(model))
        given = x if params.restore else x - own["s"][some].to(x)
        s[some] = shrink_groups(x - model(given), threshold, params.group).cpu()
    put_known(s, train, params)
    normals = len(s) - train.pseudo
    inside = s.flatten(1).abs().amax(dim=1) > 0  # (n,)
    share = float(inside[:normals].float().mean())
    if share == 1.0 and threshold > 0 and not params.full_s:
        raise FlawlineError(
            f"S holds all {normals} normal patches: lambda = {threshold:.3g} is less than the residual of every one, "
            f"so the network would learn what is left of each. Raise rdcae.model.l21_weight, set it to null "
            f"(rdcae.model.l21_quantile), or go on all the same with rdcae.model.full_s=true."
        )
    pseudo = float(inside[normals:].float().mean()) if train.pseudo else 0.0
    return s, {"l21_weight": threshold, "s_share": share, "s_share_pseudo": pseudo}


def put_known(s: Tensor, train: RobustWindows, params: RDCAEModelParams) -> None:
    """Put into ``s`` (n, C, s, s) what is known of it: with ``known_s``, what damage has changed."""
    if params.known_s and train.pseudo:
        s[len(s) - train.pseudo :] = train.differences


# --- how it learns ---------------------------------------------------------------------------------------------------
def rdcae_objective(params: RDCAEModelParams) -> Objective:
    """Return how the network learns: Algorithm 2, an outer iteration being ``inner_epochs`` epochs."""
    stop = Stop(
        "pseudo_auroc",
        partial(has_separated, params=params),
        least_epochs=params.inner_epochs * params.least_iterations,
    )
    given = partial(give_split, restore=params.restore)
    objective = one_stage(
        (Phase("train", split_loss, given=given),),
        split_loss,
        given=given,
        own=("s", "told", "epochs"),
        start=partial(start, params=params),
        after_epoch=partial(after_epoch, params=params),
        series=(*TOLD, "pseudo_auroc", ITERATION),
        stop=stop if params.stop_auroc is not None else None,
        best=Best(ITERATION, highest=True),
        fresh_every=params.inner_epochs if params.fresh_adam else None,
    )
    return replace(objective, split=split_to_show)


TOLD = ("l21_weight", "s_share", "s_share_pseudo")  # of the last outer iteration


@torch.no_grad()
def split_to_show(model: nn.Module, material: Material, own: Tensors) -> Tensors:
    """Return some normal patches of X and some with pseudo-defects, what the network makes of them, L, and S as the
    size of its values: x, l and s, (n, C, s, s) each. Alpdemir 2022, Fig. 4."""
    model.eval()
    train = _robust(material)
    normals = len(train.sample) - train.pseudo
    rows = [*range(min(SHOWN, normals)), *range(normals, min(normals + SHOWN, len(train.sample)))]
    x = train.cut(train.sample[rows])
    made = reconstruct(model, x)
    return {"x": x.contiguous(), "l": made.contiguous(), "s": own["s"][rows].abs().contiguous()}


def split_loss(model: nn.Module, given: tuple[Tensor, Tensor], generator: torch.Generator | None = None) -> Tensor:
    """Return the mean squared error of what ``model`` makes of the first of ``given`` against the second, both
    (n, C, s, s), in the units that the model has for it. Alpdemir 2022, Eq. 7, first term.

    In pixels of [0, 1] the error of what principal components leave is so small that the weight decay outdoes it."""
    seen, wanted = given
    network = unwrapped(model)
    unit = network.unit(seen) if isinstance(network, LinearSkip) else 1.0
    return ((model(seen) - wanted) / unit).square().mean()


def give_split(model: nn.Module, batch: Batch, *, restore: bool) -> tuple[Tensor, Tensor]:
    """Return (what the network sees, what it is to give): L of the batch twice, or with ``restore`` X and L. Held-out
    patches are their own L."""
    if batch.windows.shape[1] < 5:
        return batch.x, batch.x
    background = batch.x - batch.own["s"][torch.from_numpy(batch.windows[:, 3])]
    return (batch.x if restore else background), background


def start(model: nn.Module, material: Material, own: Tensors, *, params: RDCAEModelParams) -> Tensors:
    """Return S before the first iteration: 0, or of pseudo-defects the damage itself. The linear part is set.

    Raise FlawlineError if the stop needs pseudo-defects and there are none."""
    train = _robust(material)
    if params.stop_auroc is not None and not (train.pseudo and len(material.pseudo["validation"].windows.images)):
        raise FlawlineError(
            "rdcae stops by pseudo-defects, and there are none: raise rdcae.patches.pseudo_share above 0, or set "
            "rdcae.model.stop_auroc to null, so that it learns for all of train.epochs"
        )
    x = train.cut(train.sample, device_of(model))
    s = torch.zeros(x.shape)
    put_known(s, train, params)
    network = unwrapped(model)
    if isinstance(network, LinearSkip):
        network.learn(x[: len(s) - train.pseudo])
    return {"s": s, "told": torch.zeros(len(TOLD)), "epochs": torch.zeros((), dtype=torch.int64)}


@torch.no_grad()
def after_epoch(
    model: nn.Module, material: Material, own: Tensors, *, params: RDCAEModelParams
) -> tuple[Tensors, dict[str, float]]:
    """Renew S at the end of an outer iteration, and measure how well pseudo-defects are told from normal patches, both
    held out."""
    model.eval()
    epochs = int(own["epochs"]) + 1
    told = dict(zip(TOLD, own["told"].tolist(), strict=True))
    s = own["s"]
    if epochs % params.inner_epochs == 0:
        s, told = separate(model, params, material, own)
        if told["s_share"] > MANY:
            logger.warning(
                "rdcae: %.0f %% of the normal patches are in S, more than %.0f %%: lambda = %.3g may be too small",
                100 * told["s_share"], 100 * MANY, told["l21_weight"],
            )  # fmt: skip
    measured = {"pseudo_auroc": pseudo_auroc(model, material, params), ITERATION: float(epochs // params.inner_epochs)}
    renewed = {"s": s, "told": torch.tensor(list(told.values())), "epochs": torch.tensor(epochs)}
    return renewed, {**told, **measured}


def has_separated(values: Sequence[float], *, params: RDCAEModelParams) -> bool:
    """Return True if pseudo-defects are told apart well enough, or no better for some iterations. ``values`` are their
    AUROC after each epoch, of which those at the end of an outer iteration count. Algorithm 2, lines 11 and 12; the
    least number of iterations, the patience and the least gain are ours."""
    ends = list(values[params.inner_epochs - 1 :: params.inner_epochs])
    if len(ends) < params.least_iterations or len(values) % params.inner_epochs:
        return False
    if params.stop_auroc is not None and ends[-1] > params.stop_auroc:
        return True
    return params.patience is not None and iterations_without_gain(ends, params.least_gain) >= params.patience


def iterations_without_gain(values: Sequence[float], least_gain: float) -> int:
    """Return how many of ``values`` came after the last that was better, by ``least_gain``, than the best before it."""
    best = 0
    for i, value in enumerate(values):
        if value > values[best] + least_gain:
            best = i
    return len(values) - 1 - best


def pseudo_auroc(model: nn.Module, material: Material, params: RDCAEModelParams) -> float:
    """Return how well the score tells held-out pseudo-defects from held-out normal patches: the area under the ROC
    curve; 0.5 where there are none."""
    damaged = material.held_out_pseudo
    if not len(damaged):
        return 0.5
    from sklearn.metrics import roc_auc_score  # takes a second to import

    normal, pseudo = material.validation, material.pseudo["validation"].windows
    found = [
        patch_scores(error_maps(model, windows, which), params.score_window)
        for windows, which in ((normal, normal.fixed()), (pseudo, damaged))
    ]
    labels = np.repeat([0, 1], [len(each) for each in found])
    return float(roc_auc_score(labels, torch.cat(found).numpy()))


def patch_scores(errors: Tensor, window: int | None) -> Tensor:
    """Return the score (n,) of patches with these squared errors (n, s, s): their sum (the paper's), or the largest
    mean over ``window`` pixels each way."""
    if window is None:
        return errors.sum(dim=(1, 2))
    return avg_pool2d(errors[:, None], window, stride=1).amax(dim=(1, 2, 3))


def error_maps(model: nn.Module, windows: Windows, which: NDArray) -> Tensor:
    """Return the residual maps (n, s, s) of the patches ``which``, as the network has them at work."""
    residual = residual_of(unwrapped(model))
    return torch.cat([residual(x, made) for x, made in reconstructions(model, windows, which)])


def residuals(model: nn.Module, windows: Windows, which: NDArray) -> Tensor:
    """Return the differences (n, C, s, s) of the patches ``which`` and what the model makes of them."""
    return torch.cat([x - made for x, made in reconstructions(model, windows, which)])


def reconstructions(model: nn.Module, windows: Windows, which: NDArray) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the patches ``which`` and what the model makes of them, (b, C, s, s) each, a batch at a time."""
    for batch in batches_of(windows, which, BATCH, {}):
        yield batch.x, reconstruct(model, batch.x)


def reconstruct(model: nn.Module, x: Tensor) -> Tensor:
    """Return what the model makes of patches x (n, C, s, s), wherever it is."""
    return model(x.to(device_of(model))).float().cpu()


def _robust(material: Material) -> RobustWindows:
    if not isinstance(material.train, RobustWindows):
        raise TypeError("rdcae learns from the set X that join_pseudo makes")
    return material.train


# --- at work ---------------------------------------------------------------------------------------------------------
def build_rdcae(params: RDCAEModelParams, *, channels: int, size: int) -> nn.Module:
    """Return the network: the paper's, or a small one that learns what principal components leave."""
    if params.network == "lenet":
        return LeNet(params, channels=channels, size=size)
    return LinearSkip(params, channels=channels, size=size)


def residual_of(network: nn.Module) -> Residual:
    """Return how the residual map of a network's patches is made."""
    return network.residual if isinstance(network, LinearSkip) else squared_residual


load_rdcae = loader(lambda network, patches: LeNetReconstructor(network, patches, residual_of(network)))
