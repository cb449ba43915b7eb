"""What happens around the nodes: parameters checked, lineage kept, runs tracked, findings told."""

from flawline.hooks.lineage import LineageHook
from flawline.hooks.lock import LockHook
from flawline.hooks.parameters import ParametersHook
from flawline.hooks.requirements import RequirementsHook
from flawline.hooks.summary import SummaryHook
from flawline.hooks.tracking import TrackingHook

__all__ = ["LineageHook", "LockHook", "ParametersHook", "RequirementsHook", "SummaryHook", "TrackingHook"]
