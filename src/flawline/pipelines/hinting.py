"""Types that a node is only given when its method is known: by them Kedro knows what to make of the conf file."""

from collections.abc import Callable


def hinted(node: Callable, **types: type) -> Callable:
    """Return ``node`` with the arguments ``types`` hinted."""
    node.__annotations__.update(types)
    return node
