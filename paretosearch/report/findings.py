"""Everything about a study that plots and tables are made of."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from paretosearch.device import Device
from paretosearch.errors import UsageError
from paretosearch.outcome import EpochResult, SurgeryResult
from paretosearch.report.classes import fronts_of
from paretosearch.report.history import growth
from paretosearch.report.shapes import change_of
from paretosearch.store import AttemptRecord, Counts, Estimate, Front, Point, Store, StudyRecord

#: Networks in one figure of shapes that a reader can tell apart.
MOST_SHAPED = 5


@dataclass(frozen=True)
class OnClass:
    """What a study has found on one class of device.

    Args:
        device_class: The class.
        front: Its front; at least one point.
        growth: Device-seconds and hypervolume in seconds after each change of the front.
    """

    device_class: str
    front: Front
    growth: Sequence[tuple[float, float]]

    def point(self, trial: int) -> Point | None:
        """Give the result of a trial on this class; None if it has none."""
        return next((p for p in (*self.front.points, *self.front.dominated) if p.trial == trial), None)


@dataclass(frozen=True)
class Findings:
    """What a study has found on one class of device, and the fronts on others.

    Args:
        record: The study.
        device_class: The class.
        front: Its front; at least one point.
        attempts: Every attempt of the study, on any class.
        epochs: Epochs of the trials on the front and of `shaped`, by trial.
        growth: Device-seconds and hypervolume in seconds after each change of the front.
        device_seconds: What the whole study has spent.
        surgeries: What was done to the shapes of networks, or noticed, by trial, where something was; on any class.
        changes: What became of the networks that changed their shape, by trial.
        shaped: Results whose network changed its shape, to be looked at first.
        counts: How many trials ended how.
        devices: Where it was trained.
        estimates: What results and their repeats say, by mean seconds.
        others: What it has found on other classes of device.
    """

    record: StudyRecord
    device_class: str
    front: Front
    attempts: Sequence[AttemptRecord]
    epochs: Mapping[int, Sequence[EpochResult]]
    growth: Sequence[tuple[float, float]]
    device_seconds: float
    surgeries: Mapping[int, Sequence[SurgeryResult]]
    changes: Mapping[int, str]
    shaped: Sequence[Point]
    counts: Counts
    devices: Sequence[Device]
    estimates: Sequence[Estimate]
    others: Sequence[OnClass] = ()

    @property
    def classes(self) -> tuple[OnClass, ...]:
        """What it has found on every class, the one of all the rest first."""
        return OnClass(self.device_class, self.front, self.growth), *self.others

    @property
    def is_confirmed(self) -> bool:
        """Whether a result was repeated."""
        return any(estimate.repeats for estimate in self.estimates)

    @property
    def on_fronts(self) -> tuple[Point, ...]:
        """Results on the front of any class, one a trial: that on the first class where the trial is on the front."""
        first: dict[int, Point] = {}
        for of_class in self.classes:
            for point in of_class.front.points:
                first.setdefault(point.trial, point)
        return tuple(first.values())

    @property
    def members(self) -> tuple[int, ...]:
        """Trials that are on a front, by their seconds on the first class; those without a result there come last."""
        everyone = {point.trial: self.classes[0].point(point.trial) for point in self.on_fronts}
        return tuple(
            sorted(everyone, key=lambda trial: (p.train_seconds if (p := everyone[trial]) else math.inf, trial))
        )

    @property
    def axes(self) -> tuple[str, ...]:
        """Searched fields and ``method.parameter`` names, in the order of the study file."""
        return tuple(self.record.space["declared"]["axes"])


def findings(store: Store, study: str, device_class: str | None = None) -> Findings:
    """Read a study.

    Args:
        store: Where it is kept.
        study: Its name.
        device_class: Whose times to show; the study's own if None, and beside it the fronts on all other classes.

    Returns:
        What it has found.

    Raises:
        UsageError: If no trial is complete on that class of device.
        StoreError: If there is no such study.
    """
    front, attempts = store.front(study, device_class), store.attempts(study)
    record = store.study(study)
    assert record is not None  # the front of a study that is not there is an error already
    fronts = {} if device_class else fronts_of(store, study)
    device_class = device_class or record.device_class
    if not front.points:
        raise UsageError(_nothing(study, device_class, attempts))
    surgeries = _surgeries_on(store, study, [*fronts, device_class])
    changes = {trial: change for trial, done in surgeries.items() if (change := change_of(done))}
    shaped = _shaped(front, changes)
    epochs = {point.trial: store.epochs(point.attempt) for point in (*front.points, *shaped)}
    events = store.front_events(study)
    return Findings(
        record=record,
        device_class=device_class,
        front=front,
        attempts=attempts,
        epochs=epochs,
        growth=growth(front, events),
        device_seconds=store.device_seconds(study),
        surgeries=surgeries,
        changes=changes,
        shaped=shaped,
        counts=store.counts(study),
        devices=store.devices(study),
        estimates=store.estimates(study, device_class),
        others=[OnClass(name, of, growth(of, events)) for name, of in fronts.items() if name != device_class],
    )


def _surgeries_on(store: Store, study: str, classes: Collection[str]) -> dict[int, Sequence[SurgeryResult]]:
    """Give the changes of shape of all results on any of some classes, by trial: they are the same on all."""
    return {trial: done for name in classes for trial, done in store.surgeries_of(study, name).items()}


def _shaped(front: Front, changes: Mapping[int, str]) -> list[Point]:
    """Choose networks that changed: pruned ones before those that only grew, the front before others."""
    best_first = (*front.points[::-1], *sorted(front.dominated, key=lambda point: -point.accuracy))
    changed = [point for point in best_first if point.trial in changes]
    chosen = sorted(changed, key=lambda point: "pruned" not in changes[point.trial])[:MOST_SHAPED]
    return sorted(chosen, key=lambda point: point.train_seconds)


def _nothing(study: str, device_class: str, attempts: Sequence[AttemptRecord]) -> str:
    others = sorted({a.device_class for a in attempts if a.counts})
    if others:
        return f"study {study!r} has no result on {device_class!r} (allowed: {', '.join(others)})"
    return f"study {study!r} has no complete trial yet; see `paretosearch status {study}`"
