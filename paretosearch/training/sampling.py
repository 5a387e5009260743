"""Chooses which steps of a recorded training a replay times, and what they say about the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from paretosearch.outcome import Outcome, PhaseResult
from paretosearch.training.phases import BLOCK_STEPS

#: Share of a training that a replay may take, where that is enough for what follows.
SHARE = 0.03

#: Steps of a phase from which a median is of some use: two blocks behind a warm-up of two.
LEAST_STEPS = 2 * BLOCK_STEPS + 2

#: How far a phase may be off that is scaled from another one, for each factor e between their recorded steps. Where a
#: narrower network saves nothing, as on a GPU that its host cannot keep busy, it would be 1.
UNSURE = 0.5

#: What phases of other batch sizes, tiers or patterns are apart beyond that, and all phases of a disturbed training,
#: whose recorded steps say little.
OTHER_SETTING, DISTURBED = 0.3, 0.1

#: Relative doubt about a training's seconds at which nothing more is timed: within the share, and beyond it.
ENOUGH, TOLERABLE = 0.003, 0.015


@dataclass(frozen=True)
class Sample:
    """What to time of a training.

    Args:
        steps: How many steps of which phases, by number.
        doubt: By how much the seconds may be off since the other phases are not timed, as a share of all.
    """

    steps: Mapping[int, int]
    doubt: float


def sample(outcome: Outcome) -> Sample:
    """Choose the phases to time, those first that say most about all, and as many steps of each as it stands for.

    Args:
        outcome: A training, with its phases.
    """
    phases, disturbed = outcome.phases, DISTURBED if outcome.noisy else 0.0
    seconds = np.array([phase.seconds for phase in phases])
    shares = seconds / max(seconds.sum(), 1e-9)
    apart = np.array([[_apart(one, other) + disturbed for other in phases] for one in phases])
    np.fill_diagonal(apart, 0.0)
    chosen: list[int] = []
    nearest, doubt, cost = np.full(len(phases), np.inf), math.inf, 0.0
    while doubt > (ENOUGH if cost < SHARE * seconds.sum() else TOLERABLE):
        doubts = [UNSURE * float(shares @ np.minimum(nearest, row)) for row in apart]
        chosen.append(int(np.argmin(doubts)))
        nearest, doubt = np.minimum(nearest, apart[chosen[-1]]), min(doubts)
        cost += LEAST_STEPS * phases[chosen[-1]].step_seconds
    stands_for = np.array(chosen)[np.argmin(apart[chosen], axis=0)]
    return Sample({i: _steps(phases, i, stands_for == i) for i in sorted(chosen)}, doubt)


def _apart(one: PhaseResult, other: PhaseResult) -> float:
    """Say how much less of one phase is known when the other one has been timed."""
    return abs(_log_step(one) - _log_step(other)) + (0.0 if _setting(one) == _setting(other) else OTHER_SETTING)


def _log_step(phase: PhaseResult) -> float:
    return math.log(max(phase.step_seconds, 1e-9))


def _setting(phase: PhaseResult) -> tuple[int, str, str]:
    return phase.batch_size, phase.tier, phase.pattern


def _steps(phases: Sequence[PhaseResult], number: int, stands_for: np.ndarray) -> int:
    """Give the steps to time of a phase, no more than there are of those that it stands for."""
    of = [phase for phase, is_of in zip(phases, stands_for, strict=True) if is_of]
    wanted = SHARE * sum(phase.seconds for phase in of) / max(phases[number].step_seconds, 1e-9)
    return max(1, min(max(LEAST_STEPS, round(wanted)), sum(phase.steps for phase in of)))


def completed(recorded: Sequence[PhaseResult], timed: Mapping[int, PhaseResult]) -> tuple[PhaseResult, ...]:
    """Give all phases with the seconds of here.

    A phase that was not timed is slower or faster by as much as the timed ones of its setting are, between the two
    whose recorded steps are next to its own.

    Args:
        recorded: All phases, with the seconds of there.
        timed: Some of them with the seconds of here, by number; at least one.
    """
    rebuilt = _ratio([(timed[i].rebuild_seconds, recorded[i].rebuild_seconds) for i in timed])
    return tuple(
        timed[i] if i in timed else _scaled(phase, _factor(phase, recorded, timed), rebuilt)
        for i, phase in enumerate(recorded)
    )


def _factor(phase: PhaseResult, recorded: Sequence[PhaseResult], timed: Mapping[int, PhaseResult]) -> float:
    known = sorted((_log_step(recorded[i]), _log_step(timed[i]) - _log_step(recorded[i]), i) for i in timed)
    alike = [point for point in known if _setting(recorded[point[2]]) == _setting(phase)] or known
    return math.exp(float(np.interp(_log_step(phase), [x for x, _, _ in alike], [y for _, y, _ in alike])))


def _scaled(phase: PhaseResult, factor: float, rebuilt: float | None) -> PhaseResult:
    rebuild = phase.rebuild_seconds
    return replace(
        phase,
        seconds=phase.seconds * factor,
        step_seconds=phase.step_seconds * factor,
        step_seconds_iqr=phase.step_seconds_iqr * factor,
        rebuild_seconds=None if rebuild is None else rebuild * (factor if rebuilt is None else rebuilt),
    )


def _ratio(pairs: Sequence[tuple[float | None, float | None]]) -> float | None:
    """Divide the sum of the first by that of the second, where both are known; None if there is nothing to divide."""
    known = [(here, there) for here, there in pairs if here is not None and there]
    return sum(here for here, _ in known) / sum(there for _, there in known) if known else None
