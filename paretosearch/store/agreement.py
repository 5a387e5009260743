"""How the seconds of replays agree with those of trainings on the same class of device."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from paretosearch.store.records import AttemptRecord


@dataclass(frozen=True)
class Agreement:
    """What replays of trials say beside their trainings, on one class of device.

    Args:
        trials: How many trials have both, neither of them disturbed.
        median_error: Median of how far the replay is from the training, as a share of the training's seconds.
        worst_error: The largest of the same.
        tau: Kendall's rank correlation of the seconds, from -1 to 1; None of fewer than three trials.
    """

    trials: int
    median_error: float
    worst_error: float
    tau: float | None


def agreement(attempts: Iterable[AttemptRecord]) -> Mapping[str, Agreement]:
    """Compare the replays of a study with its trainings.

    Args:
        attempts: All of a study.

    Returns:
        What is known of each class of device on which a trial has both. Of results of other studies nobody knows here
        how they were measured.
    """
    seconds: dict[str, dict[tuple[str, int], float]] = {"search": {}, "replay": {}}
    for attempt in attempts:
        if attempt.outcome == "complete" and attempt.purpose in seconds and not (attempt.noisy or attempt.is_copy):
            assert attempt.train_seconds is not None
            seconds[attempt.purpose][attempt.device_class, attempt.trial] = attempt.train_seconds
    pairs: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for key, trained in seconds["search"].items():
        if key in seconds["replay"] and trained > 0:
            pairs[key[0]].append((trained, seconds["replay"][key]))
    return {device_class: _agreement(of_class) for device_class, of_class in pairs.items()}


def _agreement(pairs: Sequence[tuple[float, float]]) -> Agreement:
    errors = [abs(replayed / trained - 1) for trained, replayed in pairs]
    return Agreement(len(pairs), statistics.median(errors), max(errors), _tau(pairs))


def _tau(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Give Kendall's tau-a: of all pairs of trials, those in the same order less those in the other."""
    if len(pairs) < 3:
        return None
    signs = [(a[0] - b[0]) * (a[1] - b[1]) for a, b in combinations(pairs, 2)]
    return sum((sign > 0) - (sign < 0) for sign in signs) / len(signs)
