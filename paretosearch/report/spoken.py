"""Lines that tell a person of a launch."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from rich.console import Console
from rich.text import Text

from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.report.progress import Progress, Row
from paretosearch.report.screen import standing
from paretosearch.report.stages import keeping_on
from paretosearch.report.words import counted, seconds_text, words

#: Devices that a line on how a launch stands names.
_MOST_NAMED = 4


def say(console: Console, line: Text, wraps: bool = False) -> None:
    """Print a line, with question marks for letters that the console lacks.

    Args:
        console: Where.
        line: What to say.
        wraps: Whether it is broken to the console's width; in a log file a line stays one, however long.
    """
    alphabet = console.encoding
    line.plain = line.plain.encode(alphabet, "replace").decode(alphabet)  # or rich would hold it, and all after it
    with keeping_on():
        console.print(line, soft_wrap=not wraps)


def verdict(progress: Progress, row: Row, device_class: str, trial: int, outcome: Outcome, on_front: bool) -> Text:
    """Say how a trial ended.

    Args:
        progress: The launch.
        row: What the device did when it ended.
        device_class: The device's class, which is named where there are several.
        trial: Number of the trial, which the row may not know.
        outcome: How it ended.
        on_front: Whether it is on the front of the class.
    """
    name = row.name if row.trial == trial else f"trial {trial}"
    line = Text(f"{name}  ").append(_phrased(row.recipe, progress.axes))
    if outcome.status == "failed":
        return line.append(f"failed, {outcome.failure}: {outcome.message}", "red")
    if outcome.status == "stopped":
        return line.append("stopped; the next launch goes on with it")
    if outcome.status == "dominated":
        return line.append(f"ended early: {outcome.message}", "dim")
    where = progress.classes.get(device_class, "")
    seconds, accuracy = outcome.objectives
    taken = f"{'~' * outcome.noisy}{seconds_text(seconds)} s{f' on {where}' if where else ''}"
    line.append(f"{taken}  {100 * accuracy:.2f} %")
    return line.append("  on the front", "cyan") if on_front else line


def _phrased(recipe: Recipe | None, axes: Collection[str]) -> str:
    return f"{words(recipe, axes)}  " if recipe else ""


def begun_line(row: Row, axes: Collection[str]) -> Text:
    """Say what a device begins, and how long it is.

    Args:
        row: One that has a trial to train.
        axes: The searched fields and ``method.parameter`` names.
    """
    assert row.recipe is not None
    length = counted(row.recipe.total_epochs, "epoch")
    return Text(f"{row.name} begins on {row.device.label}, {length}: {words(row.recipe, axes)}")


def standing_line(progress: Progress) -> Text:
    """Say how a launch stands, and how far its trials are."""
    at_work = [text for row in progress.rows.values() if (text := _at_work(row))]
    return Text("; ".join([standing(progress).plain, *_some(at_work)]))


def _some(texts: list[str]) -> Iterator[str]:
    yield from texts[:_MOST_NAMED]
    if len(texts) > _MOST_NAMED:
        yield f"{len(texts) - _MOST_NAMED} more at work"


def _at_work(row: Row) -> str:
    if row.trial is None or row.recipe is None:
        return ""
    if row.purpose == "replay":  # which has no epochs
        return row.name
    done = row.epoch.epoch if row.epoch else 0
    reached = f", {100 * row.epoch.accuracy:.2f} %" if row.epoch else ""
    return f"{row.name}: {done} of {counted(row.recipe.total_epochs, 'epoch')}{reached}"
