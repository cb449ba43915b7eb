"""What a session is of a study; nothing of a run that stands alone."""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True)
class InStudy:
    """``parent`` is the study's MLflow run. Of a session that is done in parts, at several places at once, ``run`` is
    its own, which is open already, and ``part`` the name of what is done here."""

    parent: str | None = None
    run: str | None = None
    part: str | None = None


ALONE = InStudy()
IN_STUDY: ContextVar[InStudy] = ContextVar("in_study", default=ALONE)
