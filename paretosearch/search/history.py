"""What a sampler knows of the Trials of a study."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from paretosearch.axis import Value
from paretosearch.errors import RecipeError
from paretosearch.search.coding import Array, Coding
from paretosearch.search.ranking import best
from paretosearch.space import Genome, Space

#: What two trainings share that are the same: digest and seed of their Recipe.
Identity = tuple[str, int]

#: Nothing is trained in less.
LEAST_SECONDS = 1e-3

#: Results that are looked at: the best ones, since the cost of a model grows with the cube of their number.
MOST_RESULTS = 128

#: Genomes whose Recipe is remembered; to make one anew takes a third of a millisecond.
MOST_REMEMBERED = 50_000


@dataclass(frozen=True)
class Known:
    """A genome with what follows from it.

    Args:
        genome: A value for every axis; the same for all genomes of one Recipe, where the axes allow that.
        identity: Digest and seed of its Recipe.
        code: Its numbers, shape (D,).
    """

    genome: dict[str, Value]
    identity: Identity
    code: Array


@dataclass(frozen=True)
class Result:
    """A completed Trial: what was trained, and what came of it."""

    known: Known
    seconds: float
    accuracy: float

    @property
    def log_seconds(self) -> float:
        """Logarithm of its seconds; one that took none has one all the same."""
        return math.log(max(self.seconds, LEAST_SECONDS))


class History:
    """The Trials of a study, read again whenever there may be more of them.

    Args:
        space: What is searched.

    Attributes:
        coding: How genomes are written.
        results: What was completed, in the order in which that happened.
        running: What is being trained, by number of the Trial.
        seen: Every Recipe that was asked for, however it ended.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self.coding = Coding(space)
        self.results: list[Result] = []
        self.running: dict[int, Known] = {}
        self.seen: set[Identity] = set()
        self._memory: dict[tuple[Value, ...], Known | None] = {}
        self._open: list[int] = []  # Trials that may still change
        self._read = 0  # Trials that were ever looked at
        self._losses: list[tuple[float, float]] = []  # of each result
        self._best: tuple[int, list[Result]] = (0, [])  # of so many results

    def update(self, trials: Sequence[FrozenTrial]) -> None:
        """Take in what has changed; a Trial without a value for every axis is passed over.

        Args:
            trials: All of the study, by number.
        """
        numbers = [*self._open, *range(self._read, len(trials))]
        self._open = [number for number in numbers if not trials[number].state.is_finished()]
        self._read = len(trials)
        self.running, fresh = {}, []
        for trial in (trials[number] for number in numbers):
            known = self.know(trial.params) if trial.params.keys() == self._space.axes.keys() else None
            if known is None:
                continue
            self.seen.add(known.identity)
            if trial.state is TrialState.RUNNING:
                self.running[trial.number] = known
            elif trial.state is TrialState.COMPLETE:
                fresh.append((trial.datetime_complete, trial.number, known, trial.values))
        results = [Result(known, *values) for _, _, known, values in sorted(fresh, key=lambda entry: entry[:2])]
        self.results += results
        self._losses += [(result.log_seconds, -result.accuracy) for result in results]

    def best(self, among: int | None = None) -> list[Result]:
        """Give the best results as NSGA-II sees them, the better before the worse; at most `MOST_RESULTS`.

        Args:
            among: Look only at so many of the first results; None looks at all.
        """
        among = len(self.results) if among is None else among
        if self._best[0] != among:
            places = best(np.array(self._losses[:among]), MOST_RESULTS)
            self._best = among, [self.results[place] for place in places]
        return self._best[1]

    def know(self, genome: Genome) -> Known | None:
        """Say what follows from a genome; None if there is no such Recipe."""
        key = tuple(genome[name] for name in self._space.axes)
        if key not in self._memory:
            if len(self._memory) == MOST_REMEMBERED:
                self._memory.clear()
            self._memory[key] = self._follow(genome)
        return self._memory[key]

    def _follow(self, genome: Genome) -> Known | None:
        try:
            recipe = self._space.recipe(genome)
        except RecipeError:
            return None
        shared = self._space.genome_of(recipe)
        axes = self._space.axes.items()
        within = {name: shared[name] if axis.contains(shared[name]) else genome[name] for name, axis in axes}
        return Known(within, (recipe.digest, recipe.seed), self.coding.code(shared))
