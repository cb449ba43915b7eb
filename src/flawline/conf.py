"""How conf/ is read: by Kedro's sessions, and without one in notebooks, benchmarks and tests."""

from pathlib import Path
from typing import Any

from flawline.methods.tree import validate_parameters
from flawline.params import BaseParameters
from flawline.places import frame, images_folder

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Or an environment that overrides one key would silently drop its siblings.
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
    "custom_resolvers": {"frame": frame, "images": images_folder},
}


def read_tree(project: Path, env: str = "base", **runtime: Any) -> dict[str, Any]:
    """Return the tree of parameters as a run in ``env`` has it, not checked; ``runtime`` takes precedence over the
    files."""
    from kedro.config import OmegaConfigLoader

    return OmegaConfigLoader(str(project / "conf"), env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)["parameters"]


def read_parameters(project: Path, env: str = "base", **runtime: Any) -> BaseParameters:
    """Return the parameters as a run in ``env`` has them; raise FlawlineError naming every one that is wrong."""
    return validate_parameters(read_tree(project, env, **runtime))
