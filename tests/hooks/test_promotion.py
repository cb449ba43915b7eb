"""The alias moves last, and only from where it was when the comparison began."""

import pytest
from mlflow.tracking import MlflowClient

from flawline.checks import FlawlineError
from flawline.hooks import promotion
from flawline.hooks.promotion import settle_promotion

NAME = "flawline-bolt-cae"


@pytest.fixture
def client(tmp_path, monkeypatch):
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    made = MlflowClient(uri, uri)
    made.create_registered_model(NAME)
    for _ in range(3):
        made.create_model_version(NAME, tmp_path.as_uri(), await_creation_for=0)
    made.set_registered_model_alias(NAME, "champion", "1")

    def alias_of(alias, name):
        return f"models:/{name}/{made.get_registered_model(name).aliases[alias]}"

    monkeypatch.setattr(promotion, "alias_of", alias_of)
    return made


def decision(promoted, champion="1"):
    return {"candidate": f"models:/{NAME}/2", "champion": f"models:/{NAME}/{champion}", "promoted": promoted,
            "said": "x" * 6_000}  # fmt: skip


def champion(client):
    return str(client.get_registered_model(NAME).aliases["champion"])


def test_a_decision_is_noted_at_the_version_and_the_alias_follows_it(client):
    settle_promotion(client, decision(False))
    assert champion(client) == "1"
    assert client.get_model_version(NAME, "2").tags["promoted"] == "false"
    settle_promotion(client, decision(True))
    assert champion(client) == "2"
    known = client.get_model_version(NAME, "2").tags
    assert known["promoted"] == "true"
    assert set(known["promotion"]) == {"x"}


def test_an_alias_that_somebody_moved_meanwhile_stays(client):
    client.set_registered_model_alias(NAME, "champion", "3")
    with pytest.raises(FlawlineError, match=f"the champion was models:/{NAME}/1 .* and is models:/{NAME}/3 now, so"):
        settle_promotion(client, decision(True))
    assert champion(client) == "3"
    assert "promoted" not in client.get_model_version(NAME, "2").tags
