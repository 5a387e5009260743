"""Decides which running trainings cannot reach the front any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from paretosearch.recipe import Recipe
from paretosearch.search.coding import Array
from paretosearch.search.seeds import trial_seed

#: Seconds and accuracy after each epoch so far, the seconds from the start.
Curve = Sequence[tuple[float, float]]

#: Completed curves that must reach back to the same share of their training before anything is learned from them.
LEAST_CURVES = 6

#: The newest so many are looked at: the others would say the same, and take their time for every epoch.
MOST_CURVES = 300

#: Standard deviations, of the logarithms of error and of the seconds of the rest, between what curves do on average and
#: what is thought possible: of many curves, and what is added for one that stands for few. Together they are near the
#: tolerance limits of a normal distribution (99 % of it, 95 % certain: 5.1 for 6, 3.3 for 20).
BAND = 2.4
BAND_OF_FEW = 16.0

#: Share of the doomed that run on, to see how often a stop would have been wrong.
AUDIT_SHARE = 0.1

#: An error of nothing has no logarithm.
LEAST_ERROR = 1e-4


@dataclass(frozen=True)
class Ending:
    """The best that a running training may still come to.

    Args:
        seconds: At least so many at its end.
        accuracy: At most so much at its end.
        curves: Completed trainings from which that is known.
    """

    seconds: float
    accuracy: float
    curves: int


@dataclass(frozen=True)
class Doom:
    """Why a training is stopped: even its best ending is dominated.

    Args:
        ending: The best that it may come to.
        by: Number of a Trial that is at least as good in both.
    """

    ending: Ending
    by: int


class Forecast:
    """What the completed trainings of a study say of those that still run.

    A training is compared with others at the same share of their epochs: how far error fell from there to the end, at
    the most that chance allows, and how cheap the rest was, at the least. All of it is learned from the study itself,
    since a learning rate that falls to zero ends nearly every curve with a rise that no curve fitted to its beginning
    foresees.
    """

    def __init__(self) -> None:
        self._curves: dict[int, Array] = {}

    def learn(self, trial: int, curve: Curve) -> None:
        """Take in the curve of a training that was completed."""
        self._curves[trial] = np.reshape(curve, (-1, 2))

    def ending(self, curve: Curve, epochs: int) -> Ending | None:
        """Foresee the best ending of a training.

        Args:
            curve: Its epochs so far, at least one.
            epochs: How many it will have.

        Returns:
            The ending; None while too few completed trainings are comparable.
        """
        share = len(curve) / epochs
        newest = list(self._curves.values())[-MOST_CURVES:]
        compared = [found for c in newest if (found := _rest(c, share)) is not None]
        if len(compared) < LEAST_CURVES:
            return None
        falls, costs = np.array(compared).T
        fall, cost = _least(falls), np.exp(_least(np.log(np.maximum(costs, 1e-3))))
        seconds, accuracy = np.reshape(curve, (-1, 2)).T
        error = np.exp(np.log(max(1 - accuracy.max(), LEAST_ERROR)) + fall)
        rest = min(1.0, float(cost)) * _quickest(seconds) * (epochs - len(curve))
        return Ending(float(seconds[-1] + rest), float(1 - error), len(compared))

    def doom(self, curve: Curve, epochs: int) -> Doom | None:
        """Say whether a training cannot reach the front; None while it may.

        Args:
            curve: Its epochs so far, at least one.
            epochs: How many it will have, more than it has.
        """
        ending = self.ending(curve, epochs)
        if ending is None:
            return None
        for trial, other in self._curves.items():
            seconds, accuracy = other[-1]
            if seconds <= ending.seconds and accuracy >= ending.accuracy:
                return Doom(ending, trial)
        return None


class Stopper:
    """Judges the trainings of a study epoch by epoch.

    Args:
        seed: Seed of the study, which decides who is audited.
        settled_at: Says after how many epochs every change that a Recipe plans is made, such as a growth. Before that
            its curve says nothing about its end.
    """

    def __init__(self, seed: int, settled_at: Callable[[Recipe], int]) -> None:
        self._seed, self._settled_at, self._forecast = seed, settled_at, Forecast()

    def learn(self, trial: int, curve: Curve) -> None:
        """Take in the curve of a training that was completed."""
        self._forecast.learn(trial, curve)

    def judge(self, recipe: Recipe, curve: Curve) -> Doom | None:
        """Say whether a training should end; None while it may reach the front.

        A wish to end reaches a training in its next epoch, so that one with a single epoch left is let be.

        Args:
            recipe: What is trained.
            curve: Its epochs so far, at least one.
        """
        if not self._settled_at(recipe) <= len(curve) < recipe.total_epochs - 1:
            return None
        return self._forecast.doom(curve, recipe.total_epochs)

    def audits(self, trial: int) -> bool:
        """Whether a Trial runs on though it is doomed; the same answer whenever it is asked."""
        return trial_seed(self._seed, trial) < AUDIT_SHARE * 2**32


def _least(values: Array) -> float:
    """Give the least that is thought possible after some values, shape (N,)."""
    band = BAND + BAND_OF_FEW / len(values)
    return float(min(values.min(), values.mean() - band * values.std(ddof=1)))


def _rest(curve: Array, share: float) -> tuple[float, float] | None:
    """Say what came behind a share of a completed training.

    Returns:
        The change of the logarithm of error, and the seconds of an epoch of the rest in those of the quickest before;
        None of a curve that has no epoch as early as that.
    """
    done = share * len(curve)
    before = int(done)
    if before < 1 or before >= len(curve):
        return None
    seconds, accuracy = curve.T
    # An evaluation on the way may dip, as the averages of batch norm lag behind: what counts is the best so far.
    logs = np.log(np.maximum(1 - np.append(np.maximum.accumulate(accuracy[:-1]), accuracy[-1]), LEAST_ERROR))
    here = logs[before - 1] + (done - before) * (logs[before] - logs[before - 1])
    quickest = _quickest(seconds[:before])
    if quickest <= 0:
        return None
    rest = (seconds[-1] - seconds[before - 1]) / (len(curve) - before)
    return float(logs[-1] - here), float(rest / quickest)


def _quickest(seconds: Array) -> float:
    """Give the seconds of the quickest epoch; a neighbour on the machine makes one last longer than it has to."""
    return float(np.diff(seconds, prepend=0.0).min())
