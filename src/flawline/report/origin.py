"""What a page was made from, to make it again."""

from collections.abc import Mapping
from datetime import UTC, datetime
from platform import platform

from flawline import __version__


def origin(run: Mapping[str, str], **known: str) -> dict[str, str]:
    """Return what the foot of a page says: ``known``, the run's ids, the version, the machine and the time."""
    made = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"
    return {**known, **run, "flawline": __version__, "machine": platform(), "made": made}
