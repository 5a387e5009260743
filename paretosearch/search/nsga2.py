"""Our NSGA-II: no generations, no Recipe twice, and a guess at what a child will bring before it is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import numpy as np
from numpy.random import Generator
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from paretosearch.axis import Value
from paretosearch.search.design import designed, planned_of
from paretosearch.search.distributions import distribution
from paretosearch.search.grid import grid
from paretosearch.search.history import History, Identity, Known
from paretosearch.search.picking import LEAST_RESULTS, Picker
from paretosearch.search.seeds import trial_seed
from paretosearch.search.variation import child
from paretosearch.space import MOST_GENOMES, Space

#: Children of which one is chosen.
CHILDREN = 128

#: Draws by chance of which one should be new.
PATIENCE = 40

#: Points of the design that may turn out to be known before its end is assumed.
MOST_DESIGNED = 500


@dataclass(frozen=True)
class Parts:
    """What of our sampler is switched on; all of it but where a benchmark asks what each part is worth.

    Args:
        design: Begin with a plan instead of chance.
        neighbours: Let mutation go to a neighbour on an ordered axis.
        model: Choose among many children by a guess at what they bring.
    """

    design: bool = True
    neighbours: bool = True
    model: bool = True


ALL = Parts()


class NSGA2(BaseSampler):
    """Steady-state NSGA-II whose parents are all completed trials.

    Optuna's own chooses the parents of a generation when somebody asks for its first child, and a trial that is
    completed after that never becomes one: with time as an objective, those are the long ones.

    Paper: Deb et al. 2002, A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II, for ranks, crowding and the
    tournament; the rest is ours.

    Args:
        space: What is searched.
        population: So many of the best results are the parents of the next child; of more than `MOST_RESULTS`, so many.
        seed: Seed of the study.
        parts: What of it is switched on.
    """

    def __init__(self, space: Space, population: int, seed: int, parts: Parts = ALL) -> None:
        self._space, self._population, self._seed, self._parts = space, population, seed, parts
        self._history = History(space)
        listed = space.size is not None and space.size <= MOST_GENOMES
        # Enough to fit a model to; what comes after it learns more from each trial than a plan does.
        self._designed = max(planned_of(space), min(population, max(LEAST_RESULTS, len(space.axes) + 2)))
        self._genomes = grid(space) if listed else ()
        self._picker = Picker()

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Draw all axes together."""
        return {name: distribution(axis) for name, axis in self._space.axes.items()}

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Choose a genome for a Trial that has been made."""
        return self._genome(study.get_trials(deepcopy=False), trial.number)

    def propose(self, trials: Sequence[FrozenTrial]) -> dict[str, Value]:
        """Choose a genome for the Trial that will be made after these."""
        return self._genome(trials, len(trials))

    def _genome(self, trials: Sequence[FrozenTrial], number: int) -> dict[str, Value]:
        self._history.update(trials)
        rng = np.random.default_rng(trial_seed(self._seed, number))
        chosen = self._choose(rng)
        return dict(chosen.genome) if chosen else self._anything(rng)

    def is_done(self, study: Study) -> bool:
        """Whether every Recipe of a space that can be listed has been asked for, however it ended."""
        if not self._genomes or len(study.get_trials(deepcopy=False)) < len(self._all):
            return False
        self._history.update(study.get_trials(deepcopy=False))
        return not self._all.keys() - self._history.seen

    @cached_property
    def _all(self) -> dict[Identity, Known]:
        """List every Recipe of a space that can be listed."""
        known = (self._history.know(genome) for genome in self._genomes)
        return {recipe.identity: recipe for recipe in known if recipe is not None}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Never needed: every axis is drawn with the others."""
        raise AssertionError(param_name)

    def _choose(self, rng: Generator) -> Known | None:
        history = self._history
        asked = len(history.results) + len(history.running)
        if asked < self._designed or len(history.results) < LEAST_RESULTS:
            planned = self._planned() if self._parts.design else self._drawn(rng)
            if planned is not None:
                return planned
        rate = 1 / len(self._space.axes)
        while rate < 2 and history.results:
            chosen = self._best_child(rate, rng)
            if chosen is not None:
                return chosen
            rate *= 2  # all of them were known
        return self._unseen(rng)

    def _planned(self) -> Known | None:
        for genome in islice(designed(self._space, self._seed), MOST_DESIGNED):
            known = self._history.know(genome)
            if known is not None and known.identity not in self._history.seen:
                return known
        return None

    def _best_child(self, rate: float, rng: Generator) -> Known | None:
        """Make children, and give the most promising one that was never trained."""
        children = self._children(rate, rng)
        order: Iterable[int] = range(len(children))
        if self._parts.model and children:
            # Of most children a Recipe is never made: that takes longer than all the rest.
            codes = np.array([self._history.coding.code(self._space.settled(child)) for child in children])
            order = self._picker.order(codes, self._history, rng)
        known = (self._history.know(children[number]) for number in order)
        return next((k for k in known if k is not None and k.identity not in self._history.seen), None)

    def _children(self, rate: float, rng: Generator) -> list[dict[str, Value]]:
        """Make children, each another genome."""
        scales, parents = self._history.coding.scales, [known.genome for known in self.parents()]
        found: dict[tuple[Value, ...], dict[str, Value]] = {}
        # Each parent wins a tournament of two: the parents are in order, and the better comes first.
        winners = rng.integers(len(parents), size=(CHILDREN, 2, 2)).min(axis=2)
        for first, second in winners.tolist():
            made = child(scales, (parents[first], parents[second]), rate, rng, self._parts.neighbours)
            found[tuple(made.values())] = made
        return list(found.values())

    def parents(self) -> list[Known]:
        """Give the Recipes of the best of all results, the better before the worse."""
        return [result.known for result in self._history.best()[: self._population]]

    def _unseen(self, rng: Generator) -> Known | None:
        """Give what is left of a space that is nearly used up, else what chance gives."""
        left = [identity for identity in self._all if identity not in self._history.seen]
        return self._all[left[0]] if left else self._drawn(rng)

    def _drawn(self, rng: Generator) -> Known | None:
        """Draw a Recipe at random, one that was never trained if that can be had soon; None if there is none."""
        known = None
        for _ in range(PATIENCE):
            known = self._history.know(self._anything(rng)) or known
            if known is not None and known.identity not in self._history.seen:
                break
        return known

    def _anything(self, rng: Generator) -> dict[str, Value]:
        """Draw a genome at random; it may have no Recipe, and its trial fails with the reason."""
        return {name: scale.value_at(rng.random()) for name, scale in self._history.coding.scales.items()}
