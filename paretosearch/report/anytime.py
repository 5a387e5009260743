"""The anytime front: what trainings had reached on their way, where they could have ended there."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paretosearch.report.simulated import simulated, simulated_lines
from paretosearch.report.words import seconds_text, words
from paretosearch.store import Front, Point

#: Schedules under which an epoch is as good as the last one of a shorter training. Others lower the rate towards their
#: end, so that what they have on the way is less than a shorter training would have come to.
ENDS_ANYWHERE = ("constant",)


@dataclass(frozen=True)
class Stage:
    """A training after some of its epochs.

    Args:
        point: The training.
        epoch: Epochs done.
        train_seconds: Seconds on the training clock by then.
        accuracy: Share of the validation split classified correctly by then, in [0, 1].
    """

    point: Point
    epoch: int
    train_seconds: float
    accuracy: float


def anytime_front(front: Front, curves: Mapping[int, Sequence[tuple[float, float]]]) -> list[Stage]:
    """Find the non-dominated among all results, and all epochs of trainings that could have ended anywhere.

    Args:
        front: All results of a study.
        curves: Training seconds and accuracy after each epoch, by trial.

    Returns:
        Stages by seconds.
    """
    stages = [stage for point in (*front.points, *front.dominated) for stage in _stages(point, curves)]
    best, kept = -1.0, []
    for stage in sorted(stages, key=lambda s: (s.train_seconds, -s.accuracy, s.point.trial, s.epoch)):
        if stage.accuracy > best:
            best = stage.accuracy
            kept.append(stage)
    return kept


def _stages(point: Point, curves: Mapping[int, Sequence[tuple[float, float]]]) -> list[Stage]:
    whole = Stage(point, point.recipe.total_epochs, point.train_seconds, point.accuracy)
    if point.recipe.schedule not in ENDS_ANYWHERE:
        return [whole]
    early = enumerate(curves.get(point.trial, ())[:-1], 1)
    return [*(Stage(point, epoch, seconds, accuracy) for epoch, (seconds, accuracy) in early), whole]


def anytime_table(stages: Sequence[Stage], axes: Collection[str]) -> RenderableType:
    """Show an anytime front."""
    if not stages:
        return Text("no trial is complete yet", "dim")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in ("trial", "epoch", "seconds", "accuracy"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("recipe")
    for stage in stages:
        recipe = stage.point.recipe
        epoch = f"{stage.epoch}/{recipe.total_epochs}"
        numbers = (str(stage.point.trial), epoch, seconds_text(stage.train_seconds), f"{100 * stage.accuracy:.2f} %")
        table.add_row(*numbers, Text(words(recipe, axes)))
    return Group(table, *(Text(note, "dim") for note in _notes(stages)))


def _notes(stages: Sequence[Stage]) -> Iterator[str]:
    if not any(stage.point.recipe.schedule in ENDS_ANYWHERE for stage in stages):
        yield f"none of these could have ended early: only schedule = {', '.join(ENDS_ANYWHERE)} allows that"
    yield from simulated_lines(list({stage.point.trial: stage.point for stage in stages}.values()))


def anytime_json(stages: Sequence[Stage]) -> list[dict[str, Any]]:
    """Give an anytime front as JSON can hold it."""
    return [
        {
            "trial": stage.point.trial,
            "epoch": stage.epoch,
            "train_seconds": stage.train_seconds,
            "accuracy": stage.accuracy,
            "simulated": list(simulated(stage.point)),
            "recipe": json.loads(stage.point.recipe.to_json()),
        }
        for stage in stages
    ]
