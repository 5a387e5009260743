"""The conversation with Optuna about one study."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import optuna
from optuna.exceptions import ExperimentalWarning, UpdateFinishedTrialError
from optuna.storages import RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Engine

from paretosearch.axis import Value
from paretosearch.errors import ParetosearchError, StoreError
from paretosearch.search.distributions import distribution
from paretosearch.search.nsga2 import NSGA2
from paretosearch.search.samplers import SeededByTrial, StudySampler, make_sampler
from paretosearch.search.storage import close, connect, store_errors
from paretosearch.space import Genome, Space

METRICS = ("train_seconds", "accuracy")
DIRECTIONS = (StudyDirection.MINIMIZE, StudyDirection.MAXIMIZE)

#: Key of the note that says from which study and trial a result was taken.
FROM = "from"

_STATES = {
    TrialState.COMPLETE: "complete",
    TrialState.FAIL: "failed",
    TrialState.PRUNED: "dominated",
    TrialState.RUNNING: "running",
}


@dataclass(frozen=True)
class Asked:
    """A Trial that the sampler wants trained.

    Args:
        trial: Its number in the study, from 0.
        genome: A value for every axis; None where the Launcher died before the last one was drawn.
    """

    trial: int
    genome: dict[str, Value] | None


class Search:
    """An Optuna study by ask and tell; made by `open_search`.

    Args:
        study: The study, with its sampler.
        storage: Where it is kept.
        space: What to ask for.
        sampler: Who chooses.
    """

    def __init__(self, study: optuna.Study, storage: RDBStorage, space: Space, sampler: StudySampler) -> None:
        self._study = study
        self._sampler = sampler
        self._storage = storage
        self._study_id = storage.get_study_id_from_name(study.study_name)
        # Every axis in every trial: NSGA-II would draw an axis at random that some trial of the past has not.
        self._distributions = {name: distribution(axis) for name, axis in space.axes.items()}
        self._ids: dict[int, int] = {}  # Optuna's key of each Trial, by its number, where it has been looked up

    def begin_with(self, name: str, genome: Genome) -> None:
        """Ask for a genome of the space before the sampler is asked, unless the study has such a Trial.

        Args:
            name: What to call the Trial, kept beside it.
            genome: A value for every axis.

        Raises:
            StoreError: If the database does not take it.
        """
        values = {key: genome[key] for key in self._distributions}
        with store_errors(self._storage.engine):
            self._study.enqueue_trial(values, user_attrs={"first": name}, skip_if_exists=True)

    def plan(self, genomes: Iterable[Genome]) -> int:
        """Ask for genomes of the space, in this order, before the sampler is asked, but for those that the study has.

        Args:
            genomes: A value for every axis.

        Returns:
            How many of them are trained by this study, and have no result of another.

        Raises:
            StoreError: If the database does not take it.
        """
        with store_errors(self._storage.engine):
            trials = self._study.get_trials(deepcopy=False)
            given = [trial.params for trial in trials if FROM in trial.user_attrs]
            had = [trial.params or trial.system_attrs.get("fixed_params") for trial in trials]
            wanted = [{key: genome[key] for key in self._distributions} for genome in genomes]
            for values in wanted:
                if values not in had:
                    self._study.enqueue_trial(values)
            return sum(values not in given for values in wanted)

    def add_result(self, genome: Genome, objectives: tuple[float, float], note: Mapping[str, str]) -> int:
        """Take in a result of another study, as a Trial that is complete.

        Args:
            genome: A value for every axis.
            objectives: Training seconds and accuracy in [0, 1].
            note: Where it is from, by `FROM`, and what else to keep beside it. Nothing is added twice from one place.

        Returns:
            Number of the Trial.

        Raises:
            StoreError: If the database does not take it.
        """
        with store_errors(self._storage.engine):
            for trial in self._study.get_trials(deepcopy=False):
                if trial.user_attrs.get(FROM) == note[FROM]:
                    return trial.number
            return self._begin(TrialState.COMPLETE, genome, values=objectives, user_attrs=dict(note))

    def is_done(self) -> bool:
        """Whether the sampler trains no Recipe twice and has asked for all that there are."""
        with store_errors(self._storage.engine):
            return self._sampler.is_done(self._study)

    def ask(self) -> Asked:
        """Begin a Trial, once those that were begun before have been taken up by `resume`.

        Returns:
            Its number and a value for every axis.

        Raises:
            StoreError: If the database does not take it.
        """
        with store_errors(self._storage.engine):
            trials = self._study.get_trials(deepcopy=False)
            stray = next((t for t in trials if t.state is TrialState.RUNNING and t.number not in self._ids), None)
            if stray is not None:  # asked for in a call that the database did not live to answer
                return self._begun(stray)
            is_waiting = any(trial.state is TrialState.WAITING for trial in trials)
            genome = None if is_waiting else self._sampler.propose(trials)
            if genome is None:
                trial = self._study.ask(self._distributions)
                self._ids[trial.number] = trial._trial_id
                return Asked(trial.number, trial.params)
            return Asked(self._begin(TrialState.RUNNING, genome), dict(genome))

    def _begin(self, state: TrialState, genome: Genome, **more: Any) -> int:
        """Make a Trial with all its values in one transaction; to ask takes one for each, and may die between them."""
        params = {key: genome[key] for key in self._distributions}
        made = create_trial(state=state, params=params, distributions=self._distributions, **more)
        trial_id = self._storage.create_new_trial(self._study_id, made)
        number = self._storage.get_trial_number_from_id(trial_id)
        self._ids[number] = trial_id
        return number

    def tell(
        self,
        trial: int,
        objectives: tuple[float, float] | None,
        note: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """End a Trial; one that has ended already stays as it is.

        Args:
            trial: Number of the Trial.
            objectives: Training seconds and accuracy in [0, 1]; None for a failure.
            note: What to keep beside it, such as the digest of its Recipe or the class of its failure.

        Raises:
            ParetosearchError: If an objective is not finite or out of range.
            StoreError: If the study has no such Trial, or the database does not take it.
        """
        if objectives is not None:
            _check_objectives(trial, objectives)
        self._end(trial, TrialState.FAIL if objectives is None else TrialState.COMPLETE, objectives, note)

    def tell_dominated(self, trial: int, note: Mapping[str, str] = MappingProxyType({})) -> None:
        """End a Trial that was stopped early; one that has ended already stays as it is.

        Args:
            trial: Number of the Trial.
            note: What to keep beside it.

        Raises:
            StoreError: If the study has no such Trial, or the database does not take it.
        """
        self._end(trial, TrialState.PRUNED, None, note)

    def _end(
        self, trial: int, state: TrialState, objectives: tuple[float, float] | None, note: Mapping[str, str]
    ) -> None:
        with store_errors(self._storage.engine), suppress(UpdateFinishedTrialError):
            trial_id = self._trial_id(trial)
            for key, value in note.items():  # first, because Optuna seals a trial that is told
                self._storage.set_trial_user_attr(trial_id, key, value)
            # What Study.tell does besides, for samplers with constraints and for pruners, takes three times as long.
            self._storage.set_trial_state_values(trial_id, state, objectives)

    def put_off(self, trial: int) -> None:
        """Let a Trial wait that nobody trains any more, to be taken up by `resume`.

        Raises:
            StoreError: If the study has no such Trial, or the database does not take it.
        """
        with store_errors(self._storage.engine):
            self._storage.set_trial_state_values(self._trial_id(trial), TrialState.WAITING)

    def resume(self) -> tuple[Asked, ...]:
        """Take up the Trials that were asked and never told; gives them in order.

        They were put off, or their Launcher died. A Trial that waits without values is not among them: nobody was asked
        for those yet.

        Raises:
            StoreError: If the database does not take it.
        """
        with store_errors(self._storage.engine):
            open_ones = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING, TrialState.WAITING))
            begun = [t for t in open_ones if t.state is TrialState.RUNNING or t.params]
            for trial in begun:
                if trial.state is TrialState.WAITING:
                    self._storage.set_trial_state_values(self._trial_id(trial.number), TrialState.RUNNING)
        return tuple(map(self._begun, begun))

    def _begun(self, trial: FrozenTrial) -> Asked:
        self._ids[trial.number] = trial._trial_id
        values = {
            **trial.system_attrs.get("fixed_params", {}),
            **trial.params,
        }  # some may be planned, and not there yet
        if values.keys() != self._distributions.keys():
            return Asked(trial.number, None)
        for name in values.keys() - trial.params.keys():
            axis = self._distributions[name]
            self._storage.set_trial_param(trial._trial_id, name, axis.to_internal_repr(values[name]), axis)
        return Asked(trial.number, values)

    def counts(self) -> dict[str, int]:
        """Count the Trials by state: ``complete``, ``failed``, ``dominated`` and ``running``."""
        with store_errors(self._storage.engine):
            found = Counter(trial.state for trial in self._study.get_trials(deepcopy=False))
        return {name: found[state] for state, name in _STATES.items()}

    def trials(self) -> int:
        """Count the Trials that were asked, whatever became of them; those of other studies are not among them."""
        with store_errors(self._storage.engine):
            trials = self._study.get_trials(deepcopy=False)
        return sum(t.state is not TrialState.WAITING and FROM not in t.user_attrs for t in trials)

    def guard(self, by: Callable[[Engine], None]) -> None:
        """Let somebody look at every transaction, who may refuse it by an error of ours."""
        by(self._storage.engine)

    def close(self) -> None:
        """Let go of the database."""
        close(self._storage)

    def _trial_id(self, number: int) -> int:
        try:
            if number not in self._ids:
                self._ids[number] = self._storage.get_trial_id_from_study_id_trial_number(self._study_id, number)
            return self._ids[number]
        except KeyError:
            raise StoreError(f"study {self._study.study_name!r} has no trial {number}") from None


def open_search(url: str, name: str, space: Space, sampler: str, population: int, seed: int) -> Search:
    """Begin an Optuna study, or continue it.

    Args:
        url: SQLAlchemy URL of the database, with its driver.
        name: Name of the study.
        space: What is searched; the same as in the study's past.
        sampler: One of those that `make_sampler` knows.
        population: Trials in a generation of NSGA-II; the random start of the others.
        seed: Seed of the study.

    Returns:
        The search, to be closed at the end.

    Raises:
        StoreError: If the database cannot be opened, or its study of that name is of another kind.
        UsageError: If the sampler needs a package that is not here.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)  # what it warns of is ours to say
    chooser = make_sampler(sampler, space, population, seed)
    storage = connect(url)
    try:
        return _opened(storage, name, space, chooser)
    except BaseException:
        close(storage)
        raise


def _opened(storage: RDBStorage, name: str, space: Space, chooser: NSGA2 | SeededByTrial) -> Search:
    with store_errors(storage.engine):
        study = optuna.create_study(
            storage=storage, sampler=chooser, study_name=name, directions=DIRECTIONS, load_if_exists=True
        )
        if tuple(study.directions) != DIRECTIONS:
            raise StoreError(f"the database has a study {name!r} with other objectives than ours; choose another name")
        _name_metrics(study)
        return Search(study, storage, space, chooser)


def _name_metrics(study: optuna.Study) -> None:
    if study.metric_names != list(METRICS):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)  # of set_metric_names itself, since Optuna 3.2
            study.set_metric_names(list(METRICS))


def _check_objectives(trial: int, objectives: tuple[float, float]) -> None:
    for name, value, most in zip(METRICS, objectives, (math.inf, 1.0), strict=True):
        if not (math.isfinite(value) and 0 <= value <= most):
            raise ParetosearchError(f"trial {trial}: {name} = {value!r} is no finite number from 0 to {most:g}")
