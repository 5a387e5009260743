"""What PruneTrain and Net2Net save, and what they cost in accuracy, against their controls.

python benchmarks/shapes.py pruning --seeds 1 2   # minutes to an hour on one core for each seed
python benchmarks/shapes.py growth --seeds 1 2 3
python benchmarks/shapes.py --show                # only the table of what was measured

resnet20 on 10 000 images of Fashion-MNIST, one thread; the trainings of a seed follow each other, so that a drift of
the machine meets all of them. Every training is a line in results/shapes.jsonl; seconds are `train_seconds`.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import torch

from paretosearch import data
from paretosearch.data import ImageSet
from paretosearch.device import cpu_name
from paretosearch.outcome import EpochResult
from paretosearch.recipe import Recipe
from paretosearch.training import train

RESULTS = Path(__file__).parent / "results" / "shapes.jsonl"

#: What the penalty can take off a channel is the sum of all learning rates. The paper's trainings have 71 000 steps at
#: up to 0.1, these have 18 720; the rate of 0.2 at this batch size makes up for some of it.
COMMON: Mapping[str, Any] = {
    "dataset": "fashion-mnist",
    "network": "resnet20",
    "train_images": 10_000,
    "batch_size": 32,
}
PRUNING: Mapping[str, Any] = {**COMMON, "epochs": 60, "learning_rate": 0.8, "channel_multiple": 4}
GROWTH: Mapping[str, Any] = {**COMMON, "epochs": 20, "learning_rate": 0.2}


#: The high rate comes early, so that there is time to gain from what is pruned.
WARM_UP = {"one_cycle": {"warmup": 0.1}}


def _pruned(form: str, **parameters: Any) -> dict[str, Any]:
    prunetrain = {"penalty_ratio": 0.25, "interval": 2, "form": form, **parameters}
    return {"methods": {**WARM_UP, "prunetrain": prunetrain}}


def _grown(width: float = 0.5, schedule: str = "widen@0.3x2", **parameters: Any) -> dict[str, Any]:
    return {"width": width, "methods": {"net2net": {"schedule": schedule, **parameters}}}


#: Arms of each comparison; the first one is what the others are compared with.
ARMS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "pruning": {
        "dense": {**PRUNING, "methods": WARM_UP},
        "proximal": {**PRUNING, **_pruned("proximal")},
        "proximal to 0.6": {**PRUNING, **_pruned("proximal", until=0.6)},
        "proximal to 0.4": {**PRUNING, **_pruned("proximal", until=0.4)},
        "subgradient": {**PRUNING, **_pruned("subgradient")},
    },
    "growth": {
        "large": GROWTH,
        "small": {**GROWTH, "width": 0.5},
        "widened": {**GROWTH, **_grown()},
        "widened, rate x0.3": {**GROWTH, **_grown(learning_rate_factor=0.3)},
    },
    "growth of a quarter": {
        "large": {**GROWTH, "width": 0.5},
        "small": {**GROWTH, "width": 0.25},
        "widened": {**GROWTH, **_grown(0.25)},
        "widened, noise 1": {**GROWTH, **_grown(0.25, noise=1.0)},
        "widened, no rewarm": {**GROWTH, **_grown(0.25, rewarm=0.0)},
        "widened at 0.15": {**GROWTH, **_grown(0.25, "widen@0.15x2")},
        "widened, rate x0.3": {**GROWTH, **_grown(0.25, learning_rate_factor=0.3)},
    },
}


def measure(comparison: str, arm: str, seed: int, images: ImageSet) -> None:
    """Train one arm and write its line."""
    recipe = Recipe(**ARMS[comparison][arm], seed=seed)
    outcome = train(recipe, images, torch.device("cpu"), partial(_report, arm)).outcome
    line = {
        "comparison": comparison,
        "arm": arm,
        "seed": seed,
        "accuracy": outcome.accuracy,
        "train_seconds": outcome.train_seconds,
        "training_flops": outcome.training_flops,
        "inference_flops": outcome.inference_flops,
        "parameters": outcome.parameters,
        "noisy": outcome.noisy,
        "surgeries": [
            [s.epoch, s.kind, s.channels_before, s.channels_after, round(s.seconds, 4)] for s in outcome.surgeries
        ],
        "recipe": json.loads(recipe.to_json()),
        "device": f"{cpu_name()}, one core",
        "torch": torch.__version__,
        "date": datetime.now(UTC).date().isoformat(),
    }
    with RESULTS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def _report(arm: str, epoch: EpochResult) -> None:
    state = f"accuracy {epoch.accuracy:.4f}, {epoch.flops_per_image / 1e6:.1f} MFLOPs, {epoch.train_seconds:.0f} s"
    print(f"{arm}: epoch {epoch.epoch}, {state}", flush=True)


def show() -> None:
    """Print the mean of every arm over its seeds, and what it saves against the first arm."""
    lines = [json.loads(line) for line in RESULTS.read_text(encoding="utf-8").splitlines()]
    for comparison, arms in ARMS.items():
        found: dict[str, list[dict[str, Any]]] = defaultdict(list)
        for line in lines:
            if line["comparison"] == comparison:
                found[line["arm"]].append(line)
        if not found:
            continue
        first = next(iter(arms))
        some = next(iter(found.values()))[0]
        print(f"\n{comparison} ({some['device']}, torch {some['torch']}), means; compared on the same seeds")
        print(f"{'':20}{'n':>3}{'accuracy':>10}{'seconds':>9}{'TFLOPs':>8}   against {first}")
        for arm in (arm for arm in arms if arm in found):
            print(_row(arm, found[arm], found[first] if arm != first else []))


def _row(arm: str, lines: list[dict[str, Any]], all_base: list[dict[str, Any]]) -> str:
    accuracy, seconds, flops = (_mean(lines, key) for key in ("accuracy", "train_seconds", "training_flops"))
    row = f"{arm:20}{len(lines):3}{100 * accuracy:8.2f} %{seconds:9.1f}{flops / 1e12:8.2f}"
    seeds = {line["seed"] for line in lines} & {line["seed"] for line in all_base}
    if not seeds:
        return row
    base = [line for line in all_base if line["seed"] in seeds]
    lines = [line for line in lines if line["seed"] in seeds]
    accuracy, seconds, flops = (_mean(lines, key) for key in ("accuracy", "train_seconds", "training_flops"))
    points = 100 * (accuracy - _mean(base, "accuracy"))
    time_saved = 1 - seconds / _mean(base, "train_seconds")
    flops_saved = 1 - flops / _mean(base, "training_flops")
    ratio = f", {time_saved / flops_saved:.2f} of time for each of FLOPs" if flops_saved else ""
    return f"{row}   {points:+.2f} points, FLOPs -{flops_saved:.0%}, seconds -{time_saved:.0%}{ratio}"


def _mean(lines: list[dict[str, Any]], key: str) -> float:
    return statistics.fmean(line[key] for line in lines)


def main() -> None:
    """Measure what is asked for, then print all there is."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("comparison", nargs="?", choices=ARMS)
    parser.add_argument("--arms", nargs="+", help="only some of the trainings")
    parser.add_argument("--seeds", nargs="+", type=int, default=[1])
    parser.add_argument("--show", action="store_true", help="train nothing")
    asked = parser.parse_args()
    unknown = [arm for arm in asked.arms or () if not asked.comparison or arm not in ARMS[asked.comparison]]
    if unknown:
        parser.error(f"there is no arm {unknown[0]!r}; choose of {', '.join(ARMS[asked.comparison or 'pruning'])}")
    if asked.comparison and not asked.show:
        RESULTS.parent.mkdir(exist_ok=True)
        torch.set_flush_denormal(True)
        torch.set_num_threads(1)
        images = data.load("fashion-mnist", 0)
        for seed in asked.seeds:
            for arm in asked.arms or ARMS[asked.comparison]:
                measure(asked.comparison, arm, seed, images)
                show()
    else:
        show()


if __name__ == "__main__":
    main()
