"""What a training takes on another occasion, or another device, as a table."""

from __future__ import annotations

from typing import Any

from rich import box
from rich.table import Table

from paretosearch.outcome import Outcome


def phases_table(recorded: Outcome, here: Outcome) -> Table:
    """Make a table of a training's phases: as they were recorded, and as they are here."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("epoch", "steps", "batch", "run as", "recorded ms/step", "here ms/step", "here s"):
        table.add_column(title, justify="left" if title == "run as" else "right")
    for before, now in zip(recorded.phases, here.phases, strict=True):
        shown = before.epoch, before.steps, before.batch_size, now.tier
        figures = 1000 * before.step_seconds, 1000 * now.step_seconds, now.seconds
        table.add_row(*map(str, shown), *(f"{figure:.2f}" for figure in figures))
    return table


def retimed_line(recorded: Outcome, recorded_class: str, here: Outcome, here_class: str) -> str:
    """Say in one line what a training took, and what it takes here."""
    (before, _), (now, _) = recorded.objectives, here.objectives
    where = "here" if here_class == recorded_class else f"on {here_class}"
    return f"recorded {before:.2f} s on {recorded_class}; {where} {now:.2f} s ({now / before - 1:+.1%})"


def retimed_json(trial: int, recorded: Outcome, recorded_class: str, here: Outcome, here_class: str) -> dict[str, Any]:
    """Give the same as JSON can hold it."""
    return {
        "trial": trial,
        "recorded": {"device_class": recorded_class, **_plain(recorded)},
        "here": {"device_class": here_class, **_plain(here)},
    }


def _plain(outcome: Outcome) -> dict[str, Any]:
    kept = ("epoch", "steps", "batch_size", "tier", "pattern", "seconds", "step_seconds", "step_seconds_iqr")
    phases = [{name: getattr(phase, name) for name in kept} for phase in outcome.phases]
    return {"train_seconds": outcome.train_seconds, "noisy": outcome.noisy, "phases": phases}
