"""Times a finished trial of a study again, without training it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from paretosearch.api.contents import remark
from paretosearch.api.fronts import attempts_of, open_study
from paretosearch.api.training import ATTEMPT, one_wish, prepare, run_alone, taken
from paretosearch.errors import UsageError
from paretosearch.fleet.base import Assignment
from paretosearch.outcome import Outcome
from paretosearch.store import Store
from paretosearch.store.records import AttemptRecord


@dataclass(frozen=True)
class Retimed:
    """A trial's seconds as they were recorded, and as they are here.

    Args:
        trial: Its number.
        device_class: Class of the device that trained it.
        recorded: How its training went.
        here_class: Class of the device that it was timed on.
        here: The same training with the seconds of that device; a failed Outcome if it cannot be timed there.
        remark: How the data set differs from what the trial was trained with; empty if it does not.
    """

    trial: int
    device_class: str
    recorded: Outcome
    here_class: str
    here: Outcome
    remark: str = ""


def retime(
    trial: int,
    study: str | None = None,
    gpus: str | int | None = None,
    cpu: str | int | None = None,
    storage: str | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
) -> Retimed:
    """Find the training seconds that a finished trial takes on a device of this machine, in a few seconds.

    The study is left as it is.

    Args:
        trial: Number of the trial.
        study: Name of its study; None is the newest one.
        gpus: Index of one GPU.
        cpu: One slot of cores, such as ``1x4``; with neither wish the first GPU, else one core.
        storage: Database URL; None is ``PARETOSEARCH_STORAGE``, else the SQLite file here.
        on_stage: Called with what comes next, before everything that takes long.

    Returns:
        What was recorded, and what was measured.

    Raises:
        UsageError: If there is no such study, or its trial has no result or no phases, or two devices are asked for.
        DataError: If the data set is not to be had.
        DeviceError: If the device does not exist or is in use.
    """
    wish = one_wish("retime", gpus, cpu)
    store, name = open_study(study, storage)
    with closing(store):
        attempt = _finished(store, name, trial)
        recorded = _outcome(store, attempt)
    with taken(wish) as device:
        on_stage("preparing the data set")
        different = remark(prepare(attempt.recipe), name, storage)
        on_stage(f"starting a Worker on {device.label} that times some steps of every phase")
        here = run_alone(device, Assignment(ATTEMPT, trial, attempt.recipe, replay=recorded))
    return Retimed(trial, attempt.device_class, recorded, device.device_class, here, different)


def _finished(store: Store, study: str, trial: int) -> AttemptRecord:
    attempts = attempts_of(store, study, trial)
    for attempt in attempts:
        if attempt.outcome == "complete":
            return attempt
    raise UsageError(f"trial {trial} of study {study!r} {_why_not(attempts[-1])}")


def _why_not(attempt: AttemptRecord) -> str:
    """Say why a trial has no result yet, or never will, by its last attempt."""
    if attempt.outcome is None:
        return "is running; it can be timed again when it has ended"
    if attempt.outcome == "stopped":
        return "was stopped; the next launch goes on with it, and then it can be timed again"
    return f"failed ({attempt.failure}: {attempt.message}), so there is nothing to time again"


def _outcome(store: Store, attempt: AttemptRecord) -> Outcome:
    outcome = store.outcome(attempt)
    if not outcome.phases:
        raise UsageError(
            f"trial {attempt.trial} was trained by a version that kept no phases, so it cannot be timed again; "
            f"train it once more: paretosearch train --trial {attempt.trial} --study {attempt.study}"
        )
    return outcome
