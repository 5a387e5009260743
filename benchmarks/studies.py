"""Whole trainings and studies: what devices spend their time on, and how well their seconds repeat.

python -m benchmarks.studies share     # one line of JSON; run by benchmarks.bench
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from benchmarks.loops import pin, recipe
from paretosearch import data
from paretosearch.api.launching import launch
from paretosearch.store import open_store
from paretosearch.training import replay, train

TRIALS = 40
TRAININGS = 10
CPU = torch.device("cpu")

#: A trial of about five seconds on one core; equal trials, so that what a sampler draws does not decide.
STUDY = """
name    = "share"
dataset = "fashion-mnist"
network = "convnet"
seed    = 1

[budget]
trials = {trials}

[search]
sampler = "random"

[recipe]
epochs     = {epochs}
batch_size = 128

[space]
learning_rate = {{ low = 0.05, high = 0.1, log = true }}
"""

#: A neighbour that takes the core a third of the time, in bursts, and the memory's bandwidth with it.
NEIGHBOUR = """
import os, random, time
import numpy as np
os.sched_setaffinity(0, {cores})
block, dice = np.ones(1 << 23), random.Random(0)
while True:
    end = time.monotonic() + dice.expovariate(1 / 0.2)
    while time.monotonic() < end:
        block *= 1.0
    time.sleep(dice.expovariate(1 / 0.4))
"""


def share(epochs: int = 1) -> dict[str, Any]:
    """Run a study on two Workers and add up what its attempts spent on what, as shares of both cores' time."""
    with tempfile.TemporaryDirectory() as place:
        file, url = Path(place) / "share.toml", f"sqlite:///{place}/share.db"
        file.write_text(STUDY.format(trials=TRIALS, epochs=epochs), encoding="utf-8")
        os.chdir(place)
        start = time.monotonic()
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
            launch(str(file), cpu="2", storage=url, console=Console(file=nowhere))
        wall = time.monotonic() - start
        store = open_store(url)
        attempts = store.attempts("share")
        store.close()
    devices = 2 * wall
    trained = sum(attempt.wall_seconds or 0.0 for attempt in attempts)
    kept = sum(attempt.device_seconds or 0.0 for attempt in attempts)
    return {
        "training_percent": 100 * trained / devices,
        "attempt_percent": 100 * kept / devices,
        "trials": len(attempts),
        "seconds_of_a_trial": statistics.median(attempt.train_seconds or 0.0 for attempt in attempts),
        "wall_seconds": wall,
    }


@contextmanager
def _neighbour() -> Iterator[None]:
    code = NEIGHBOUR.format(cores=os.sched_getaffinity(0))
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        yield
    finally:
        process.kill()
        process.wait()


def spread() -> dict[str, Any]:
    """Train the same Recipe again and again beside a neighbour on the same core; standard deviation over mean."""
    images, small = data.load("fashion-mnist"), recipe(train_images=2560, epochs=1)
    train(small, images, CPU)
    with _neighbour():
        outcomes = [train(small, images, CPU).outcome for _ in range(TRAININGS)]
    train_seconds = [outcome.train_seconds or 0.0 for outcome in outcomes]
    wall_seconds = [outcome.wall_seconds or 0.0 for outcome in outcomes]
    return {
        "percent": _spread(train_seconds),
        "wall_percent": _spread(wall_seconds),
        "train_seconds": train_seconds,
        "wall_seconds": wall_seconds,
    }


def _spread(seconds: list[float]) -> float:
    return 100 * statistics.stdev(seconds) / statistics.fmean(seconds)


def retiming() -> dict[str, Any]:
    """Train a network that grows, and time it again by replay; percent by which the two differ."""
    images = data.load("fashion-mnist")
    growing = replace(recipe(train_images=5120, epochs=3), width=0.5, methods={"net2net": {"schedule": "widen@0.5x2"}})
    off, taken = [], []
    for _ in range(5):
        outcome = train(growing, images, CPU).outcome
        start = time.perf_counter()
        again = replay(growing, images, CPU, outcome)
        taken.append(time.perf_counter() - start)
        assert again.train_seconds
        assert outcome.train_seconds
        off.append(100 * (again.train_seconds / outcome.train_seconds - 1))
    largest = max(abs(percent) for percent in off)
    return {"percent": statistics.median(map(abs, off)), "largest_percent": largest, "off": off, "seconds": taken}


MEASURES: dict[str, Callable[[], dict[str, Any]]] = {measure.__name__: measure for measure in (share, spread, retiming)}


def main() -> None:
    """Take one measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--cores", type=int, default=1)
    asked = parser.parse_args()
    if asked.measure != "share":  # whose Workers pin themselves
        pin(asked.cores, engine=True)
    print(json.dumps(MEASURES[asked.measure]()))


if __name__ == "__main__":
    main()
