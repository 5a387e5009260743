"""How well and how cheaply a finished training is timed again without training.

python -m benchmarks.replay --out benchmarks/results     # some fifteen minutes on one core

Different trainings on Fashion-MNIST, with pruning and growth, are each trained in one process and then replayed in
another one on the same core, as two Workers of a class would. Every other core trains something meanwhile, as in a
launch with a slot on each: cores share caches, memory and sometimes more, and one that idles now and then makes its
neighbour faster by half. Some are trained twice: how far the second training is off, no replay could do better.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.loops import pin
from paretosearch import data
from paretosearch.data import ImageSet, subset
from paretosearch.device import cpu_name
from paretosearch.fleet.process import ALLOCATOR
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.training import Training, replay, train
from paretosearch.training.reference import reference_seconds

CPU = torch.device("cpu")

#: Images to validate on: off the clock, so fewer than there are.
VALIDATION = 500

#: Every so manieth training is trained again.
AGAIN_EVERY = 6

#: Steps of one look at the reference workload, of five milliseconds; a machine is even where two looks differ by less.
LOOK_STEPS, CALM = 10, 0.05

PRUNE: Mapping[str, Any] = {"prunetrain": {"penalty_ratio": 0.6, "interval": 1}}
PRUNE_RARELY: Mapping[str, Any] = {"prunetrain": {"penalty_ratio": 0.6, "interval": 3}}
PAPER: Mapping[str, Any] = {"prunetrain": {"penalty_ratio": 0.6, "interval": 2, "form": "subgradient"}}
WIDEN: Mapping[str, Any] = {"net2net": {"schedule": "widen@0.4x1.5"}}
DEEPEN: Mapping[str, Any] = {"net2net": {"schedule": "deepen@0.5"}}
BOTH: Mapping[str, Any] = {"net2net": {"schedule": "widen@0.3x2+deepen@0.6"}}
DYNAMIC: Mapping[str, Any] = {"dynamic_batch": {"largest": 128}}


def _recipe(network: str, width: float, images: int, **others: Any) -> Recipe:
    plain: dict[str, Any] = {"epochs": 10, "batch_size": 32, "reference_batch_size": 32, "learning_rate": 0.2}
    return Recipe("fashion-mnist", network, width=width, train_images=images, channel_multiple=4, **{**plain, **others})


RECIPES: tuple[Recipe, ...] = (
    _recipe("resnet8", 0.5, 2000),
    _recipe("resnet8", 0.5, 2000, methods=PRUNE),
    _recipe("resnet8", 0.5, 2000, batch_size=128, methods=PRUNE),
    _recipe("resnet8", 0.5, 2000, batch_size=64, methods=WIDEN),
    _recipe("resnet8", 0.5, 1200, methods=BOTH),
    _recipe("resnet8", 0.5, 2000, methods={**PRUNE_RARELY, **WIDEN}),
    _recipe("resnet8", 0.5, 2000, batch_size=16, methods=PAPER),
    _recipe("resnet8", 0.5, 1600, number_format="dfp16"),
    _recipe("resnet8", 0.5, 1600, number_format="dfp16", methods=PRUNE),
    _recipe("resnet8", 0.5, 1600, number_format="dfp16", batch_size=64, methods=DEEPEN),
    _recipe("resnet8", 0.5, 1200, number_format="bfp8", methods=PRUNE_RARELY),
    _recipe("resnet8", 0.5, 2000, methods={**PRUNE, **DYNAMIC}),
    _recipe("resnet8", 1.0, 1000, epochs=12, batch_size=64, methods=PRUNE),
    _recipe("resnet8", 0.25, 4000, methods=BOTH),
    _recipe("resnet20", 0.25, 2000, methods=PRUNE),
    _recipe("resnet20", 0.25, 1600, batch_size=64, methods=WIDEN),
    _recipe("resnet20", 0.25, 1600, methods={**PRUNE_RARELY, **DEEPEN}),
    _recipe("resnet20", 0.5, 1000, batch_size=64, methods=PRUNE_RARELY),
    _recipe("convnet", 0.5, 4000, methods=PRUNE),
    _recipe("convnet", 0.5, 4000, batch_size=64, methods=WIDEN),
    _recipe("convnet", 1.0, 3000, pooling="stochastic", methods=PRUNE_RARELY),
    _recipe("convnet", 0.5, 4000, number_format="dfp16", batch_size=16, methods=BOTH),
    _recipe("convnet", 0.5, 4000, pooling="s3", methods={**PRUNE, **WIDEN}),
    _recipe("convnet", 1.0, 4000, batch_size=128, methods={"ema": {"decay": 0.99}, **PRUNE}),
)


@dataclass(frozen=True)
class Row:
    """One training and its replay.

    Args:
        recipe: What was trained, in short.
        phases: Of its steps.
        trained: Seconds on the training clock.
        replayed: The same by replay.
        cost: Seconds that the replay took.
        slower: How much longer the reference workload took around and within the replay than within the training.
        again: Seconds of a second training; None if there was none.
        again_slower: How much longer the reference took within that one.
        noisy: Whether the training was disturbed, or its replay.
    """

    recipe: str
    phases: int
    trained: float
    replayed: float
    cost: float
    slower: float
    again: float | None
    again_slower: float
    noisy: bool

    @property
    def error(self) -> float:
        """How far the replay is off, relative to the training."""
        return self.replayed / self.trained - 1

    @property
    def own_error(self) -> float:
        """The same, had the machine been as fast as in the training."""
        return self.replayed / (1 + self.slower) / self.trained - 1

    @property
    def again_error(self) -> float | None:
        """How far the second training is off."""
        return None if self.again is None else self.again / self.trained - 1


@lru_cache
def _images() -> ImageSet:
    images = data.load("fashion-mnist")
    return replace(images, validation=subset(images.validation, VALIDATION, 0))


def _look() -> float:
    return reference_seconds(CPU, LOOK_STEPS)


def _trained(recipe: str) -> tuple[str, float]:
    """Train; gives the Outcome, and median seconds of the reference before, between the epochs and behind them."""
    looks = [_look()]
    outcome = train(Recipe.from_json(recipe), _images(), CPU, lambda _: looks.append(_look())).outcome
    return outcome.to_json(), statistics.median(looks)


def _replayed(recipe: str, outcome: str) -> tuple[str, float, float]:
    """Replay; gives the Outcome, median seconds of the reference around and between phases, and what it took."""
    images, looks, start = _images(), [_look()], time.perf_counter()
    looking = 0.0

    def look(_: object) -> None:
        nonlocal looking
        begin = time.perf_counter()
        looks.append(_look())
        looking += time.perf_counter() - begin

    again = replay(Recipe.from_json(recipe), images, CPU, Outcome.from_json(outcome), look)
    cost = time.perf_counter() - start - looking
    return again.to_json(), statistics.median([*looks, _look()]), cost


def _process() -> ProcessPoolExecutor:
    """Give a process with the last core and the settings of a Worker."""
    executor = ProcessPoolExecutor(1, get_context("spawn"), initializer=pin, initargs=(1, True))
    executor.submit(_trained, _recipe("convnet", 0.25, 500, epochs=1).to_json()).result()  # the next is not its first
    return executor


def _keep_busy(core: int) -> None:
    """Train on a core for as long as the process lives that began this one."""
    parent = os.getppid()
    os.setsid()  # a group of its own to the scheduler, with an ordinary share of the core whatever ours is
    os.sched_setaffinity(0, {core})
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    training = Training(RECIPES[0], _images(), CPU)
    while os.getppid() == parent:
        training.run.epoch = 0
        training.epoch()


@contextmanager
def neighbours() -> Iterator[None]:
    """Keep all cores but the last one busy."""
    cores = sorted(os.sched_getaffinity(0))[:-1]
    busy = [get_context("spawn").Process(target=_keep_busy, args=(core,)) for core in cores]
    for process in busy:
        process.start()
    try:
        yield
    finally:
        for process in busy:
            process.kill()


def rows(recipes: Sequence[Recipe]) -> Iterator[Row]:
    """Train and replay Recipes, in turn."""
    with neighbours(), _process() as trainer, _process() as replayer, _process() as second:
        for number, recipe in enumerate(recipes):
            text = recipe.to_json()
            trained, there = trainer.submit(_trained, text).result()
            replayed, here, cost = replayer.submit(_replayed, text, trained).result()
            again, then = second.submit(_trained, text).result() if number % AGAIN_EVERY == 0 else (None, there)
            outcomes = [Outcome.from_json(outcome) for outcome in (trained, replayed, again) if outcome]
            yield _row(recipe, outcomes, cost, [here / there - 1, then / there - 1])


def _row(recipe: Recipe, outcomes: Sequence[Outcome], cost: float, slower: Sequence[float]) -> Row:
    trained, replayed, again, *_ = [outcome.train_seconds or 0.0 for outcome in outcomes] + [0.0]
    phases, is_noisy = len(outcomes[0].phases), any(outcome.noisy for outcome in outcomes[:2])
    return Row(_in_short(recipe), phases, trained, replayed, cost, slower[0], again or None, slower[1], noisy=is_noisy)


def _in_short(recipe: Recipe) -> str:
    methods = "+".join(_spelled(name, parameters) for name, parameters in recipe.methods.items())
    pooling = recipe.pooling if recipe.pooling != "native" else ""
    parts = recipe.network, f"x{recipe.width:g}", recipe.number_format, f"b{recipe.batch_size}", pooling, methods
    return " ".join(filter(None, parts))


def _spelled(name: str, parameters: Mapping[str, Any]) -> str:
    if name == "net2net":
        return str(parameters["schedule"])
    return f"prune/{parameters['interval']}" if name == "prunetrain" else name


HEAD = f"{'training':52}{'phases':>7}{'trained':>9}{'replayed':>9}{'error':>8}{'machine':>9}{'cost':>8}{'again':>8}"


def line(row: Row) -> str:
    """Write a row as text."""
    again = "" if row.again_error is None else f"{row.again_error:+.1%}"
    numbers = f"{row.trained:9.2f}{row.replayed:9.2f}{row.error:+8.1%}{row.slower:+9.1%}{row.cost:8.2f}{again:>8}"
    return f"{row.recipe:52}{row.phases:7}{numbers}{' noisy' if row.noisy else ''}"


def summary(found: list[Row]) -> dict[str, float]:
    """Sum up errors, cost and order."""
    errors, slower = [row.error for row in found], [row.slower for row in found]
    off, own = [abs(row.error) for row in found], [abs(row.own_error) for row in found]
    calm = [abs(row.error) for row in found if abs(row.slower) <= CALM and not row.noisy]
    again = [abs(row.again_error) for row in found if row.again_error is not None]
    trained, replayed = [row.trained for row in found], [row.replayed for row in found]
    return {
        "trainings": len(found),
        "median error %": 100 * statistics.median(off),
        "worst error %": 100 * max(off),
        "trainings on an even machine": len(calm),
        "median error of those %": 100 * statistics.median(calm) if calm else 0.0,
        "worst error of those %": 100 * max(calm, default=0.0),
        "median error without the machine's %": 100 * statistics.median(own),
        "worst error without the machine's %": 100 * max(own),
        "correlation of error and machine": statistics.correlation(errors, slower) if len(found) > 1 else 0.0,
        "replays of trainings %": 100 * sum(row.cost for row in found) / sum(trained),
        "Kendall": kendall(trained, replayed),
        "median of trained again %": 100 * statistics.median(again) if again else 0.0,
        "worst of trained again %": 100 * max(again, default=0.0),
    }


def kendall(first: list[float], second: list[float]) -> float:
    """Give the rank correlation of two lists without ties, 1 if they are in the same order."""
    pairs = list(itertools.combinations(zip(first, second, strict=True), 2))
    return sum(1 if (a[0] - b[0]) * (a[1] - b[1]) > 0 else -1 for a, b in pairs) / max(1, len(pairs))


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the table and the JSON file")
    parser.add_argument("--only", type=int, nargs="+", help="numbers of the trainings, from 0")
    asked = parser.parse_args()
    os.environ.update(ALLOCATOR)  # for the processes
    device = f"{cpu_name()}, one core, torch {torch.__version__}, {datetime.now(UTC).date().isoformat()}"
    chosen = tuple(RECIPES[number] for number in asked.only) if asked.only else RECIPES
    found: list[Row] = []
    print(f"{device}\n\n{HEAD}")
    for row in rows(chosen):
        found.append(row)
        print(line(row), flush=True)
    print(f"\n{_said(summary(found))}")
    if asked.out is not None:
        keep(asked.out, device, found)


def _said(figures: Mapping[str, float]) -> str:
    return "\n".join(f"{name}: {value:.3g}" for name, value in figures.items())


def keep(folder: Path, device: str, found: list[Row]) -> None:
    """Write the table and the JSON file."""
    figures = summary(found)
    text = "\n".join([device, "", HEAD, *map(line, found), "", _said(figures), ""])
    (folder / "replay-cpu.txt").write_text(text, encoding="utf-8")
    plain = {"device": device, "figures": figures, "rows": [asdict(row) for row in found]}
    (folder / "replay-cpu.json").write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
