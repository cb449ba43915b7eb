from flawline.datasets import ChallengeSetDataset, LearnedDataset
from flawline.detector.challenge_set import Addition, Challenge
from flawline.storage.digests import content_digest


def test_round_trip_takes_images_in(tmp_path):
    dataset = ChallengeSetDataset(filepath=str(tmp_path / "set"), metadata={"a": 1})
    assert dataset.load().challenges == ()
    (tmp_path / "a.png").write_bytes(b"a")
    challenge = Challenge("a.png", content_digest(b"a"), "pass", "pass", "golden")
    dataset.save([Addition(tmp_path / "a.png", challenge)])
    (found,) = dataset.load().challenges
    assert (found.sha256, found.wanted, found.why) == (challenge.sha256, "pass", "golden")
    assert "set" in str(dataset)
    assert dataset.stamped is False


def test_what_a_manifest_learns_from_is_all_but_its_test_images(tmp_path):
    path = tmp_path / "manifest.csv"
    learned = LearnedDataset(filepath=str(path))
    assert learned.load() == frozenset()
    path.write_text("image,split,sha256\na,train,01\nb,validation,2\nc,calibration,3\nd,test,4\ne,unused,5\n")
    assert learned.load() == {"01", "2", "3"}
