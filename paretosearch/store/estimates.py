"""What repeated trainings say of a front: means, intervals, and who is likely to be on it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from paretosearch.store.front import Point

#: Spread of one training by its seed, before a study knows its own: of the logarithm of seconds, and of accuracy. The
#: first is what `make bench` finds on a machine with neighbours, the second that of ten thousand validation images and
#: of a few seeds of small networks on Fashion-MNIST.
PRIOR_SPREAD = (0.02, 0.004)

#: Repeats that a prior weighs as much as.
PRIOR_WEIGHT = 4

#: Margins of the epsilon-front: a share of the seconds, and accuracy.
EPSILON = (0.02, 0.002)

#: Standard errors by which a point must be off the front to be looked at no more.
FAR = 6

#: Results that are less likely to be on the front than this are let be.
LEAST_MEMBERSHIP = 0.05

#: Draws from which the probability of membership is counted, and how many are made at a time.
DRAWS, BATCH = 4000, 100


Array = NDArray[np.float64]


@dataclass(frozen=True)
class Repeat:
    """One more training of a trial's Recipe, with another seed."""

    trial: int
    seed: int
    train_seconds: float
    accuracy: float
    test_accuracy: float | None


@dataclass(frozen=True)
class Estimate:
    """What is known of a trial that is on the front, or may be.

    The first result is no part of the means once there are repeats: it was looked at because it was good, and the best
    of many is better than it will be again.

    Args:
        point: The first result.
        repeats: How many trainings the means are of; 0 where they are the first result.
        train_seconds: Mean seconds on the training clock.
        accuracy: Mean share of the validation split classified correctly, in [0, 1].
        seconds_interval: Half of the 95 % interval of the mean, from the spread of the study's repeats.
        accuracy_interval: The same of accuracy.
        test_accuracy: Mean accuracy on the test split; None without repeats.
        membership: Probability that it is on the true front, in [0, 1].
        on_front: Whether no other estimate has means as good in both and better in one.
        on_epsilon_front: The same, were it 2 % faster and 0.2 points more accurate.
    """

    point: Point
    repeats: int
    train_seconds: float
    accuracy: float
    seconds_interval: float
    accuracy_interval: float
    test_accuracy: float | None
    membership: float
    on_front: bool
    on_epsilon_front: bool

    @property
    def may_be_on_front(self) -> bool:
        """Whether its chances are worth a repeat, or a line."""
        return self.on_front or self.membership >= LEAST_MEMBERSHIP


def estimated(points: Sequence[Point], repeats: Sequence[Repeat], seed: int = 0) -> tuple[Estimate, ...]:
    """Estimate every result of a study from its repeats.

    Args:
        points: Results of one class of device, one a trial.
        repeats: More trainings of some of them, on the same class.
        seed: Of the draws.

    Returns:
        An estimate for each point, by mean seconds.
    """
    if not points:
        return ()
    of_trial = _by_trial(repeats)
    spreads = spreads_of(points, repeats)
    values = [_mean(point, of_trial.get(point.trial, ())) for point in points]
    counts = np.array([max(1, len(of_trial.get(point.trial, ()))) for point in points])
    means = np.array(values)
    errors = spreads / np.sqrt(counts)[:, None]
    members = np.zeros(len(points))
    margin = FAR * np.median(errors, axis=0)
    open_ones = np.flatnonzero(is_on_front(means, (min(0.9, margin[0]), margin[1])))
    members[open_ones] = membership(means[open_ones], errors[open_ones], np.random.default_rng(seed))
    front, near = is_on_front(means), is_on_front(means, EPSILON)
    made = [
        _estimate(point, of_trial.get(point.trial, ()), error, value, float(m), bool(f), bool(n))
        for point, error, value, m, f, n in zip(points, errors, values, members, front, near, strict=True)
    ]
    return tuple(sorted(made, key=lambda estimate: (estimate.train_seconds, estimate.point.trial)))


def spreads_of(points: Sequence[Point], repeats: Sequence[Repeat]) -> Array:
    """Estimate how far single trainings of each trial lie apart.

    A trial's own spread is drawn towards that of the middle trial, since two or three trainings tell little, and
    that towards `PRIOR_SPREAD`. The first results are a part of it, which makes it rather too large than too small.

    Args:
        points: First results.
        repeats: More trainings of some of them.

    Returns:
        Standard deviations of the logarithm of seconds and of accuracy, shape (N, 2).
    """
    of_trial = _by_trial(repeats)
    freedom = np.array([len(of_trial.get(point.trial, ())) for point in points])[:, None]
    squares = np.zeros((len(points), 2))
    for number, point in enumerate(points):
        if point.trial in of_trial:
            squares[number] = _squares(point, of_trial[point.trial])
    seen = freedom[:, 0] > 0
    known, prior = int(freedom.sum()), np.square(PRIOR_SPREAD)
    if known:
        # The median of a variance of few is below it; this is how much (Wilson & Hilferty 1931).
        low = (1 - 2 / (9 * freedom[seen])) ** 3
        middle = np.median(squares[seen] / freedom[seen] / low, axis=0)
        prior = (PRIOR_WEIGHT * prior + known * middle) / (PRIOR_WEIGHT + known)
    variances: Array = (PRIOR_WEIGHT * prior + squares) / (PRIOR_WEIGHT + freedom)
    return np.sqrt(variances)


