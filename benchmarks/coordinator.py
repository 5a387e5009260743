"""What the Launcher's own work costs in a study of many trials: asking, telling, the front.

.venv/bin/python -m benchmarks.coordinator --trials 10000      # some minutes, most of them to fill the database
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.trial import create_trial

from paretosearch.device import Device
from paretosearch.outcome import EpochResult, Outcome
from paretosearch.search import Search, open_search
from paretosearch.search.distributions import distribution
from paretosearch.search.study import DIRECTIONS
from paretosearch.store import Store, StudyRecord, open_store
from paretosearch.studyfile import StudyFile, load

#: How often each thing is read.
READS = 5

DEVICE = Device("cpu", "cpu-bench-0", "none", 1, "here", 0, (0,))


def outcome_of(genome: dict[str, Any], rng: np.random.Generator) -> Outcome:
    """Make up what a training came to."""
    epochs = int(genome["epochs"])
    seconds = 3 * epochs * (128 / int(genome["batch_size"])) ** 0.2 * float(np.exp(0.1 * rng.standard_normal()))
    accuracy = float(np.clip(0.93 - 0.3 / (1 + epochs) + 0.01 * rng.standard_normal(), 0, 1))
    epoch = EpochResult(1, seconds, accuracy, 0.5, 0.1, 32, 1000, 2000, 0.01, 0.001)
    return Outcome("complete", train_seconds=seconds, wall_seconds=seconds, accuracy=accuracy, epochs=(epoch,))


def fill(url: str, file: StudyFile, trials: int) -> None:
    """Make a study with so many complete trials, in Optuna's tables and in ours."""
    store, rng = open_store(url), np.random.default_rng(0)
    store.add_study(
        StudyRecord(
            file.name, file.text, file.space.hash, {"declared": file.space.to_plain(), "number_formats": []}, "nsga2",
            1, DEVICE.device_class, {}, datetime.now(UTC),
        )
    )  # fmt: skip
    store.add_device(DEVICE)
    search = open_search(url, file.name, file.space, "random", 16, 1)
    distributions = {name: distribution(axis) for name, axis in file.space.axes.items()}
    values = {name: [distribution_value(d, rng) for _ in range(trials)] for name, d in distributions.items()}
    made = []
    for number in range(trials):
        genome = {name: values[name][number] for name in distributions}
        outcome = outcome_of(genome, rng)
        made.append(create_trial(params=genome, distributions=distributions, values=list(outcome.objectives)))
        recipe = file.space.recipe(genome)
        attempt = store.start_attempt(file.name, number, DEVICE, recipe)
        store.finish_attempt(attempt, outcome)
    search._study.add_trials(made)
    store.record_front(file.name, trials - 1, DEVICE.device_class)
    search.close()
    store.close()


def distribution_value(axis: Any, rng: np.random.Generator) -> Any:
    """Draw a value of one of Optuna's distributions."""
    if hasattr(axis, "choices"):
        return axis.choices[int(rng.integers(len(axis.choices)))]
    if isinstance(axis.low, int):
        return int(rng.integers(axis.low, axis.high + 1))
    return (
        float(np.exp(rng.uniform(np.log(axis.low), np.log(axis.high))))
        if axis.log
        else rng.uniform(axis.low, axis.high)
    )


def seconds_of(call: Callable[[], Any]) -> float:
    """Time one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def one_trial(search: Search, store: Store, file: StudyFile, rng: np.random.Generator) -> tuple[float, float, float]:
    """Ask for a trial, make its result up, tell it; gives the seconds to ask, to tell and to update the front."""
    start = time.perf_counter()
    asked = search.ask()
    to_ask = time.perf_counter() - start
    assert asked.genome is not None
    recipe, outcome = file.space.recipe(asked.genome), outcome_of(asked.genome, rng)
    attempt = store.start_attempt(file.name, asked.trial, DEVICE, recipe)
    store.finish_attempt(attempt, outcome)
    to_tell = seconds_of(lambda: search.tell(asked.trial, outcome.objectives, {"digest": recipe.digest}))
    return to_ask, to_tell, seconds_of(lambda: store.record_front(file.name, asked.trial, DEVICE.device_class))


def one_of_optuna(study: optuna.Study, file: StudyFile, rng: np.random.Generator) -> float:
    """Ask Optuna itself for a trial and tell it; gives the seconds of both."""
    distributions = {name: distribution(axis) for name, axis in file.space.axes.items()}
    start = time.perf_counter()
    trial = study.ask(distributions)
    study.tell(trial, list(outcome_of(trial.params, rng).objectives))
    return time.perf_counter() - start


def measured(url: str, file: StudyFile, rounds: int) -> dict[str, float]:
    """Time what the Launcher does for every trial, in a study that is full."""
    store, rng = open_store(url), np.random.default_rng(1)
    search = open_search(url, file.name, file.space, "nsga2", 16, 1)
    first = seconds_of(search.ask)  # of a new process, which reads everything
    # Beside it what the database alone costs: Optuna's random sampler, which chooses nothing, in an empty study.
    sampler = optuna.samplers.RandomSampler(seed=1)
    plain = optuna.create_study(study_name="optuna", storage=url, sampler=sampler, directions=DIRECTIONS)
    ours, optunas = [], []
    for _ in range(rounds):
        ours.append(one_trial(search, store, file, rng))
        optunas.append(one_of_optuna(plain, file, rng))
    asks, tells, fronts = zip(*ours, strict=True)
    command = [sys.executable, "-m", "paretosearch", "front", file.name, "--storage", url]
    reads = {
        "front_s": lambda: store.front(file.name),
        "estimates_s": lambda: store.estimates(file.name),
        "front_command_s": lambda: subprocess.run(command, check=True, capture_output=True),
    }
    both = statistics.median([a + t for a, t in zip(asks, tells, strict=True)])
    return {
        "ask_ms": 1000 * statistics.median(asks),
        "ask_and_tell_ms": 1000 * both,
        "optuna_random_ask_and_tell_ms": 1000 * statistics.median(optunas),
        "slowest_ask_ms": 1000 * max(asks),
        "first_ask_s": first,
        "front_update_ms": 1000 * statistics.median(fronts),
        **{name: statistics.median(seconds_of(read) for _ in range(READS)) for name, read in reads.items()},
    }


def main() -> None:
    """Fill a study, then measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=60)
    asked = parser.parse_args()
    file = load("fashion_mnist")
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'full.db'}"
        fill(url, file, asked.trials)
        print(json.dumps({"trials": asked.trials, **measured(url, file, asked.rounds)}))


if __name__ == "__main__":
    main()
