"""What a stranger adds, each in this file alone and registered the public way, runs from a raw folder to the page, the
study and an inspection: an autoencoder with its own stop and state, and a one-class method."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from torch import nn

from flawline.methods import registry
from flawline.methods.cae import load_autoencoder
from flawline.methods.maps import check_patches_fit, smooth
from flawline.methods.one_class import Inputs, MapScorer
from flawline.methods.registry import Method, Network, Paper, Reconstructor
from flawline.params import MapScorerParams, Params, PatchParams, TrainParams
from flawline.training.objective import Best, Phase, Stop, one_stage

RUNS = {"category": "parts"}


# --- an autoencoder with its own stop and state ----------------------------------------------------------------------
class TinyModelParams(Params):
    width: int


class TinyParams(Params):
    patches: PatchParams
    model: TinyModelParams
    train: TrainParams
    scorer: MapScorerParams


class Tiny(nn.Module):
    """Two convolutions, (N, C, s, s) in [0, 1] to the same."""

    def __init__(self, params, *, channels, size):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, params.width, 3, padding=1), nn.ReLU(), nn.Conv2d(params.width, channels, 3, padding=1)
        )

    def forward(self, x):
        return self.layers(x).sigmoid()


def pull_to_mean(model, given, generator=None):
    """Reconstruction error, and the distance of the reconstruction to the mean patch that is kept beside the model."""
    x, mean = given
    reconstructed = model(x)
    return (reconstructed - x).square().mean() + 0.1 * (reconstructed - mean).square().mean()


def with_mean(model, batch):
    return batch.x, batch.own["mean"]


def first_mean(model, material, own):
    return {"mean": material.train.cut(material.train.fixed()).mean(dim=0), "rounds": torch.zeros(())}


def separation(model, material, own):
    """How much worse damaged patches are reconstructed than whole ones; the mean moves on, the rounds are counted."""
    pseudo = material.pseudo["validation"]
    damaged = pseudo.windows
    errors = [float((model(some) - some).square().mean().detach()) for some in
              (material.validation.cut(material.validation.fixed()), damaged.cut(damaged.fixed()))]  # fmt: skip
    share = float(pseudo.shares(damaged.fixed()).mean())
    moved = {"mean": 0.9 * own["mean"] + 0.1 * material.train.cut(material.train.epoch(1)).mean(dim=0)}
    return {**moved, "rounds": own["rounds"] + 1}, {"separation": errors[1] - errors[0], "damaged": share}


def three_rounds(values):
    return len(values) >= 3


def tiny_objective(params):
    return one_stage(
        (Phase("train", pull_to_mean, given=with_mean),),
        pull_to_mean,
        given=with_mean,
        own=("mean", "rounds"),
        start=first_mean,
        after_epoch=separation,
        series=("separation", "damaged"),
        stop=Stop("separation", three_rounds, least_epochs=3),
        best=Best("separation", highest=True),
    )


TINY = Reconstructor(
    "tiny",
    TinyParams,
    load=load_autoencoder,
    network=Network(Tiny, tiny_objective, pseudo_defects=("validation",)),
    check=check_patches_fit,
    any_size=True,
)
TINY_METHOD = Method("tiny", "a test", TinyParams, "flawline.methods.residual_map:ResidualMap", ("tiny",))
TINY_CONF = {
    "patches": {"size": 16, "stride": 8, "per_epoch": 16},
    "model": {"width": 2},
    "train": {
        "epochs": 9,
        "batch_size": 8,
        "learning_rate": 1e-3,
        "weight_decay": 0.0,
        "patience": None,
        "precision": "32-true",
    },
    "scorer": {"smoothing": 1.0, "image_score": {"reduction": "maximum", "share": 0.01}},
}


# --- a one-class method ----------------------------------------------------------------------------------------------
class FarthestParams(Params):
    scorer: MapScorerParams


class Farthest(MapScorer):
    """The map is the distance to the mean image; how it becomes the score is a parameter."""

    def fit(self, inputs, *, seed):
        return {"mean": torch.from_numpy(np.mean([each.views[0] for each in inputs], axis=0))}

    def anomaly_map(self, state, inputs: Inputs):
        distance = np.abs(inputs.views[0] - state["mean"].numpy()).mean(axis=0)  # (H, W)
        return smooth(distance, self.params.smoothing)


FARTHEST = Method("farthest", "a test", FarthestParams, Farthest)
FARTHEST_CONF = {"scorer": {"smoothing": 1.0, "image_score": {"reduction": "region_mass", "share": 0.1}}}


@pytest.fixture
def strangers(project):
    """The two methods and a paper of both, registered; their conf files in the project."""
    kept = [dict(each) for each in (registry.METHODS, registry.RECONSTRUCTORS, registry.PAPERS)]
    registry.register_reconstructor(TINY)
    registry.register(TINY_METHOD)
    registry.register(FARTHEST)
    registry.register_paper(Paper("strangers2026", "a test", ("tiny", "farthest")))
    for name, values in (("tiny", TINY_CONF), ("farthest", FARTHEST_CONF)):
        path = project.path / "conf" / "base" / "parameters" / "methods" / f"{name}.yml"
        path.write_text(yaml.safe_dump({name: values}))
    yield project
    for each, before in zip((registry.METHODS, registry.RECONSTRUCTORS, registry.PAPERS), kept, strict=True):
        each.clear()
        each.update(before)


def test_both_run_from_a_raw_folder_to_the_page_the_study_and_an_inspection(strangers, parts, monkeypatch):
    project = strangers
    raw = str(parts)
    project.run("strangers2026", raw=raw, **RUNS)

    history, own, comparison, verdicts = project.load_all(
        "tiny.history", "tiny.pseudo_defects", "comparison", "farthest.verdicts", raw=raw, **RUNS
    )
    assert len(history) == 3  # its own stop, not the nine epochs of train
    assert {"separation", "damaged"} <= set(history.columns)
    assert (history["damaged"] > 0).any()
    manifest = project.load("manifest", raw=raw, **RUNS).set_index("image")
    assert set(manifest.loc[own["image"], "split"]) == {"validation"}  # never calibration, never test
    assert comparison["method"].tolist() == ["tiny", "farthest"]
    assert set(verdicts["verdict"]) <= {"pass", "review", "reject"}

    page = project.newest("08_reporting/parts/seed-0/report.html/*/report.html").read_text()
    assert "tiny" in page
    assert "farthest" in page
    assert "Made in normal images for the training" in page  # the pseudo-defects that tiny learned with
    assert "separation" in page  # the training chart shows whatever series there is

    from flawline.study import run_study

    monkeypatch.chdir(project.path)
    results = run_study("strangers2026", ["parts"], [0], raw=str(parts.parent), env="smoke")
    assert results["method"].tolist() == ["tiny", "farthest"]

    for method in ("tiny", "farthest"):
        project.run(f"{method}_inspection", raw=raw, images=str(parts / "scratch"), **RUNS)
        judged = project.load("verdicts", raw=raw, images=str(parts / "scratch"), **RUNS)
        tested = project.load(f"{method}.verdicts", raw=raw, **RUNS).set_index("sha256")
        assert len(judged) == 2
        pd.testing.assert_series_equal(
            judged.set_index("sha256")["score"], tested.loc[judged["sha256"], "score"], check_names=False
        )


def test_own_state_is_kept_in_the_checkpoint_and_a_run_goes_on_with_it(strangers, parts):
    from flawline.storage.tensors import read_tensors
    from flawline.training.progress import Silent

    project, raw, seen = strangers, str(parts), []
    path = project.path / "data/06_models/parts/seed-0/tiny/checkpoint.safetensors"

    class Breaks(Silent):
        def epoch(self, record):
            if record["epoch"] == 2:
                seen.append(read_tensors(path))
                raise KeyboardInterrupt

    from flawline.datasets.handles import ProgressDataset

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(ProgressDataset, "load", lambda self: Breaks())
        with pytest.raises(KeyboardInterrupt):
            project.run("tiny", raw=raw, **RUNS)
    tensors, meta = seen[0]
    assert meta["epoch"] == 2
    assert float(tensors["own/rounds"]) == 2
    project.run("tiny", raw=raw, **RUNS)
    broken = project.load("tiny.weights", raw=raw, **RUNS)
    (project.path / "data/06_models/parts/seed-0/tiny/weights.safetensors").unlink()
    project.run("tiny", raw=raw, **RUNS)
    whole = project.load("tiny.weights", raw=raw, **RUNS)
    assert broken.keys() == whole.keys()
    assert all(torch.equal(broken[name], whole[name]) for name in whole)
