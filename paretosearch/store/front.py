"""The Pareto front of completed trials.

Direction: training seconds are minimised, accuracy is maximised. A point dominates another if it is at least as good in
both and better in one. Of equal points the one of the earliest trial stays. The view ``ps_pareto_front`` follows the
same rules, and a test holds the two together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import moocore
import numpy as np

from paretosearch.recipe import Recipe

#: The reference point lies beyond the slowest trial, so that this one too adds to the hypervolume.
REFERENCE_FACTOR = 1.1
REFERENCE_ACCURACY = 0.0

_MAXIMISE = [False, True]


@dataclass(frozen=True)
class Point:
    """A completed trial on one class of device.

    Args:
        trial: Number of the trial in its study.
        train_seconds: Seconds on the training clock; smaller is better.
        accuracy: Share of the validation split classified correctly, in [0, 1]; larger is better.
        recipe: What was trained.
        device_class: What it was trained on; seconds of different classes are never compared.
        attempt: Row of ``ps_attempt``.
        test_accuracy: Accuracy on the test split, where somebody looked.
        noisy: Whether somebody disturbed the steps; see `Outcome`.
        wall_seconds: The seconds without the clock's robustness against interruptions.
        parameters: Trainable parameters at the end.
        inference_flops: Floating-point operations of one forward pass of one image.
        training_flops: Floating-point operations of all training steps, as far as they were computed.
        peak_memory_bytes: Highest memory of the device (GPU) or the process (CPU).
        images_per_second: Images of the batches of all training steps per second on the training clock.
        energy_joules: Energy of the device during training, where it can be read.
        by_integers: Whether dynamic fixed point was computed by integers, and not simulated.
    """

    trial: int
    train_seconds: float
    accuracy: float
    recipe: Recipe
    device_class: str
    attempt: int
    test_accuracy: float | None = None
    noisy: bool = False
    wall_seconds: float | None = None
    parameters: int | None = None
    inference_flops: int | None = None
    training_flops: int | None = None
    peak_memory_bytes: int | None = None
    images_per_second: float | None = None
    energy_joules: float | None = None
    by_integers: bool = False

    @property
    def digest(self) -> str:
        """Name of the Recipe whatever its seed."""
        return self.recipe.digest


@dataclass(frozen=True)
class Front:
    """The best trade-offs of a study on one class of device.

    Args:
        points: Non-dominated points by training seconds, which is also by accuracy.
        dominated: Every other point, by trial number.
        reference: Training seconds and accuracy of the reference point of the hypervolume.
        hypervolume: Area between the front and the reference point, in seconds; 0 of an empty front.
    """

    points: tuple[Point, ...]
    dominated: tuple[Point, ...]
    reference: tuple[float, float]
    hypervolume: float


def front_of(points: Sequence[Point], reference_seconds: float | None = None) -> Front:
    """Find the front of some points.

    Args:
        points: Completed trials of one class of device, in any order, one point a trial. One with an objective that is
            not finite dominates nothing.
        reference_seconds: Seconds of the reference point; 1.1 times the slowest point if None.

    Returns:
        The front.
    """
    by_trial = sorted(points, key=lambda point: point.trial)
    finite = [p for p in by_trial if math.isfinite(p.train_seconds) and math.isfinite(p.accuracy)]
    objectives = np.reshape([(p.train_seconds, p.accuracy) for p in finite], (-1, 2))
    kept = moocore.is_nondominated(objectives, maximise=_MAXIMISE, keep_weakly=False)  # keeps the first of equals
    members = {p.trial for p, keep in zip(finite, kept, strict=True) if keep}
    reference = reference_of(finite) if reference_seconds is None else (reference_seconds, REFERENCE_ACCURACY)
    return assemble(by_trial, members, reference)


def assemble(points: Sequence[Point], members: set[int], reference: tuple[float, float]) -> Front:
    """Make the Front whose members are known.

    Args:
        points: Completed trials of one class of device, by trial number.
        members: Trial numbers of those on the front.
        reference: Training seconds and accuracy of the reference point.

    Returns:
        The front.
    """
    front = sorted((p for p in points if p.trial in members), key=lambda point: point.train_seconds)
    dominated = tuple(p for p in points if p.trial not in members)
    return Front(
        tuple(front), dominated, reference, hypervolume([(p.train_seconds, p.accuracy) for p in front], reference)
    )


def reference_of(points: Sequence[Point]) -> tuple[float, float]:
    """Choose the reference point of some points: beyond the slowest, at accuracy 0; (0, 0) of none."""
    return reference_beyond(max((p.train_seconds for p in points), default=0.0))


def reference_beyond(slowest: float) -> tuple[float, float]:
    """Choose the reference point of trials that took at most ``slowest`` seconds."""
    return REFERENCE_FACTOR * slowest, REFERENCE_ACCURACY


def hypervolume(objectives: Sequence[tuple[float, float]], reference: tuple[float, float]) -> float:
    """Measure the area between some points and a reference point.

    Args:
        objectives: Training seconds and accuracy of each point, shape (N, 2).
        reference: The same of the reference point; points that are no better than it in both add nothing.

    Returns:
        The area, in seconds.
    """
    return float(moocore.hypervolume(np.reshape(objectives, (-1, 2)), ref=reference, maximise=_MAXIMISE))
