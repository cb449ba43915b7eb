"""How conf/ is read: by Kedro's sessions, and without one in notebooks, benchmarks and tests."""

import json
from copy import deepcopy
from pathlib import Path
from typing import Any

from kedro.config import OmegaConfigLoader

from flawline.methods.tree import validate_parameters
from flawline.params import BaseParameters
from flawline.places import frame, images_folder
from flawline.storage.digests import Digest

CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # Or an environment that overrides one key would silently drop its siblings.
    "merge_strategy": {"parameters": "soft"},
    "config_patterns": {"mlflow": ["mlflow*"]},
    "custom_resolvers": {"frame": frame, "images": images_folder},
}

KEPT = 32  # settings in memory, of some 100 kB each


class OnceConfigLoader(OmegaConfigLoader):
    """Kedro's loader, which resolves the same files with the same parameters once in a process. That takes a second,
    mostly for the paths in the catalog, and a study and the tests open one session after another."""

    _resolved: dict[str, dict[str, Any]] = {}  # noqa: RUF012 - of the process

    def __getitem__(self, key: str) -> dict[str, Any]:
        if key not in ("catalog", "parameters") or key in self.data:
            return super().__getitem__(key)
        known = self._digest(key)
        if known not in self._resolved:
            if len(self._resolved) >= KEPT:
                self._resolved.clear()
            self._resolved[known] = super().__getitem__(key)
        return deepcopy(self._resolved[known])

    def _digest(self, key: str) -> str:
        """Return a digest of all that a setting is made of: the files by their contents, since they may change."""
        digest = Digest()
        digest.add(json.dumps([key, self.env, self.runtime_params, self._globals], default=str))
        for folder in dict.fromkeys((self.base_env, self.env or self.default_run_env)):
            for file in sorted(each for each in (Path(self.conf_source) / folder).rglob("*") if each.is_file()):
                digest.add(str(file.relative_to(self.conf_source)))
                digest.add(file.read_bytes())
        return digest.hexdigest()


def read_tree(project: Path, env: str = "base", **runtime: Any) -> dict[str, Any]:
    """Return the tree of parameters as a run in ``env`` has it, not checked; ``runtime`` takes precedence over the
    files."""
    return OnceConfigLoader(str(project / "conf"), env=env, runtime_params=runtime, **CONFIG_LOADER_ARGS)["parameters"]


def read_parameters(project: Path, env: str = "base", **runtime: Any) -> BaseParameters:
    """Return the parameters as a run in ``env`` has them; raise FlawlineError naming every one that is wrong."""
    return validate_parameters(read_tree(project, env, **runtime))
