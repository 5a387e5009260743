"""The values that the store takes and gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from paretosearch.outcome import FailureClass, Purpose, Status
from paretosearch.recipe import Recipe


@dataclass(frozen=True)
class StudyRecord:
    """A study as it was launched first.

    Args:
        name: Its name.
        text: Its file's text.
        space_hash: Name of its Space.
        space: The Space, as JSON can hold it.
        sampler: Name of its sampler.
        seed: Its seed.
        device_class: The class of device whose seconds the sampler sees.
        versions: Version of every package that measures.
        created: When it was launched first, with a time zone.
        number_formats: What the device makes of each of the study's number formats, by name: ``relative``, seconds of a
            step relative to fp32, None if not measured; ``reason`` to leave it out; ``slow``, whether that is its speed
            alone. Empty if nothing had to be measured, or the study is older than this.
        data_sets: What each of its data sets holds, by name: ``digest``; ``images`` of each split; ``classes``. None if
            the study is older than this, until it is launched again.
    """

    name: str
    text: str
    space_hash: str
    space: Mapping[str, Any]
    sampler: str
    seed: int
    device_class: str
    versions: Mapping[str, str]
    created: datetime
    number_formats: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    data_sets: Mapping[str, Mapping[str, Any]] | None = None


@dataclass(frozen=True)
class AttemptRecord:
    """One try at training a trial.

    Args:
        id: Row of ``ps_attempt``.
        study: Name of the study.
        trial: Number of the trial in the study.
        number: Number of the attempt in the trial, from 1.
        device: UUID of the device.
        device_class: Its class.
        recipe: What is trained.
        digest: Name of the Recipe whatever its seed.
        seed: Seed of the Recipe.
        started: When it began, in UTC.
        ended: When its Outcome was stored, in UTC; None while it runs.
        device_seconds: Seconds that it kept the device; None while it runs.
        counts: Whether its objectives are the trial's on this class of device.
        purpose: ``search``; ``confirm`` for one that repeats a result with another seed; ``replay`` for one that times
            a training again, without training.
        outcome: Status of the Outcome; None while it runs. The fields below are those of the Outcome.
        by_integers: Whether dynamic fixed point was computed by integers, and not simulated.
    """

    id: int
    study: str
    trial: int
    number: int
    device: str
    device_class: str
    recipe: Recipe
    digest: str
    seed: int
    started: datetime
    ended: datetime | None
    device_seconds: float | None
    counts: bool
    purpose: Purpose
    outcome: Status | None
    failure: FailureClass | None
    message: str
    detail: str
    train_seconds: float | None
    wall_seconds: float | None
    accuracy: float | None
    test_accuracy: float | None
    training_flops: int | None
    inference_flops: int | None
    parameters: int | None
    peak_memory_bytes: int | None
    images_per_second: float | None
    energy_joules: float | None
    noisy: bool
    drift: float | None = None
    by_integers: bool = False

    @property
    def is_copy(self) -> bool:
        """Whether it is a result of another study, which cost this one nothing; it may have been a replay there."""
        return self.purpose == "search" and self.outcome == "complete" and self.device_seconds == 0.0


@dataclass(frozen=True)
class FrontChange:
    """What a complete trial did to the front of its class of device.

    Args:
        entered: Whether it is on the front since then.
        left: Trials that left because of it.
        hypervolume: Hypervolume of the front now, in seconds.
        size: Points on the front now.
    """

    entered: bool
    left: tuple[int, ...]
    hypervolume: float
    size: int


@dataclass(frozen=True)
class FrontEvent:
    """A trial entered or left a front.

    Args:
        device_class: The front's class of device.
        trial: Who entered or left.
        kind: Which of the two.
        cause: The complete trial that brought it about.
        hypervolume: Hypervolume of the front after ``cause``, in seconds.
        reference_seconds: Training seconds of its reference point, whose accuracy is 0.
        device_seconds: What the study had spent by then.
        moment: When, in UTC.
    """

    device_class: str
    trial: int
    kind: Literal["entered", "left"]
    cause: int
    hypervolume: float
    reference_seconds: float
    device_seconds: float
    moment: datetime


@dataclass(frozen=True)
class StopDecision:
    """A training was found to be dominated whatever came of the rest of it.

    Args:
        attempt: Row of ``ps_attempt``.
        trial: Number of its trial.
        epoch: Epochs that it had done.
        train_seconds: Seconds on the training clock by then.
        least_seconds: The least that its end could have come to.
        most_accuracy: The most that its end could have come to, in [0, 1].
        dominated_by: A trial that is at least as good in both.
        curves: Completed trainings from which that was known.
        audited: Whether it ran on all the same, to see whether that was right.
        moment: When, in UTC.
    """

    attempt: int
    trial: int
    epoch: int
    train_seconds: float
    least_seconds: float
    most_accuracy: float
    dominated_by: int
    curves: int
    audited: bool
    moment: datetime


@dataclass(frozen=True)
class Counts:
    """How many trials of a study ended how.

    Args:
        complete: Trials with a result.
        failed: Trials without one that were given up, as their last attempt failed.
        running: Trials without one that are being trained.
        stopped: Trials without one that the user stopped, and that the next launch goes on with.
        dominated: Trials that were stopped early, as even their best ending would have been dominated.
        lost: Trials without one whose last attempt failed by no fault of theirs, and that are to be tried again.
        failures: Failed attempts by class, those of trials that were retried with success among them.
    """

    complete: int
    failed: int
    running: int
    stopped: int
    dominated: int
    lost: int
    failures: Mapping[FailureClass, int]
