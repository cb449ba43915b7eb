"""Parts that lie at different angles, from their folder to the page: aligned, and what cannot be is told."""

import numpy as np
import pytest
from PIL import Image

from flawline.intake.registration import frames_seen

SIDE = 96
ALIGNED = {"category": "parts", "registration.align": "rigid"}


@pytest.fixture
def turned(tmp_path):
    """Twenty photographs of an L at four angles, and a blank one."""
    generator = np.random.default_rng(0)
    part = np.full((SIDE, SIDE), 200.0)
    part[24:72, 24:38] = part[58:72, 24:66] = 60
    folder = tmp_path / "parts" / "good"
    folder.mkdir(parents=True)
    photographs = [np.rot90(part, number) + generator.normal(0, 12, part.shape) for number in range(20)]
    for number, pixels in enumerate([*photographs, np.full_like(part, 128)]):
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number:02}.png")
    return folder.parent


def test_what_could_not_be_aligned_is_on_the_page_and_at_the_end_and_a_damaged_aligner_is_made_again(
    project, turned, capsys
):
    project.run("nearest_neighbour", raw=str(turned), **ALIGNED)
    sentence = "1 photograph could not be aligned: neither learned from nor judged."
    assert sentence in capsys.readouterr().out
    page = project.newest("08_reporting/parts/seed-0/report.html/*/report.html").read_text()
    assert sentence in page
    assert "1 of 21 photographs could not be brought into the frame of the reference" in page
    assert '<td class="path">good/20.png</td>' in page
    assert "<td>is blank</td>" in page
    assert "The part has a unique orientation" in page

    path = project.path / "data/03_primary/parts/aligner.safetensors"
    first = path.read_bytes()
    path.write_bytes(first[: len(first) // 2])
    project.make("registration", "aligner", raw=str(turned), **ALIGNED)
    assert path.read_bytes() == first


def test_orientation_is_normalised_without_a_reference_to_match_and_new_images_are_turned_too(project, turned, capsys):
    levelled = ALIGNED | {"registration.align": "structure_tensor"}
    project.run("nearest_neighbour", raw=str(turned), **levelled)
    page = project.newest("08_reporting/parts/seed-0/report.html/*/report.html").read_text()
    assert "Every image is turned until it lies as the reference does" in page
    assert "by the structure tensor. Half a turn is left open." in page
    assert "All 21 photographs were brought into the frame" in page
    assert "1 photograph has no clear orientation and was not turned." in page
    assert "is blank: not turned" in page
    capsys.readouterr()
    project.run("nearest_neighbour_inspection", images=str(turned / "good"), **levelled)
    said = capsys.readouterr().out
    assert "21 images: " in said
    assert " 0 not_judged" in said


def test_an_alignment_is_chosen_by_normal_images_and_the_page_has_the_evidence(project, turned):
    (turned / "good" / "20.png").unlink()  # the blank one
    chosen = ALIGNED | {"registration.align": "auto", "registration.auto.defects": 8, "registration.auto.images": 10}
    project.run("nearest_neighbour", raw=str(turned), **chosen)
    page = project.newest("08_reporting/parts/seed-0/report.html/*/report.html").read_text()
    assert "The alignment was chosen by how well a patch memory tells pseudo-defects" in page
    (choice,) = project.load_all("alignment_choice", raw=str(turned), **chosen)
    assert choice["align"].tolist() == ["none", "shift", "rigid", "structure_tensor"]
    assert choice["chosen"].sum() == 1
    assert f"{choice.loc[choice['chosen'], 'align'].iloc[0]} (chosen)" in page
    detector = project.load_all("nearest_neighbour.detector", raw=str(turned), **chosen)[0]
    assert (detector.aligner is None) == (choice.loc[choice["chosen"], "align"].iloc[0] == "none")


def test_what_lies_beyond_a_photograph_counts_neither_in_the_run_nor_when_new_images_are_judged(project, turned):
    for number, path in enumerate(sorted((turned / "good").glob("*.png"))[:-1]):
        pixels = np.asarray(Image.open(path))
        Image.fromarray(np.roll(pixels, 16 if number % 2 else 0, axis=0)).save(path)  # every other lies near the rim
    levelled = ALIGNED | {"registration.align": "structure_tensor", "registration.margin": 20}
    project.run("pca", raw=str(turned), **levelled)
    names = ("pca.scores", "pca.maps", "usable_manifest", "alignment", "aligner")
    scores, maps, manifest, alignment, aligner = project.load_all(*names, **levelled)
    seen_of = frames_seen(manifest, alignment, aligner)
    beyond = 0
    for image, anomaly in zip(scores["image"], maps, strict=True):
        seen = seen_of(image)
        beyond += (~seen).sum()
        assert (anomaly[~seen] == anomaly.min()).all()
    assert beyond > 0

    project.run("pca_inspection", images=str(turned / "good"), **levelled)
    (verdicts,) = project.load_all("verdicts", **levelled)
    said = verdicts.assign(image="good/" + verdicts["image"]).set_index("image")["score"]
    np.testing.assert_allclose(said[scores["image"]], scores["score"], rtol=1e-6)
