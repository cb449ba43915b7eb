"""Kedro reads all of conf/ several times for every run, which is half the time of a quick one. Here it does so once.

What is kept is keyed by the text of all files, so a test that edits one is read its own."""

import io
import pickle
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import omegaconf.base
import yaml
from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

KNOWN: dict[Any, Any] = {}
read = OmegaConfigLoader.__getitem__
load = OmegaConf.load


def read_once(loader: OmegaConfigLoader, key: str) -> Any:
    """Return what ``loader`` makes of conf/, or a copy of what another made of the same text for the same run."""
    if key in loader.data or key == "credentials":  # set by hand, or taken from the environment
        return read(loader, key)
    folder = Path(loader.conf_source)
    text = tuple(
        (str(path.relative_to(folder)), path.read_bytes()) for path in sorted(folder.rglob("*")) if path.is_file()
    )
    asked = (
        key,
        loader.env,
        repr(loader.runtime_params),
        repr(loader.config_patterns),
        repr(loader.merge_strategy),
        text,
    )
    if asked not in KNOWN:
        KNOWN[asked] = read(loader, key)
    return deepcopy(KNOWN[asked])


@cache
def pickled(text: str) -> bytes:
    return pickle.dumps(load(io.StringIO(text)))


def load_once(file: Any) -> Any:
    """Return what OmegaConf makes of a file's text: a pickle of it is read in an eighth of the time."""
    return pickle.loads(pickled(file.read() if hasattr(file, "read") else Path(file).read_text()))


def install() -> None:
    """Let every test of this process read conf/ that way, YAML by libyaml where that is there, and parse the same
    interpolation once."""
    OmegaConf.load = staticmethod(load_once)  # type: ignore[assignment,method-assign]
    OmegaConfigLoader.__getitem__ = read_once  # type: ignore[method-assign]
    omegaconf.base.parse = cache(omegaconf.base.parse)
    yaml.SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # type: ignore[misc]
