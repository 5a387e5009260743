"""What a sampler knows of the Trials of a study."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from optuna.trial import FrozenTrial, TrialState

from paretosearch.axis import Value
from paretosearch.errors import RecipeError
from paretosearch.search.coding import Array, Coding
from paretosearch.search.ranking import ranked
from paretosearch.space import Genome, Space

#: What two trainings share that are the same: digest and seed of their Recipe.
Identity = tuple[str, int]

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


def best_of(results: Sequence[Result], count: int) -> list[Result]:
    """Sort results by rank, within a rank the lonelier first; gives so many of them."""
    if not results:
        return []
    losses = np.array([(np.log(max(result.seconds, 1e-3)), -result.accuracy) for result in results])
    ranks, crowding = ranked(losses)
    return [results[number] for number in np.lexsort((-crowding, ranks))[:count]]


class History:
    """The Trials of a study, read again whenever there may be more of them.

    Args:
        space: What is searched.
    """

    def __init__(self, space: Space) -> None:
        self._space = space
        self._coding = Coding(space)
        self._known: dict[int, Known | None] = {}
        self._memory: dict[tuple[Value, ...], Known | None] = {}
        self.results: dict[int, Result] = {}
        self.running: dict[int, Known] = {}
        self.seen: set[Identity] = set()

    @property
    def coding(self) -> Coding:
        """How genomes are written."""
        return self._coding

    def update(self, trials: Iterable[FrozenTrial]) -> None:
        """Take in what has changed; a Trial without a value for every axis is passed over.

        Results stand in the order in which their Trials were completed.
        """
        self.running = {}
        fresh = []
        for trial in trials:
            if trial.number in self.results or trial.params.keys() != self._space.axes.keys():
                continue
            known = self._of(trial)
            if known is None:
                continue
            if trial.state is TrialState.COMPLETE:
                fresh.append((trial.datetime_complete, trial.number, known, trial.values))
            elif trial.state is TrialState.RUNNING:
                self.running[trial.number] = known
        for _, number, known, values in sorted(fresh, key=lambda entry: entry[:2]):
            self.results[number] = Result(known, *values)

    def best(self, count: int) -> list[Result]:
        """Give the best results as NSGA-II sees them, the better before the worse."""
        return best_of(list(self.results.values()), count)

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
        within = {
            name: shared[name] if axis.contains(shared[name]) else genome[name]
            for name, axis in self._space.axes.items()
        }
        return Known(within, (recipe.digest, recipe.seed), self._coding.code(shared))

    def _of(self, trial: FrozenTrial) -> Known | None:
        if trial.number not in self._known:
            known = self._known[trial.number] = self.know(trial.params)
            if known is not None:
                self.seen.add(known.identity)
        return self._known[trial.number]
