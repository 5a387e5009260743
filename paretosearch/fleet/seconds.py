"""What the seconds of a trial on one class of device say of those on another."""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import moocore
import numpy as np
from numpy.typing import NDArray

from paretosearch.recipe import Recipe

#: How far the seconds of one trial may be from what those of the others say, before there are pairs that tell: the
#: share of its own that a batch twice as large saves on a device twice as wide.
PRIOR_SPREAD = 0.25

#: The same of a number format of which there is no pair: one class may have units for it that the other lacks, which
#: make a factor of three. So one trial of each format is timed in any case, and says what the next ones may be.
UNTRIED_SPREAD = 0.45

#: So many pairs tell it; fewer may agree by chance.
LEAST_PAIRS = 5

#: Spreads by which a trial must be off the front to be no candidate.
FAR = 2.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Trained:
    """A trial that was trained to its end.

    Args:
        attempt: Row of its training in ``ps_attempt``.
        trial: Its number.
        device_class: Where it was trained.
        recipe: What was trained.
        train_seconds: Seconds on the training clock there.
        accuracy: Its accuracy, which is that of every class.
    """

    attempt: int
    trial: int
    device_class: str
    recipe: Recipe
    train_seconds: float
    accuracy: float


class Seconds:
    """Seconds of trials by class of device, and what they lead to expect of others."""

    def __init__(self) -> None:
        self._known: defaultdict[str, dict[int, float]] = defaultdict(dict)
        self._formats: dict[int, str] = {}  # number format of each trial that is known anywhere
        self._ratios: dict[tuple[str, str, str], tuple[float, float]] = {}  # until there is more to tell

    def note(self, trained: Trained, device_class: str, train_seconds: float) -> None:
        """Keep what was measured of a trial on a class."""
        self._known[device_class][trained.trial] = train_seconds
        self._formats[trained.trial] = trained.recipe.number_format
        self._ratios.clear()

    def has(self, trial: int, device_class: str) -> bool:
        """Whether a trial's seconds are known on a class."""
        return trial in self._known[device_class]

    def expected(self, trained: Trained, device_class: str) -> float:
        """Give the seconds of a trial on a class: those that were measured, else by what other trials take there."""
        known = self._known[device_class].get(trained.trial)
        if known is not None:
            return known
        return trained.train_seconds * math.exp(self._log_ratio(trained, device_class)[0])

    def candidates(self, trained: Mapping[int, Trained], device_class: str) -> Iterator[tuple[int, bool]]:
        """Order trials for a class, those that are nearest to its front first.

        Args:
            trained: Trials that the class admits, by number.
            device_class: The class.

        Yields:
            Number of a trial, and whether it may be on the front of the class.
        """
        trials = [t for t in trained.values() if t.train_seconds > 0]
        if not trials:
            return
        middle = np.array([self.expected(trial, device_class) for trial in trials])
        doubt = np.array([self._doubt(trial, device_class) for trial in trials])
        wrong = np.array([1 - trial.accuracy for trial in trials])
        ranks = moocore.pareto_rank(np.column_stack((middle, wrong)))
        near = _may_be_best(middle * (1 - doubt), middle * (1 + doubt), wrong)
        for place in sorted(range(len(trials)), key=lambda i: (not near[i], ranks[i], trials[i].trial)):
            yield trials[place].trial, bool(near[place])

    def _doubt(self, trained: Trained, device_class: str) -> float:
        if self.has(trained.trial, device_class):
            return 0.0
        return min(0.9, FAR * self._log_ratio(trained, device_class)[1])

    def _log_ratio(self, trained: Trained, device_class: str) -> tuple[float, float]:
        """Give the logarithm of a trial's seconds on a class by those of its training, and how far that may be off."""
        pair = device_class, trained.device_class, trained.recipe.number_format
        if pair not in self._ratios:
            self._ratios[pair] = self._ratio_of(*pair)
        return self._ratios[pair]

    def _ratio_of(self, device_class: str, other: str, number_format: str) -> tuple[float, float]:
        """Give the median over trials of a number format, of all if there are none of it, and its spread."""
        ratios = self._log_ratios(device_class, other)
        own = [ratio for trial, ratio in ratios.items() if self._formats[trial] == number_format]
        if device_class == other or not ratios:
            return 0.0, PRIOR_SPREAD
        if not own:
            return statistics.median(ratios.values()), UNTRIED_SPREAD
        if len(own) < LEAST_PAIRS:
            return statistics.median(own), PRIOR_SPREAD
        middle = statistics.median(own)
        return middle, statistics.median(abs(ratio - middle) for ratio in own) * 1.48 + 0.01

    def _log_ratios(self, device_class: str, other: str) -> dict[int, float]:
        here, there = self._known[device_class], self._known[other]
        both = [trial for trial in here.keys() & there.keys() if here[trial] > 0 and there[trial] > 0]
        return {trial: math.log(here[trial] / there[trial]) for trial in both}


def _may_be_best(least: Array, most: Array, wrong: Array) -> NDArray[np.bool_]:
    """Say which points no other one beats, were they as quick as they may be and the others as slow."""
    found = np.zeros(len(least), bool)
    quickest = math.inf  # of those that are at least as accurate, each at its slowest
    for place in np.lexsort((most, wrong)):
        found[place] = least[place] <= quickest
        quickest = min(quickest, most[place])
    return found
