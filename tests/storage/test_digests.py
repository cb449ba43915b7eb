import hashlib

import numpy as np
import pytest
import torch

from flawline.storage.digests import (
    Digest,
    arrays_digest,
    content_digest,
    file_digest,
    settings_digest,
    tensors_digest,
)

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, appendix B.1


def test_content_file_and_parts_have_the_published_digest(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert content_digest("abc") == content_digest(b"abc") == file_digest(tmp_path / "abc") == ABC
    assert Digest().add("a").add(b"bc").hexdigest() == ABC


def test_settings_have_the_digest_of_their_json_whatever_the_order():
    wanted = hashlib.sha256(b'{"a": [1, null], "b": "x"}').hexdigest()
    assert settings_digest({"b": "x", "a": [1, None]}) == settings_digest({"a": [1, None], "b": "x"}) == wanted


def test_arrays_by_hand():
    """Stores that exist carry this digest: type, shape and values of each, one after the other."""
    arrays = [np.array([[1, 2]], np.uint8), np.array([258], "<u2")]
    assert arrays_digest(arrays) == hashlib.sha256(b"|u1(1, 2)\x01\x02<u2(1,)\x02\x01").hexdigest()


def test_arrays_are_told_apart_by_values_alone_and_not_by_strides():
    wide = np.arange(12, dtype=np.uint16).reshape(3, 4)
    assert arrays_digest([wide[:, ::2]]) == arrays_digest([wide[:, ::2].copy()])
    assert len({arrays_digest(each) for each in ([wide], [wide.T], [wide + 1], [wide.astype(np.uint8)], [])}) == 5


def test_tensors_by_hand():
    """Files of weights that exist carry this digest: a text, then names in order, types, shapes and values."""
    tensors = {"b": torch.tensor([1.0]), "a": torch.tensor([[True, False]])}
    wanted = b"meta" + b"atorch.bool(1, 2)\x01\x00" + b"btorch.float32(1,)\x00\x00\x80\x3f"
    assert tensors_digest(tensors, "meta") == hashlib.sha256(wanted).hexdigest()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int64, torch.uint8])
def test_every_type_of_tensor_has_a_digest(dtype):
    values = torch.arange(6).to(dtype).reshape(2, 3)
    assert tensors_digest({"x": values}) == tensors_digest({"x": values.clone()}) != tensors_digest({"x": values.T})
    assert tensors_digest({"x": values.T}) == tensors_digest({"x": values.T.contiguous()})
