"""What estimating the statistics of batch norm anew at the end does to accuracy and seconds.

python -m benchmarks.norm_batches     # some ten minutes on one core

resnet8 at half width on 2000 images of Fashion-MNIST, in a short and a longer training, dense and pruned.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

import torch

from benchmarks.loops import pin
from paretosearch import data
from paretosearch.device import cpu_name
from paretosearch.recipe import Recipe
from paretosearch.training import train

SEEDS = (1, 2)
BATCHES = (0, 4, 8, 16, 64)
PRUNED: Mapping[str, Mapping[str, Any]] = {"prunetrain": {"penalty_ratio": 0.3, "interval": 1}}


def main() -> None:
    """Print mean accuracy and seconds for every number of batches."""
    pin(1, engine=True)
    images, cpu = data.load("fashion-mnist"), torch.device("cpu")
    print(f"{cpu_name()}, one core, torch {torch.__version__}; means of seeds {SEEDS}")
    for name, methods in (("dense", {}), ("pruned", PRUNED)):
        for epochs in (4, 12):
            for count in BATCHES:
                small: dict[str, Any] = {"width": 0.5, "train_images": 2000, "batch_size": 64, "learning_rate": 0.5}
                recipes = [
                    Recipe(
                        "fashion-mnist",
                        "resnet8",
                        epochs=epochs,
                        norm_batches=count,
                        methods=methods,
                        seed=seed,
                        **small,
                    )
                    for seed in SEEDS
                ]
                outcomes = [train(recipe, images, cpu).outcome for recipe in recipes]
                seconds, accuracy = (
                    statistics.fmean(values) for values in zip(*(o.objectives for o in outcomes), strict=True)
                )
                print(
                    f"{name}, {epochs} epochs, norm_batches {count}: {100 * accuracy:.1f} %, {seconds:.2f} s",
                    flush=True,
                )


if __name__ == "__main__":
    main()
