"""The samplers that a study may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from types import MappingProxyType
from typing import Any, Protocol

from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretosearch.errors import UsageError
from paretosearch.search.grid import PLANS
from paretosearch.search.nsga2 import NSGA2
from paretosearch.search.seeds import trial_seed
from paretosearch.space import Genome, Space

#: Population and seed to one of Optuna's own samplers.
Factory = Callable[[int, int], BaseSampler]


def _nsga2(population: int, seed: int) -> BaseSampler:
    return NSGAIISampler(population_size=population, seed=seed)


def _tpe(population: int, seed: int) -> BaseSampler:
    # Drawn one by one, which is Optuna's default, the parameters of two objectives lose what they owe to each other.
    return TPESampler(n_startup_trials=population, multivariate=True, seed=seed)


def _gp(population: int, seed: int) -> BaseSampler:
    try:
        import_module("scipy")
    except ImportError:
        raise UsageError("the gp sampler needs scipy: pip install scipy, or choose another sampler") from None
    return GPSampler(n_startup_trials=population, seed=seed)


def _random(_population: int, seed: int) -> BaseSampler:
    return RandomSampler(seed=seed)


#: Optuna's samplers by their names in a study file. All of them draw at random until ``population`` trials are
#: complete; what is planned (`PLANS`) is so before anybody is asked, and has an end.
OPTUNAS: Mapping[str, Factory] = MappingProxyType(
    {"nsga2-stock": _nsga2, "tpe": _tpe, "gp": _gp, "random": _random, **dict.fromkeys(PLANS, _random)}
)

#: Ours.
OURS = "nsga2"


class StudySampler(Protocol):
    """What a search wants of a sampler besides what Optuna wants."""

    def propose(self, trials: Sequence[FrozenTrial]) -> Genome | None:
        """Choose what to train next, given all Trials of the study; None if only Optuna can ask it."""

    def is_done(self, study: Study) -> bool:
        """Whether every Recipe was asked for that it would ask for."""


class SeededByTrial(BaseSampler):
    """One of Optuna's samplers, made anew for every trial from the study's seed and the trial's number.

    One generator for the whole study would start again with every process, so that a resumed study would ask again
    what it asked before. Here the same history always leads to the same question, whoever asks.

    Args:
        make: Seed to a sampler.
        seed: Seed of the study.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make = make
        self._seed = seed
        self._sampler = make(seed)

    def propose(self, trials: Sequence[FrozenTrial]) -> Genome | None:
        """Leave it to Optuna, whose samplers keep notes of their own beside a Trial."""
        return None

    def is_done(self, study: Study) -> bool:
        """Say that there is no end: Optuna's samplers ask for a Recipe as often as it comes."""
        return False

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Make the sampler of this trial; Optuna calls this before anything is drawn for it."""
        self._sampler = self._make(trial_seed(self._seed, trial.number))
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Leave it to the sampler."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Leave it to the sampler."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Leave it to the sampler."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None) -> None:
        """Leave it to the sampler."""
        self._sampler.after_trial(study, trial, state, values)


def make_sampler(name: str, space: Space, population: int, seed: int) -> NSGA2 | SeededByTrial:
    """Make the sampler of a study.

    Args:
        name: `OURS` or a key of `OPTUNAS`.
        space: What is searched.
        population: See `SearchOptions`.
        seed: Seed of the study.

    Raises:
        UsageError: If the sampler needs a package that is not here.
    """
    if name == OURS:
        return NSGA2(space, population, seed)
    return SeededByTrial(partial(OPTUNAS[name], population), seed)
