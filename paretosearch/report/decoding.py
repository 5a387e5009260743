"""Shows how far the decoding of a folder of images is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def decoding_bar(console: Console) -> Iterator[Callable[[str, int, int], None]]:
    """Show a bar on a terminal as soon as there is something to decode, and nothing anywhere else.

    Args:
        console: Where to show it.

    Yields:
        A function of what is being done, how many images are done, and how many there are.
    """
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:

        def show(what: str, done: int, total: int) -> None:
            if not bar.tasks:
                bar.add_task(what, total=total)
            bar.update(bar.tasks[0].id, description=what, completed=done, total=total)

        yield show
