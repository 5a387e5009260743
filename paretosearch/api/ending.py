"""Says what a launch that has nothing to show came to, with what to do about it."""

from __future__ import annotations

from collections.abc import Sequence

from paretosearch.report.status import failures
from paretosearch.report.words import counted
from paretosearch.search import PLANS
from paretosearch.space import Space
from paretosearch.store import AttemptRecord
from paretosearch.studyfile import StudyFile


def spent(file: StudyFile, space: Space, trials: int, done: bool = False) -> str:
    """Say that nothing is left to do, and what would go on.

    Args:
        file: The study.
        space: What of it is searched here.
        trials: How many Trials it has.
        done: Whether its sampler has nothing more to ask for.
    """
    plan = PLANS.get(file.search.sampler)
    if plan is not None and trials == len(plan(space, file.first_in(space))):
        return f"study {file.name!r} has trained every recipe of its plan, {counted(trials, 'trial')}"
    if done:
        return f"study {file.name!r} has asked for every recipe of its space, {counted(trials, 'trial')}"
    by_trials = file.budget.trials is not None and trials >= file.budget.trials
    larger = f"--trials {2 * trials}" if by_trials else "a larger --device-hours"
    return f"the budget of study {file.name!r} is spent, with {counted(trials, 'trial')}; {larger} goes on"


def all_failed(file: StudyFile, trials: int, failed: int, attempts: Sequence[AttemptRecord]) -> str:
    """Say why a launch has no result, most often.

    Args:
        file: The study.
        trials: How many Trials it has.
        failed: How many of them this launch began, to see all of them fail.
        attempts: Those of this launch; none where no Recipe could be made.
    """
    classes = failures(attempts)
    why = f"{classes[0]['class']}: {classes[0]['message']}" if classes else "no Recipe could be made of them"
    which = (
        f"all {failed} trials of this launch failed, most often" if failed > 1 else "the trial of this launch failed,"
    )
    more = "" if file.search.sampler in PLANS else f", or try {failed} more by --trials {trials + failed}"
    return f"{which} {why}; change the study file and its name{more}"
