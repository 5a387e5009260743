"""What a training takes on another occasion, or another device, as a table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from rich import box
from rich.table import Table

from paretosearch.outcome import Outcome
from paretosearch.report.notebook import StudyFront
from paretosearch.report.tables import front_json
from paretosearch.report.words import counted, duration_text
from paretosearch.store.agreement import Agreement

#: What is on the clock and no step: rebuilding, compiling, the statistics of batch norm, the decisions of Methods.
OUTSIDE = "outside the steps"


def phases_table(recorded: Outcome, here: Outcome) -> Table:
    """Make a table of a training's phases, as they were recorded and as they are here; its seconds add up to all."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for title in ("epochs", "steps", "batch", "run as"):
        table.add_column(title, justify="left" if title in ("epochs", "run as") else "right", no_wrap=True)
    for title in ("recorded\nms/step", "here\nms/step", "recorded\nseconds", "here\nseconds"):
        table.add_column(title, justify="right", no_wrap=True)
    for epochs, before, now in zip(_spans(recorded), recorded.phases, here.phases, strict=True):
        shown = epochs, str(before.steps), str(before.batch_size), now.tier
        figures = 1000 * before.step_seconds, 1000 * now.step_seconds, before.seconds, now.seconds
        table.add_row(*shown, *(f"{figure:.2f}" for figure in figures))
    table.add_row(OUTSIDE, *[""] * 5, *(f"{_outside(outcome):.2f}" for outcome in (recorded, here)))
    return table


def _spans(outcome: Outcome) -> Iterator[str]:
    """Say which epochs each phase is of, from 1; two phases may share one, as when its first steps were a trial."""
    begun = [phase.epoch for phase in outcome.phases]
    for first, end in zip(begun, [*begun[1:], len(outcome.epochs)], strict=True):
        yield f"{first + 1}" if end <= first + 1 else f"{first + 1}-{end}"


def _outside(outcome: Outcome) -> float:
    assert outcome.train_seconds is not None
    return outcome.train_seconds - sum(phase.seconds for phase in outcome.phases)


def retimed_line(recorded: Outcome, recorded_class: str, here: Outcome, here_class: str) -> str:
    """Say in one line what a training took, and what it takes here; ~ where its steps were disturbed."""
    (before, _), (now, _) = recorded.objectives, here.objectives
    where = "here" if here_class == recorded_class else f"on {here_class}"
    taken, takes = _marked(recorded), _marked(here)
    return f"recorded {taken} s on {recorded_class}; {where} {takes} s ({now / before - 1:+.1%})"


def _marked(outcome: Outcome) -> str:
    return f"{'~' if outcome.noisy else ''}{outcome.objectives[0]:.2f}"


def retimed_notes(recorded: Outcome, here: Outcome) -> Iterator[str]:
    """Say what the comparison is worth, and that it changes nothing."""
    if recorded.noisy:
        yield "~ the recorded steps were disturbed, so the difference says little"
    if here.noisy:
        yield "~ the steps were disturbed here; time it again when nothing else runs"
    yield "the study is left as it is"


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


def brought_notes(
    agreements: Mapping[str, Agreement], timed: int, device_seconds: float, share: float
) -> Iterator[str]:
    """Say what it has taken to bring a front to other devices, and how far it can be trusted.

    Args:
        agreements: How replays and trainings agree, by class of device.
        timed: Trials that were timed.
        device_seconds: Seconds of devices that this took.
        share: That as a share of all that the study has cost, in [0, 1].
    """
    if not timed:
        yield "nothing was left to time: every trial that may be on these fronts has its seconds here"
    else:
        cost = f"{duration_text(device_seconds)} of device time, {share:.1%} of what the study has cost"
        yield f"{counted(timed, 'trial')} timed without training, in {cost}"
    for device_class, found in agreements.items():
        rank = "" if found.tau is None else f", rank correlation {found.tau:.2f} (Kendall)"
        errors = f"median error {found.median_error:.1%}, worst {found.worst_error:.1%}{rank}"
        yield f"beside trainings on {device_class}: {counted(found.trials, 'trial')}, {errors}"


def brought_json(
    fronts: Sequence[StudyFront],
    agreements: Mapping[str, Agreement],
    timed: int,
    device_seconds: float,
    share: float,
) -> dict[str, Any]:
    """Give the same, and the fronts, as JSON can hold it."""
    return {
        "fronts": {front.device_class: front_json(front) for front in fronts},
        "agreements": {device_class: asdict(found) for device_class, found in agreements.items()},
        "timed": timed,
        "device_seconds": device_seconds,
        "share": share,
    }
