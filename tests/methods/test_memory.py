import subprocess
import sys

import pytest
from base_params import PROJECT

SCRIPT = """
import sys
from pathlib import Path
import numpy as np
import torch
from torch import nn
from flawline.methods.cae import reconstruction_loss, squared_residual
from flawline.methods.maps import load_model, smooth
from flawline.methods.reconstruction import PatchReconstructor
from flawline.training.objective import Material, minimise
from flawline.training.loop import Tools, fit
from flawline.training.windows import windows_of
from flawline.conf import read_parameters
from flawline.params import ComputeParams
from flawline.storage.ragged import Lazy, RaggedArray, write_ragged

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

def count_pages(items):
    for item in items:
        peaks.append(anonymous())
        yield item

torch.set_num_threads(1)
peaks, base, compute = [], read_parameters(Path(sys.argv[2])).cae, ComputeParams(device="cpu", threads=1)
geometry, params = base.patches.but(size=64, stride=64, per_epoch=64), base.train.but(epochs=2, batch_size=16)
drawn = lambda k: np.random.default_rng(k).integers(0, 256, (1, 256, 256), dtype=np.uint8)
make = lambda: nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1))

def peak(count):
    folder = Path(sys.argv[1], str(count))
    folder.mkdir()
    write_ragged(folder / "images", Lazy(count, drawn))
    images = RaggedArray(folder / "images")
    windows = windows_of(images, range(count), geometry, seed=0)
    fitted = fit(make, minimise(reconstruction_loss), Material(windows, windows), params, tools=Tools(compute))
    trained = PatchReconstructor(load_model(make(), fitted.weights, compute), geometry, squared_residual)
    mapped = lambda k: smooth(trained.reconstruct(images[k]).residual, 4.0)
    peaks.clear()
    write_ragged(folder / "maps", count_pages(Lazy(count, mapped)))
    return max(peaks)

print(peak(40), peak(400))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_number_of_images(tmp_path):
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(PROJECT)]
    few, many = map(int, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())
    assert many <= 1.2 * few  # the images alone are 2.6 and 26 MB, the maps twice that