def _squares(point: Point, repeats: Sequence[Repeat]) -> Array:
    values = [(point.train_seconds, point.accuracy), *((r.train_seconds, r.accuracy) for r in repeats)]
    both = np.array([(math.log(max(seconds, 1e-9)), accuracy) for seconds, accuracy in values])
    squares: Array = ((both - both.mean(axis=0)) ** 2).sum(axis=0)
    return squares


def membership(means: Array, errors: Array, rng: np.random.Generator) -> Array:
    """Count in how many worlds each point is on the front, if every point is off by chance.

    Args:
        means: Seconds and accuracy, shape (N, 2).
        errors: Standard errors of the logarithm of seconds and of accuracy, shape (N, 2).
        rng: Where chance comes from.

    Returns:
        Shares, shape (N,).
    """
    count, left = np.zeros(len(means)), np.arange(len(means))
    for number in range(DRAWS // BATCH):
        z = rng.standard_normal((BATCH, len(left), 2))
        seconds = means[left, 0] * np.exp(errors[left, 0] * z[..., 0])
        order = np.argsort(seconds, axis=1)
        accuracy = np.take_along_axis(means[left, 1] + errors[left, 1] * z[..., 1], order, axis=1)
        best_before = np.maximum.accumulate(accuracy, axis=1)
        on = np.ones_like(accuracy, dtype=bool)
        on[:, 1:] = accuracy[:, 1:] > best_before[:, :-1]
        np.add.at(count, left[order[on]], 1)
        if number == 2:  # who has never been on it is hardly ever, and what it dominates somebody else does too
            left = left[count[left] > 0]
    return count / (DRAWS // BATCH * BATCH)


def is_on_front(means: Array, margin: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.bool_]:
    """Say which points would be non-dominated if each were better by a margin than it is.

    Args:
        means: Seconds and accuracy, shape (N, 2).
        margin: A share of the seconds, and accuracy.

    Returns:
        Shape (N,). Of equal points all are, or none.
    """
    seconds, accuracy = means.T
    order = np.argsort(seconds, kind="stable")
    best = np.append(-np.inf, np.maximum.accumulate(accuracy[order]))  # of so many of the fastest
    mine, high = seconds * (1 - margin[0]), accuracy + margin[1]
    faster = best[np.searchsorted(seconds[order], mine, "left")]
    as_fast = best[np.searchsorted(seconds[order], mine, "right")]
    return np.asarray((faster < high) & (as_fast <= high))


def _by_trial(repeats: Sequence[Repeat]) -> Mapping[int, Sequence[Repeat]]:
    found: dict[int, list[Repeat]] = {}
    for repeat in repeats:
        found.setdefault(repeat.trial, []).append(repeat)
    return found


def _mean(point: Point, repeats: Sequence[Repeat]) -> tuple[float, float]:
    if not repeats:
        return point.train_seconds, point.accuracy
    return sum(r.train_seconds for r in repeats) / len(repeats), sum(r.accuracy for r in repeats) / len(repeats)


@cache
def _standard_errors(repeats: int) -> float:
    """Give the half width of a 95 % interval in standard errors, which are themselves known from few trainings."""
    from scipy.special import stdtrit  # late, as it takes longer to import than a front to read

    return float(stdtrit(PRIOR_WEIGHT + repeats, 0.975))


def _estimate(
    point: Point,
    repeats: Sequence[Repeat],
    error: Array,
    mean: tuple[float, float],
    membership: float,
    on_front: bool,
    on_epsilon_front: bool,
) -> Estimate:
    wide = _standard_errors(len(repeats))
    tests = [r.test_accuracy for r in repeats if r.test_accuracy is not None]
    return Estimate(
        point,
        len(repeats),
        *mean,
        seconds_interval=float(wide * mean[0] * error[0]),
        accuracy_interval=float(wide * error[1]),
        test_accuracy=sum(tests) / len(tests) if tests else None,
        membership=membership,
        on_front=on_front,
        on_epsilon_front=on_epsilon_front,
    )
