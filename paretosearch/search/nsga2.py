"""Our NSGA-II: no generations, no Recipe twice, and a guess at what a child will bring before it is trained."""

from __future__ import annotations

from itertools import islice
from typing import Any

import numpy as np
from numpy.random import Generator
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from paretosearch.search.design import designed
from paretosearch.search.distributions import distribution
from paretosearch.search.grid import grid
from paretosearch.search.history import History, Known
from paretosearch.search.picking import Picker
from paretosearch.search.ranking import ranked
from paretosearch.search.seeds import trial_seed
from paretosearch.search.variation import child
from paretosearch.space import MOST_GENOMES, Space

#: Children of which one is chosen.
CHILDREN = 96

#: Children that may turn out to be known before the rate of mutation is doubled.
PATIENCE = 40

#: Points of the design that may turn out to be known before its end is assumed.
MOST_DESIGNED = 500


class NSGA2(BaseSampler):
    """Steady-state NSGA-II whose parents are all completed trials.

    Optuna's own chooses the parents of a generation when somebody asks for its first child, and a trial that is
    completed after that never becomes one: with time as an objective, those are the long ones.

    Paper: Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, for ranks, crowding and the
    tournament; the rest is ours.

    Args:
        space: What is searched.
        population: Trials of the design; as many results are the parents of the next child.
        seed: Seed of the study.
    """

    def __init__(self, space: Space, population: int, seed: int) -> None:
        self._space, self._population, self._seed = space, population, seed
        self._history = History(space)
        listed = space.size is not None and space.size <= MOST_GENOMES
        self._recipes = len(grid(space)) if listed else None
        self._picker = Picker()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Draw all axes together."""
        return {name: distribution(axis) for name, axis in self._space.axes.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose a genome."""
        self._history.update(study.get_trials(deepcopy=False))
        rng = np.random.default_rng(trial_seed(self._seed, trial.number))
        return dict(self._choose(rng).genome)

    def is_done(self, study: Study) -> bool:
        """Whether every Recipe of a space that can be listed has been asked for, however it ended."""
        if self._recipes is None:
            return False
        self._history.update(study.get_trials(deepcopy=False))
        return len(self._history.seen) >= self._recipes

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never needed: every axis is drawn with the others."""
        raise AssertionError(param_name)

    def _choose(self, rng: Generator) -> Known:
        history = self._history
        asked = len(history.results) + len(history.running)
        if asked < self._population or len(history.results) < 4:
            planned = self._planned()
            if planned is not None:
                return planned
        children = self._children(rng) or self._unseen(rng)
        return self._picker.pick(children, history, rng)

    def _planned(self) -> Known | None:
        for genome in islice(designed(self._space, self._seed), MOST_DESIGNED):
            known = self._history.know(genome)
            if known is not None and known.identity not in self._history.seen:
                return known
        return None

    def _children(self, rng: Generator) -> list[Known]:
        """Make children that were never trained, each another Recipe."""
        parents = self.parents()
        if not parents:
            return []
        scales, rate, failures = self._history.coding.scales, 1 / len(self._space.axes), 0
        found: dict[object, Known] = {}
        while len(found) < CHILDREN and rate < 2:
            couple = [parents[self._winner(len(parents), rng)] for _ in range(2)]
            known = self._history.know(child(scales, [parent.genome for parent in couple], rate, rng))
            if known is not None and known.identity not in self._history.seen and known.identity not in found:
                found[known.identity] = known
                continue
            failures += 1
            if failures % PATIENCE == 0:
                rate *= 2
        return list(found.values())

    def parents(self) -> list[Known]:
        """Give the best results, the better before the worse."""
        results = list(self._history.results.values())
        if not results:
            return []
        losses = np.array([(np.log(max(r.seconds, 1e-3)), -r.accuracy) for r in results])
        ranks, crowding = ranked(losses)
        order = np.lexsort((-crowding, ranks))
        return [results[number].known for number in order[: self._population]]

    def _winner(self, count: int, rng: Generator) -> int:
        """Hold a tournament of two among parents in order."""
        return int(rng.integers(count, size=2).min())

    def _unseen(self, rng: Generator) -> list[Known]:
        """Give what is left of a space that is nearly used up, else anything."""
        size = self._space.size
        genomes = grid(self._space) if size is not None and size <= MOST_GENOMES else ()
        for genome in genomes:
            known = self._history.know(genome)
            if known is not None and known.identity not in self._history.seen:
                return [known]
        anything = {name: scale.value_at(float(rng.random())) for name, scale in self._history.coding.scales.items()}
        return [known for known in [self._history.know(anything)] if known]
