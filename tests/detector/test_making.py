"""What a finished detector keeps of the images it learned from."""

import numpy as np
import pandas as pd
import pytest
from base_params import BASE

from flawline.detector.making import learned_from
from flawline.storage.ragged import RaggedArray, write_ragged


@pytest.mark.parametrize("patches", [False, True])
def test_ends_of_strips_are_cut_and_patches_of_strips_are_not(tmp_path, patches):
    write_ragged(tmp_path / "images", [np.zeros((1, 32, 32), np.uint8)] * 2)
    manifest = pd.DataFrame(
        {"image": ["a", "b"], "split": "train", "layout": "aitex", "height": 32, "width": 32, "bits": 8}
    )
    manifest = manifest.assign(source="strip") if patches else manifest
    found = learned_from(RaggedArray(tmp_path / "images"), manifest, BASE.registration, aligned=False)
    assert found["trim_ends"] is not patches
