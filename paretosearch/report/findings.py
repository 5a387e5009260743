"""Everything about a study that plots and tables are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from paretosearch.errors import UsageError
from paretosearch.outcome import EpochResult
from paretosearch.report.history import growth
from paretosearch.store import AttemptRecord, Estimate, Front, Store, StudyRecord


@dataclass(frozen=True)
class Findings:
    """What a study has found on one class of device.

    Args:
        record: The study.
        device_class: The class.
        front: Its front; at least one point.
        attempts: Every attempt of the study, on any class.
        epochs: Epochs of the trials on the front, by trial.
        growth: Device-seconds and hypervolume in seconds after each change of the front.
        device_seconds: What the whole study has spent.
        curves: Seconds and accuracy after each epoch, by trial, of the study's own class of device.
        estimates: What results and their repeats say, by mean seconds.
    """

    record: StudyRecord
    device_class: str
    front: Front
    attempts: Sequence[AttemptRecord]
    epochs: Mapping[int, Sequence[EpochResult]]
    growth: Sequence[tuple[float, float]]
    device_seconds: float
    curves: Mapping[int, Sequence[tuple[float, float]]]
    estimates: Sequence[Estimate]

    @property
    def is_confirmed(self) -> bool:
        """Whether a result was repeated."""
        return any(estimate.repeats for estimate in self.estimates)

    @property
    def axes(self) -> tuple[str, ...]:
        """Searched fields and ``method.parameter`` names, in the order of the study file."""
        return tuple(self.record.space["declared"]["axes"])


def findings(store: Store, study: str, device_class: str | None = None) -> Findings:
    """Read a study.

    Args:
        store: Where it is kept.
        study: Its name.
        device_class: Whose times to show; the study's own if None.

    Returns:
        What it has found.

    Raises:
        UsageError: If no trial is complete on that class of device.
        StoreError: If there is no such study.
    """
    front, attempts = store.front(study, device_class), store.attempts(study)
    record = store.study(study)
    assert record is not None  # the front of a study that is not there is an error already
    device_class = device_class or record.device_class
    if not front.points:
        raise UsageError(_nothing(study, device_class, attempts))
    epochs = {point.trial: store.epochs(point.attempt) for point in front.points}
    grown = growth(front, store.front_events(study))
    return Findings(
        record=record,
        device_class=device_class,
        front=front,
        attempts=attempts,
        epochs=epochs,
        growth=grown,
        device_seconds=store.device_seconds(study),
        curves=store.curves(study, device_class),
        estimates=store.estimates(study, device_class),
    )


def _nothing(study: str, device_class: str, attempts: Sequence[AttemptRecord]) -> str:
    others = sorted({a.device_class for a in attempts if a.counts})
    if others:
        return f"study {study!r} has no result on {device_class!r} (allowed: {', '.join(others)})"
    return f"study {study!r} has no complete trial yet; see `paretosearch status {study}`"
