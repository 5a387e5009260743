"""Tells a program what happens while a launch runs: one JSON object a line."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any, TextIO

from paretosearch.device import Device
from paretosearch.outcome import EpochResult, Outcome, Purpose
from paretosearch.recipe import Recipe
from paretosearch.report.progress import Follower
from paretosearch.report.stages import keeping_on
from paretosearch.store import Front

#: What is told of an Outcome; the rest is in the store.
_MEASURES = ("train_seconds", "accuracy", "noisy", "failure", "message")


class EventStream(Follower):
    """Writes every event of a launch as it comes.

    Each has an ``event``: ``starting`` (``workers``), ``joined`` (``device``), ``started`` (``device``, ``trial``,
    ``recipe``, ``purpose``), ``epoch`` (``device``, ``trial`` and the fields of `EpochResult`), ``finished``
    (``device``, ``trial``, ``purpose``, ``status``, ``on_front`` of the device's class, and what there is of seconds,
    accuracy and failure), ``front`` (``trials``, fastest first, ``hypervolume`` in seconds, and the ``device_class``
    that both are of) or ``message`` (``text``).

    Args:
        target: Where to.
        followed: See `Follower`.
        facts: The same, by name.
    """

    def __init__(self, target: TextIO, *followed: Any, **facts: Any) -> None:
        super().__init__(*followed, **facts)
        self._target = target
        self._told: dict[str | None, list[int]] = {}  # trials of the front, by class of device

    def starting(self, workers: int) -> None:
        """Tell that Workers start."""
        self._tell("starting", workers=workers)

    def joined(self, device: Device) -> None:
        """Tell of a device that has come while the launch runs."""
        super().joined(device)
        self._tell("joined", device=device.label, host=device.host)

    def started(self, device: Device, trial: int, recipe: Recipe, purpose: Purpose = "search") -> None:
        """Tell that a device begins a trial, or a repeat of one, or to time one again."""
        super().started(device, trial, recipe, purpose)
        self._tell("started", device=device.label, trial=trial, recipe=json.loads(recipe.to_json()), purpose=purpose)

    def epoch(self, device: Device, result: EpochResult) -> None:
        """Tell that the device's trial is an epoch further."""
        super().epoch(device, result)
        self._tell("epoch", device=device.label, trial=self._progress.rows[device.uuid].trial, **asdict(result))

    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool, in_doubt: bool = False) -> None:
        """Tell how a trial ended."""
        purpose = self._progress.rows[device.uuid].purpose
        super().finished(device, trial, outcome, on_front, in_doubt)
        measures = {name: value for name in _MEASURES if (value := getattr(outcome, name)) not in (None, "")}
        ended = {"purpose": purpose, "status": outcome.status, "on_front": on_front}
        self._tell("finished", device=device.label, trial=trial, **ended, **measures)

    def front(self, front: Front) -> None:
        """Tell of a front, unless it has the trials that it had."""
        super().front(front)
        trials = [point.trial for point in front.points]
        of_class = front.points[0].device_class if front.points else None
        if self._told.get(of_class) != trials:
            self._told[of_class] = trials
            self._tell("front", trials=trials, hypervolume=front.hypervolume, device_class=of_class)

    def message(self, text: str) -> None:
        """Tell what a person would read."""
        self._tell("message", text=text)

    def _tell(self, event: str, **facts: Any) -> None:
        with keeping_on():
            print(json.dumps({"event": event, **facts}), file=self._target, flush=True)
