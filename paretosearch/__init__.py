"""Finds the Pareto front of training time against accuracy for a CNN."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paretosearch.api import launch, load_front, train

__all__ = ["launch", "load_front", "train"]


def __getattr__(name: str) -> Any:
    """Import a verb when it is first used: importing the package alone must stay instant."""
    if name not in __all__:
        raise AttributeError(f"module 'paretosearch' has no attribute {name!r}")
    from paretosearch import api

    return getattr(api, name)
