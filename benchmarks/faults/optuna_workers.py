"""Optuna's own way to survive kills: workers with heartbeats, which enqueue again what a dead one left."""

from __future__ import annotations

import multiprocessing
import random
import re
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import optuna
from optuna.samplers import NSGAIISampler
from optuna.storages import RDBStorage, RetryHeartbeatStaleTrialCallback, fail_stale_trials
from optuna.trial import TrialState

from benchmarks.faults.left import Found, count_optuna, in_hand
from paretosearch.testing.checker import Event, read_history
from paretosearch.testing.faults import note

STUDY = "baseline"
RECIPES, WORKERS = 60, 4
HEARTBEAT_SECONDS, GRACE_SECONDS = 1, 3

#: A training is a sleep of this length. It leaves the cores to the workers and the database whoever else uses the
#: machine, so that no heartbeat is late and whatever is lost is lost by the protocol: the kinder choice for Optuna.
TRAINING_SECONDS = 0.3

#: How often an idle worker looks for trials that became stale, or that wait again.
LOOK_SECONDS = 0.5

#: Silence after which all may be done: longer than SQLite waits for a lock, so that nobody is between failing a stale
#: trial and enqueueing it again.
QUIET_SECONDS = 6.0

#: Silence after which what still runs may be stuck; it is once the workers have looked for stale trials so often since.
#: Seconds alone would give up on a busy machine where the workers have not had their turn.
STILL_SECONDS, STILL_LOOKS = 10.0, 12

#: Longest that a run may take.
PATIENCE_SECONDS = 240.0


def prepare(url: str, seed: int) -> None:
    """Make the study with the recipes, before any worker is there: a first start that is raced is another fault."""
    storage = RDBStorage(url)
    study = optuna.create_study(study_name=STUDY, storage=storage, directions=("minimize", "maximize"))
    rates = random.Random(seed)
    for recipe in range(RECIPES):
        study.enqueue_trial({"learning_rate": 10 ** rates.uniform(-3, -1)}, user_attrs={"recipe": recipe})
    storage.remove_session()
    storage.engine.dispose()  # a connection must not be forked


def work(url: str, seed: int, history: Path) -> None:
    """Be a worker until killed, or until an exception that Optuna lets through."""
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    warnings.simplefilter("ignore")
    threading.excepthook = lambda args: _note(history, "heartbeat ended", error=_named(args.exc_value))

    def objective(trial: optuna.Trial) -> tuple[float, float]:
        rate = trial.suggest_float("learning_rate", 1e-3, 1e-1, log=True)
        _note(history, "training", trial=trial.number, recipe=trial.user_attrs.get("recipe"))
        time.sleep(TRAINING_SECONDS)
        _note(history, "trained", trial=trial.number, recipe=trial.user_attrs.get("recipe"))
        return TRAINING_SECONDS, 1 - rate

    try:
        storage = RDBStorage(
            url,
            heartbeat_interval=HEARTBEAT_SECONDS,
            grace_period=GRACE_SECONDS,
            heartbeat_stale_trial_callback=RetryHeartbeatStaleTrialCallback(),
        )
        study = optuna.load_study(
            study_name=STUDY, storage=storage, sampler=NSGAIISampler(population_size=8, seed=seed)
        )
        while True:
            if study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
                study.optimize(objective, n_trials=1)
            else:  # `optimize` would make recipes up that nobody asked for; what it does before, it does here
                fail_stale_trials(study)
                _note(history, "looked")
                time.sleep(LOOK_SECONDS)
    except Exception as error:
        _note(history, "died", error=_named(error))
        raise SystemExit(1) from error


def _note(history: Path, event: str, **what: Any) -> None:
    """Note something with the moment: seconds of a clock that all processes of a machine share."""
    note(history, event, at=time.monotonic(), **what)


def _named(error: BaseException | None) -> str:
    """Give an exception as its type and the first line of what it says, without the numbers in it."""
    said = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {re.sub('[0-9]+', 'N', said)}"[:100]


@dataclass
class _Crew:
    """The workers of one run, each replaced as soon as it ends, and who kills them."""

    url: str
    history: Path
    seed: int

    def __post_init__(self) -> None:
        # Forked, a worker has imported everything: it is back in a tenth of a second instead of two seconds of a core.
        self._context = multiprocessing.get_context("fork")
        self._chance = random.Random(self.seed)
        self._started = 0
        self._workers: list[ForkProcess] = []

    def fill(self) -> None:
        """Start workers in the place of those that have ended."""
        self._workers = [worker for worker in self._workers if worker.is_alive()]
        while len(self._workers) < WORKERS:
            self._started += 1
            worker = self._context.Process(target=work, args=(self.url, self.seed + self._started, self.history))
            worker.start()
            self._workers.append(worker)

    def strike(self) -> bool:
        """Kill a worker if one has begun to train since the last kill, as Nemesis does; gives whether it did.

        The moment is spread over a whole training, and the victim is any worker that has ever begun one: it may be
        training, about to ask or to tell, or idle.
        """
        events = read_history(self.history)
        last = max((place for place, event in enumerate(events) if event["event"] == "killed"), default=-1)
        if not any(event["event"] == "training" for event in events[last + 1 :]):
            return False
        time.sleep(self._chance.uniform(0.0, TRAINING_SECONDS))
        able = {event["pid"] for event in read_history(self.history) if event["event"] == "training"}
        victims = [worker for worker in self._workers if worker.pid in able and worker.is_alive()]
        if not victims:
            return False
        victim = self._chance.choice(victims)
        _note(self.history, "killed", victim=victim.pid)
        victim.kill()
        victim.join()
        return True

    def disband(self) -> None:
        """End the workers when nothing is left to do for them."""
        for worker in self._workers:
            worker.kill()
            worker.join()


def run(url: str, folder: Path, seed: int, kills: int) -> Found:
    """Let workers train the recipes under kills, and count what is left.

    Args:
        url: Of an empty database.
        folder: An empty folder, for the history.
        seed: Of the recipes, the samplers and the moments.
        kills: Workers to kill; fewer are if the recipes are done before.

    Returns:
        What the database and the history hold in the end.
    """
    history = folder / "history.jsonl"
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    prepare(url, seed)
    crew = _Crew(url, history, seed)
    begun = time.monotonic()
    try:
        while time.monotonic() - begun < PATIENCE_SECONDS and not _is_over(url, read_history(history), begun):
            crew.fill()
            if kills and crew.strike():
                kills -= 1
            time.sleep(0.02)
    finally:
        crew.disband()
    events = read_history(history)
    assert any(event["event"] == "training" for event in events), events[:3]
    return count_optuna(url, STUDY, RECIPES, events, _last_change(events, begun) - begun)


def _is_over(url: str, events: Sequence[Event], begun: float) -> bool:
    """Whether all trials have ended, or the rest runs without a worker and nobody will find it."""
    changed = _last_change(events, begun)
    if time.monotonic() - changed < QUIET_SECONDS:
        return False
    states = in_hand(url, STUDY)
    looks = sum(event["event"] == "looked" and event["at"] > changed + STILL_SECONDS for event in events)
    return not states or (states == {"RUNNING"} and looks >= STILL_LOOKS)


def _last_change(events: Sequence[Event], begun: float) -> float:
    return max((event["at"] for event in events if event["event"] != "looked"), default=begun)
