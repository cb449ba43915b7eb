import numpy as np
import pytest
from base_params import BASE

from flawline.detector.scoring import ImageScorer
from flawline.methods.inputs import InputSequence, embed_all
from flawline.methods.registry import METHODS
from flawline.params import ComputeParams
from flawline.storage.tensors import packed

COMPUTE = ComputeParams(device="cpu", threads=1, engine="torch")

MEMORY = BASE.patch_memory.scorer


@pytest.fixture
def image():
    pixels = np.random.default_rng(1).integers(0, 256, (1, 32, 28), dtype=np.uint8)
    pixels.setflags(write=False)
    return pixels


def test_a_stored_residual_image_scores_as_the_one_made_on_the_way_to_the_bit(detector, image):
    scorer = detector.make_scorer(COMPUTE)
    made, reconstruction = scorer.score(image)
    again, none = scorer.score(image, residual=reconstruction.residual)
    assert none is None
    assert again.score == made.score
    assert again.map.tobytes() == made.map.tobytes()


def test_with_a_stored_residual_image_the_network_is_not_needed(detector, image):
    made, reconstruction = detector.make_scorer(COMPUTE).score(image)
    alone = ImageScorer(METHODS["cae"], {"scorer": detector.params["scorer"]}, {}, channels=1, compute=COMPUTE)
    found, _ = alone.score(image, residual=reconstruction.residual)
    assert found.map.tobytes() == made.map.tobytes()


def test_a_stored_embedding_scores_as_the_one_made_on_the_way():
    small = MEMORY.but(features={"layers": (2,), "side": None})
    method, params = METHODS["patch_memory"], {"scorer": small.model_dump()}
    learner = method.make_scorer(params["scorer"])
    unmade = ImageScorer(method, params, {}, channels=1, compute=COMPUTE)
    assert unmade.reconstructor is None
    images = list(np.random.default_rng(2).integers(0, 256, (3, 1, 32, 28), dtype=np.uint8))
    embeddings = list(embed_all(learner, InputSequence(("image",), images, range(3)), batch_size=1))
    state = learner.fit(InputSequence(("image",), images, range(2), embeddings=embeddings), seed=0)
    scorer = ImageScorer(method, params, packed({"one_class": state}), channels=1, compute=COMPUTE)
    (made, none), (stored, _) = scorer.score(images[2]), scorer.score(images[2], embedding=embeddings[2])
    assert none is None
    assert (stored.score, stored.map.tobytes()) == (made.score, made.map.tobytes())
    assert made.score > scorer.score(images[0])[0].score
