"""Kedro's settings of the project."""

import warnings

from flawline.conf import CONFIG_LOADER_ARGS, OnceConfigLoader  # noqa: F401 - Kedro takes the first from here
from flawline.hooks import LineageHook, LockHook, ParametersHook, RequirementsHook, SummaryHook, TrackingHook

CONFIG_LOADER_CLASS = OnceConfigLoader
# Hooks run last in, first out: parameters are checked before the tracking server, and both before anything is read.
HOOKS = (SummaryHook(), TrackingHook(), RequirementsHook(), LineageHook(), LockHook(), ParametersHook())
# The first is extended by TrackingHook; the second would send usage data.
DISABLE_HOOKS_FOR_PLUGINS = ("kedro-mlflow", "kedro_mlflow", "kedro-telemetry", "kedro_telemetry")
# Nodes that join several methods name their datasets "method.name"; that is what the dot is for.
warnings.filterwarnings("ignore", message=".*dataset names contain '.' characters")
