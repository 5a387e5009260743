"""Says what comes next where the next thing takes long."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.text import Text


@contextmanager
def keeping_on() -> Iterator[None]:
    """Let a line that the disk of a log does not take be lost; who reads it no longer still ends the program."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError:
        pass


def show_stage(text: str, quiet: bool = False) -> None:
    """Write a dim line to stderr, so that what is asked for stays alone on stdout.

    Args:
        text: Such as ``preparing the data set``.
        quiet: Whether to write nothing.
    """
    with keeping_on():
        Console(stderr=True, quiet=quiet, highlight=False).print(Text(text, "dim"), soft_wrap=True)


def printing(console: Console) -> Callable[[str], None]:
    """Give what prints a line as it is, however long, among what is asked for."""
    return lambda text: console.print(text, markup=False, highlight=False, soft_wrap=True)
