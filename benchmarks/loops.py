"""The training loops that the benchmark compares, each in a process of its own.

python -m benchmarks.loops plain --cores 1 --number-format fp32     # one line of JSON

``plain`` is the loop of the tutorials, ``tuned`` the same in the hands of a careful user, ``ours`` the engine in a
Worker's environment. All train the same resnet20, for the same epochs, on the same images of Fashion-MNIST.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from paretosearch import data, nets
from paretosearch.data import ImageSet, subset
from paretosearch.device import Device
from paretosearch.fleet.worker import own_the_cores
from paretosearch.recipe import Recipe
from paretosearch.training import Training

IMAGES = 1280
BATCH = 128
EPOCHS = 2
PADDING = 4

NUMBER_FORMATS = {"fp32": None, "bf16": torch.bfloat16}

#: Gives the seconds of every epoch.
Loop = Callable[[ImageSet, str, int], list[float]]


def recipe(number_format: str = "fp32", train_images: int = IMAGES, epochs: int = EPOCHS + 1) -> Recipe:
    """Make the Recipe that all loops train."""
    return Recipe(
        "fashion-mnist",
        "resnet20",
        train_images=train_images,
        epochs=epochs,
        batch_size=BATCH,
        number_format=number_format,
        schedule="constant",
        norm_batches=0,  # which the other loops do not do either
    )


class Pictures(Dataset[tuple[Tensor, int]]):
    """Images as torchvision's data sets give them: decoded, then transformed one at a time."""

    def __init__(self, images: ImageSet, transform: Callable[[Image.Image], Tensor]) -> None:
        split = subset(images.train, IMAGES, 0)
        self._pixels, self._labels = split.images.permute(0, 2, 3, 1).numpy(), split.labels.tolist()
        self._transform = transform

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self._transform(Image.fromarray(np.squeeze(self._pixels[index]))), self._labels[index]


def loader(images: ImageSet, workers: int, tuned: bool) -> DataLoader[tuple[Tensor, int]]:
    """Make the loader of the tutorials; a tuned one keeps its processes from epoch to epoch."""
    steps: list[Callable[[object], object]] = [
        transforms.RandomCrop(images.image_size, padding=PADDING),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(images.mean, images.std),
    ]
    pictures = Pictures(images, transforms.Compose(steps))
    return DataLoader(
        pictures, BATCH, shuffle=True, drop_last=True, num_workers=workers, persistent_workers=tuned and workers > 0
    )


def plain(images: ImageSet, number_format: str, workers: int) -> list[float]:
    """Train as the tutorials do: default layout, default optimizer, the loss read in every step."""
    model = _model(images)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4)
    batches = loader(images, workers, tuned=False)

    def epoch() -> None:
        running_loss = 0.0
        for x, y in batches:
            optimizer.zero_grad()
            with _autocast(number_format):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            running_loss += loss.item()

    return _timed(epoch)


def tuned(images: ImageSet, number_format: str, workers: int) -> list[float]:
    """Train as a careful user does: channels last, fused optimizer, workers that stay, the loss read once an epoch."""
    model = _model(images).to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=True)
    batches = loader(images, workers, tuned=True)

    def epoch() -> None:
        total = torch.zeros(())
        for x, y in batches:
            with _autocast(number_format):
                loss = F.cross_entropy(model(x.to(memory_format=torch.channels_last)), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            total += loss.detach()
        total.item()

    return _timed(epoch)


def ours(images: ImageSet, number_format: str, _: int) -> list[float]:
    """Train with the engine; it needs no loader."""
    return _timed(Training(recipe(number_format), images, torch.device("cpu")).epoch)


LOOPS: dict[str, Loop] = {"plain": plain, "tuned": tuned, "ours": ours}


def _model(images: ImageSet) -> nn.Module:
    torch.manual_seed(0)
    return nets.build("resnet20", channels=images.channels, image_size=images.image_size, classes=len(images.classes))


def _autocast(number_format: str) -> AbstractContextManager[object]:
    dtype = NUMBER_FORMATS[number_format]
    return torch.autocast("cpu", dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def _timed(epoch: Callable[[], object]) -> list[float]:
    """Time every epoch but the first, which builds kernels and starts the loader's processes."""
    seconds = []
    for _ in range(EPOCHS + 1):
        start = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - start)
    return seconds[1:]


def pin(cores: int, engine: bool) -> None:
    """Keep to the last so many cores, with a Worker's settings of torch or with torch's own."""
    mine = tuple(sorted(os.sched_getaffinity(0))[-cores:])
    if engine:
        own_the_cores(Device("cpu", "", "", 0, "", 0, mine))
    else:
        os.sched_setaffinity(0, mine)
        torch.set_num_threads(len(mine))


def main() -> None:
    """Time one loop."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loop", choices=LOOPS)
    parser.add_argument("--cores", type=int, default=1)
    parser.add_argument("--number-format", choices=NUMBER_FORMATS, default="fp32")
    parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
    asked = parser.parse_args()
    pin(asked.cores, engine=asked.loop == "ours")
    seconds = LOOPS[asked.loop](data.load("fashion-mnist"), asked.number_format, asked.workers)
    print(json.dumps({"images_per_second": IMAGES * len(seconds) / sum(seconds), "epochs": seconds}))


if __name__ == "__main__":
    main()
