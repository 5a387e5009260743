"""Finds what other installed packages bring, by entry point."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from paretosearch.errors import ParetosearchError

#: Groups of entry points: what a package brings under the first is a function of nothing that gives
#: `paretosearch.data.Arrays`, under the second one of a `paretosearch.nets.NetSpec` that gives a network.
DATASETS, NETWORKS = "paretosearch.datasets", "paretosearch.networks"


@dataclass(frozen=True)
class Plugin:
    """A function that an installed package brings.

    Args:
        entry: Where it is.
        what: What it makes, for messages.
        error: What is raised where it cannot be had.
    """

    entry: EntryPoint
    what: str
    error: type[ParetosearchError]

    @property
    def package(self) -> str:
        """Name and version of the package."""
        return f"{self.entry.dist.name} {self.entry.dist.version}" if self.entry.dist else self.entry.module

    def load(self) -> Callable[..., Any]:
        """Import the function.

        Raises:
            ParetosearchError: Of the plugin's class, if that does not work.
        """
        try:
            function = self.entry.load()
        except (Exception, SystemExit) as error:  # whatever a module does when it is imported
            raise self.complaint(f"cannot be imported: {said(error)}") from error
        if not callable(function):
            raise self.complaint(f"is of type {type(function).__name__}, and must be a function")
        return function  # type: ignore[no-any-return]  # nobody knows what it takes

    def call(self, *arguments: object) -> Any:
        """Call the function.

        Raises:
            ParetosearchError: Of the plugin's class, if it cannot be imported or raises anything else than ours.
        """
        function = self.load()
        try:
            return function(*arguments)
        except ParetosearchError:
            raise
        except Exception as error:
            raise self.complaint(f"raised {said(error)}") from error

    def complaint(self, text: str) -> ParetosearchError:
        """Make a complaint about what the package brings."""
        return self.error(f"{self.what} {self.entry.name!r} of {self.package} ({self.entry.value}) {text}")

    @property
    def digest(self) -> str:
        """Another text for another version of the package, and for other source code of the function's module."""
        try:
            spec = find_spec(self.entry.module)
            code = Path(spec.origin).read_bytes() if spec and spec.origin else b""
        except (ImportError, OSError, ValueError):
            code = b""
        return hashlib.sha256(self.package.encode() + b"\0" + code).hexdigest()[:32]


def names(group: str) -> tuple[str, ...]:
    """List what installed packages bring in a group."""
    return tuple(sorted({entry.name for entry in entry_points(group=group)}))


def find(group: str, name: str, what: str, error: type[ParetosearchError]) -> Plugin | None:
    """Find what a package brings under a name; None if none does.

    Raises:
        ParetosearchError: Of the class ``error``, if several packages do.
    """
    found = {entry.value: entry for entry in entry_points(group=group, name=name)}
    plugins = [Plugin(entry, what, error) for entry in found.values()]
    if len(plugins) > 1:
        packages = " and ".join(plugin.package for plugin in plugins)
        raise error(f"{packages} both bring a {what} {name!r}; uninstall one of them")
    return plugins[0] if plugins else None


def said(error: BaseException) -> str:
    """Give an exception of somebody else's code in one line."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
