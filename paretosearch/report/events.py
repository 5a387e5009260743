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
    (``device``, ``trial``, ``status``, ``on_front``, and what there is of seconds, accuracy and failure), ``front``
    (``trials``, fastest first, and ``hypervolume`` in seconds) or ``message`` (``text``).

    Args:
        target: Where to.
        followed: See `Follower`.
        facts: The same, by name.
    """

    def __init__(self, target: TextIO, *followed: Any, **facts: Any) -> None:
        super().__init__(*followed, **facts)
        self._target = target

    def starting(self, workers: int) -> None:
        """Tell that Workers start."""
        self._tell("starting", workers=workers)

    def joined(self, device: Device) -> None:
        """Tell of a device that has come while the launch runs."""
        super().joined(device)
        self._tell("joined", device=device.label, host=device.host)

    def started(self, device: Device, trial: int, recipe: Recipe, purpose: Purpose = "search") -> None:
        """Tell that a device begins a trial, or a repeat of one."""
        super().started(device, trial, recipe, purpose)
        self._tell("started", device=device.label, trial=trial, recipe=json.loads(recipe.to_json()), purpose=purpose)

    def epoch(self, device: Device, result: EpochResult) -> None:
        """Tell that the device's trial is an epoch further."""
        super().epoch(device, result)
        self._tell("epoch", device=device.label, trial=self._progress.rows[device.uuid].trial, **asdict(result))

    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool) -> None:
        """Tell how a trial ended."""
        super().finished(device, trial, outcome, on_front)
        measures = {name: value for name in _MEASURES if (value := getattr(outcome, name)) not in (None, "")}
        self._tell("finished", device=device.label, trial=trial, status=outcome.status, on_front=on_front, **measures)

    def front(self, front: Front) -> None:
        """Tell of a new front."""
        super().front(front)
        self._tell("front", trials=[point.trial for point in front.points], hypervolume=front.hypervolume)

    def message(self, text: str) -> None:
        """Tell what a person would read."""
        self._tell("message", text=text)

    def _tell(self, event: str, **facts: Any) -> None:
        with keeping_on():
            print(json.dumps({"event": event, **facts}), file=self._target, flush=True)
