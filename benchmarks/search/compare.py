"""Compares samplers on the tables: device-seconds until the front is found, with what each part of ours is worth.

.venv/bin/python -m benchmarks.search.compare                    # all of it; half an hour on two cores
.venv/bin/python -m benchmarks.search.compare --tables convnet --devices 4 --seeds 5 --samplers ours tpe

With --out benchmarks/results it writes search.json with every figure, and search.png with hypervolume against
device-seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler

from benchmarks.search.replay import Replayed, replay
from benchmarks.search.table import Table, read
from paretosearch.search.nsga2 import NSGA2, Parts

TABLES = ("convnet", "resnet8")
DEVICES = (1, 4, 16)
SEEDS = 20
TARGET = 0.98

#: Where a curve is read, in device-seconds of the whole table; who is drawn.
GRID = tuple(round(float(x), 4) for x in np.linspace(0, 0.6, 121))
SHOWN = ("ours", "tpe, multivariate", "nsga2-stock, 20", "random")

#: The population of the study files that a person with a few GPUs would write.
POPULATION = 16

#: Table and seed to a sampler, and whether the doomed are stopped.
Contender = tuple[Callable[[Table, int], BaseSampler], bool]


def ours(**parts: bool) -> Callable[[Table, int], BaseSampler]:
    """Make our NSGA-II, some of its parts switched off."""
    return lambda table, seed: NSGA2(table.space, POPULATION, seed, Parts(**parts))


CONTENDERS: dict[str, Contender] = {
    "ours": (ours(), True),
    "ours without stopping": (ours(), False),
    "ours without the model": (ours(model=False), True),
    "ours without the design": (ours(design=False), True),
    "ours without neighbours": (ours(neighbours=False), True),
    "nsga2-stock, 20": (lambda _, seed: NSGAIISampler(population_size=20, seed=seed), False),
    "nsga2-stock, 50": (lambda _, seed: NSGAIISampler(population_size=50, seed=seed), False),
    "tpe": (lambda _, seed: TPESampler(seed=seed), False),
    "tpe, multivariate": (lambda _, seed: TPESampler(multivariate=True, seed=seed), False),
    "random, stopping": (lambda _, seed: RandomSampler(seed=seed), True),
    "random": (lambda _, seed: RandomSampler(seed=seed), False),
}


@lru_cache
def _table(name: str) -> Table:
    return read(name)


def run(job: tuple[str, str, int, int]) -> Replayed:
    """Replay one search: table, contender, devices, seed."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.simplefilter("ignore")
    name, contender, devices, seed = job
    make, stopping = CONTENDERS[contender]
    return replay(_table(name), make(_table(name), seed), devices, seed, stopping)


def summary(table: Table, runs: Sequence[Replayed]) -> dict[str, Any]:
    """Sum up the searches of one contender: shares of the whole table's seconds, and counts."""
    until = {
        reference: [round(found.until(reference, TARGET) / table.whole_seconds, 4) for found in runs]
        for reference in table.references
    }
    return {
        **{
            reference: {"median": float(np.median(shares)), "interval": interval(shares), "samples": shares}
            for reference, shares in until.items()
        },
        **{name: sum(getattr(found, name) for found in runs) for name in ("trained", "duplicates", "stopped")},
        "audited": sum(found.audited for found in runs),
        "wrong": sum(found.wrong for found in runs),
        "bands": bands(table.whole_seconds, runs),
    }


def interval(samples: Sequence[float]) -> tuple[float, float]:
    """Give a 95 % interval of the median, from the order of the samples (binomial)."""
    ordered, n = sorted(samples), len(samples)
    below = max(0, int(np.floor(n / 2 - 0.98 * np.sqrt(n))))
    return ordered[below], ordered[n - 1 - below]


def line(name: str, devices: int, found: dict[str, Any]) -> str:
    """Write a summary as a line of the table."""
    cells = [
        f"{found[r]['median']:6.3f} [{found[r]['interval'][0]:.3f} {found[r]['interval'][1]:.3f}]"
        for r in ("front", "program")
    ]
    counts = f"{found['duplicates']:6}{found['stopped']:8}{found['wrong']:5} of {found['audited']}"
    return f"{name:24}{devices:4}  {cells[0]:24}{cells[1]:24}{counts}"


