"""Carries the seconds within a recorded training over to another device, of which its phases are known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np

from paretosearch.outcome import NOTES, EpochResult, Outcome, PhaseResult, SurgeryResult


def carried_over(recorded: Outcome, phases: Sequence[PhaseResult]) -> Outcome:
    """Give an Outcome with the seconds of here, those of its epochs and changes of shape among them.

    What was neither for steps nor for changes of shape, such as the search for dead channels, is taken to be slower or
    faster as the steps are. The moments of a phase are spread over it as they were there.

    Args:
        recorded: The Outcome, with the seconds of there.
        phases: Its phases, with the seconds of here.
    """
    beside = 1 + _decisions(recorded) / (sum(phase.seconds for phase in recorded.phases) or 1.0)
    there, here = (_ends(some, beside) for some in (recorded.phases, phases))
    assert recorded.train_seconds is not None
    if there[-1] > 0:
        there *= recorded.train_seconds / there[-1]
    seconds = float(here[-1])
    return replace(
        recorded,
        train_seconds=seconds,
        wall_seconds=seconds,
        images_per_second=sum(phase.steps * phase.batch_size for phase in phases) / seconds,
        energy_joules=None,
        epochs=_epochs(recorded, phases, lambda moment: float(np.interp(moment, there, here))),
        surgeries=tuple(_surgery(surgery, recorded.phases, phases) for surgery in recorded.surgeries),
        phases=tuple(phases),
    )


def _ends(phases: Sequence[PhaseResult], beside: float) -> np.ndarray:
    """Give the moments at which rebuilding and the steps of each phase end, behind that of the start."""
    parts = ((phase.rebuild_seconds or 0.0, phase.seconds * beside) for phase in phases)
    return np.cumsum([0.0, *chain.from_iterable(parts)])


def _decisions(outcome: Outcome) -> float:
    """Give the seconds that were neither for steps nor for changes of shape; old records do not tell these apart."""
    assert outcome.train_seconds is not None
    rebuilding = [phase.rebuild_seconds for phase in outcome.phases if phase.rebuild_seconds is not None]
    known = len(rebuilding) == len(outcome.phases)
    rebuilt = sum(rebuilding) if known else sum(surgery.seconds for surgery in outcome.surgeries)
    return max(0.0, outcome.train_seconds - sum(phase.seconds for phase in outcome.phases) - rebuilt)


def _epochs(
    recorded: Outcome, phases: Sequence[PhaseResult], moment: Callable[[float], float]
) -> tuple[EpochResult, ...]:
    found = []
    for epoch in recorded.epochs:
        phase = _phase_of(recorded.phases, epoch.epoch - 1)
        factor = _factor(recorded.phases[phase].step_seconds, phases[phase].step_seconds)
        found.append(
            replace(
                epoch,
                train_seconds=moment(epoch.train_seconds),
                step_seconds=epoch.step_seconds * factor,
                step_seconds_iqr=epoch.step_seconds_iqr * factor,
            )
        )
    return tuple(found)


def _surgery(surgery: SurgeryResult, there: Sequence[PhaseResult], here: Sequence[PhaseResult]) -> SurgeryResult:
    """Scale the seconds of a change as rebuilding is, where a phase begins with it; as the steps are, elsewhere."""
    number = _phase_of(there, surgery.epoch)
    before, now = there[number], here[number]
    is_change = surgery.kind not in NOTES
    begins = is_change and before.epoch == surgery.epoch and before.rebuild_seconds and now.rebuild_seconds
    own = (before.rebuild_seconds, now.rebuild_seconds) if begins else (before.step_seconds, now.step_seconds)
    return replace(surgery, seconds=surgery.seconds * _factor(*own))


def _phase_of(phases: Sequence[PhaseResult], epochs_done: int) -> int:
    """Find the last phase that had begun when so many epochs were done and the next one was on its way."""
    return max((i for i, phase in enumerate(phases) if phase.epoch <= epochs_done), default=0)


def _factor(there: float | None, here: float | None) -> float:
    return here / there if there and here else 1.0
