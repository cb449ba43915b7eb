"""The alias of the registry that names the champion, moved by a decision."""

from collections.abc import Mapping
from typing import Any

from mlflow.tracking import MlflowClient

from flawline.checks import FlawlineError
from flawline.datasets.model_registry import CHAMPION, alias_of

LONGEST = 4_900  # characters of a tag: a store's column holds 5,000 at the most


def settle_promotion(client: MlflowClient, decision: Mapping[str, Any]) -> None:
    """Note at a registered version whether it was promoted, and why; move the alias to it if it was.

    Raise FlawlineError, and leave the alias where it is, if it names another version than the candidate was compared
    with."""
    name, _, version = str(decision["candidate"]).removeprefix("models:/").rpartition("/")
    now = alias_of(CHAMPION, name) or ""
    if decision["promoted"] and now != decision["champion"]:
        raise FlawlineError(
            f"the champion was {decision['champion'] or 'none'} when the comparison began and is {now or 'none'} now, "
            f"so {decision['candidate']} was not promoted. Run the promotion again."
        )
    client.set_model_version_tag(name, version, "promoted", str(decision["promoted"]).lower())
    client.set_model_version_tag(name, version, "promotion", str(decision["said"])[:LONGEST])
    if decision["promoted"]:
        client.set_registered_model_alias(name, CHAMPION, version)