def bands(whole: float, runs: Sequence[Replayed]) -> dict[str, list[float]]:
    """Give the share of the front's hypervolume over device-seconds: median and middle half of the searches."""
    shares = np.array([_at(np.array(GRID) * whole, found) for found in runs])
    quantiles = np.quantile(shares, (0.25, 0.5, 0.75), axis=0).round(4)
    return dict(zip(("low", "middle", "high"), quantiles.tolist(), strict=True))


def _at(moments: np.ndarray[Any, Any], found: Replayed) -> np.ndarray[Any, Any]:
    shares = np.append(0.0, found.shares["front"])
    return np.asarray(shares[np.searchsorted(found.spent, moments, side="right")])


def figure(results: dict[str, Any], path: Path) -> None:
    """Draw the bands: a row a table, a column a number of devices."""
    from matplotlib.figure import Figure

    columns = len(next(iter(results["results"].values())))
    drawing = Figure(figsize=(3.6 * columns, 2.9 * len(results["results"])), layout="constrained")
    grid = drawing.subplots(len(results["results"]), columns, sharex=True, sharey=True, squeeze=False)
    for row, (name, by_devices) in zip(grid, results["results"].items(), strict=True):
        recipes = results["tables"][name]["recipes"]
        for axes, (devices, found) in zip(row, by_devices.items(), strict=True):
            for number, contender in enumerate(name for name in SHOWN if name in found):
                band = found[contender]["bands"]
                axes.plot(GRID, band["middle"], color=f"C{number}", label=contender)
                axes.fill_between(GRID, band["low"], band["high"], color=f"C{number}", alpha=0.15, linewidth=0)
            axes.axhline(TARGET, color="0.5", linewidth=0.6, linestyle="--")
            plural = "s" if devices != "1" else ""
            axes.set_title(f"{name}, {recipes} recipes, {devices} device{plural}", fontsize=9)
    for axes in grid[-1]:
        axes.set(xlabel="device-seconds, whole table = 1", ylim=(0.8, 1.002))
    for axes in grid[:, 0]:
        axes.set_ylabel("hypervolume, true front = 1")
    grid[0, 0].legend(loc="lower right", fontsize=8)
    drawing.savefig(path, dpi=130)


def main() -> None:
    """Replay, sum up, draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=TABLES)
    parser.add_argument("--devices", nargs="+", type=int, default=DEVICES)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--samplers", nargs="+", default=list(CONTENDERS), choices=CONTENDERS)
    parser.add_argument("--processes", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, help="folder for the results; without it nothing is kept")
    asked = parser.parse_args()
    tables = {name: read(name) for name in asked.tables}
    results: dict[str, Any] = {}
    print(f"{'':28}  {'until 98 % of the front box':24}{'of the whole area':24}{'dupl.':>6}{'stopped':>8}  wrong")
    with ProcessPoolExecutor(asked.processes) as pool:
        for name, table in tables.items():
            print(f"{name}: {len(table.trainings)} recipes, {table.whole_seconds:.0f} device-seconds")
            for devices in asked.devices:
                for contender in asked.samplers:
                    jobs = [(name, contender, devices, seed) for seed in range(asked.seeds)]
                    runs = list(pool.map(run, jobs))
                    found = results.setdefault(name, {}).setdefault(str(devices), {})[contender] = summary(table, runs)
                    print(line(contender, devices, found), flush=True)
    if asked.out is not None:
        about = {name: {**table.about, "device_seconds": table.whole_seconds} for name, table in tables.items()}
        plain = {"target": TARGET, "seeds": asked.seeds, "tables": about, "results": results}
        (asked.out / "search.json").write_text(json.dumps(plain) + "\n", encoding="utf-8")
        figure(plain, asked.out / "search.png")


if __name__ == "__main__":
    main()
