"""The samplers that a study may name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from types import MappingProxyType
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from paretosearch.errors import UsageError

#: Population and seed to a sampler.
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


#: Every sampler by its name in a study file. All of them draw at random until ``population`` trials are complete; a
#: grid is planned before anybody is asked, and has an end.
SAMPLERS: Mapping[str, Factory] = MappingProxyType(
    {"nsga2": _nsga2, "nsga2-stock": _nsga2, "tpe": _tpe, "gp": _gp, "random": _random, "grid": _random}
)


class SeededByTrial(BaseSampler):
    """A sampler that is made anew for every trial, from the study's seed and the trial's number.

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


def trial_seed(study_seed: int, number: int) -> int:
    """Mix the seed of a study with the number of a trial, so that neighbours of either share nothing.

    Args:
        study_seed: Seed of the study, at least 0.
        number: Number of the trial, at least 0.

    Returns:
        A seed in [0, 2**32), the same on every machine.
    """
    return int(np.random.SeedSequence((study_seed, number)).generate_state(1)[0])
