"""Finds the Pareto front of training time against accuracy for a CNN."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from paretosearch.api.fronts import load_front
    from paretosearch.api.launching import launch
    from paretosearch.api.training import train

__all__ = ["launch", "load_front", "train"]

_HOMES = {"launch": "launching", "load_front": "fronts", "train": "training"}


def __getattr__(name: str) -> Any:
    """Import a verb when it is first used, so that looking at a front never waits for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'paretosearch' has no attribute {name!r}")
    return getattr(import_module(f"paretosearch.api.{_HOMES[name]}"), name)
