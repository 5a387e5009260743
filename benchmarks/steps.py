"""What surrounds the pure training step, measured in a Worker's environment.

python -m benchmarks.steps overhead --cores 1     # one line of JSON; run by benchmarks.bench with a Worker's allocator
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from benchmarks.loops import BATCH, loader, pin, recipe
from paretosearch import data
from paretosearch.data import Batches, ImageSet, Split, pixels
from paretosearch.training import Training
from paretosearch.training.fixedpoint import kernel

CPU = torch.device("cpu")
ROUNDS = 9
STEPS = 8


def overhead() -> dict[str, Any]:
    """Time steps of the loop, and the same forward, backward and update on the same tensors, in turn."""
    training = Training(recipe(train_images=0), data.load("fashion-mnist"), CPU)
    run, total = training.run, torch.zeros(())
    run.model.train()
    training.follow()

    def loop() -> None:
        training.steps(islice(training.batches, STEPS), total)

    def pure() -> None:
        for x, y in kept:
            F.cross_entropy(training.forward(x), y).backward()  # type: ignore[no-untyped-call]
            run.optimizer.step()
            run.optimizer.zero_grad(set_to_none=True)

    kept = list(islice(training.batches, STEPS))
    seconds = _in_turn({"loop": loop, "pure": pure}, ROUNDS)
    return {"percent": 100 * (statistics.median(seconds["loop"]) / statistics.median(seconds["pure"]) - 1), **seconds}


def dead_channels() -> dict[str, Any]:
    """Time steps of a healthy network, and of one a quarter of whose weights and momentum are denormal numbers."""
    images = data.load("fashion-mnist")
    trainings = {name: Training(recipe(), images, CPU) for name in ("healthy", "dead", "dead, not flushed")}
    batch = next(iter(trainings["healthy"].batches))
    seconds: dict[str, list[float]] = {name: [] for name in trainings}
    for _ in range(3 * ROUNDS):
        for name, training in trainings.items():
            if name != "healthy":
                _kill(training)
            training.run.model.train()
            training.follow()
            torch.set_flush_denormal(name != "dead, not flushed")
            start = time.perf_counter()
            training.steps([batch], torch.zeros(()))
            seconds[name].append(time.perf_counter() - start)
    torch.set_flush_denormal(True)
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    ratio, unflushed = (middle[name] / middle["healthy"] for name in ("dead", "dead, not flushed"))
    return {"ratio": ratio, "ratio_not_flushed": unflushed, **seconds}


@torch.no_grad()
def _kill(training: Training) -> None:
    for weight in training.run.model.parameters():
        for tensor in (weight, training.run.optimizer.state[weight]["momentum_buffer"]):
            if tensor.ndim == 4:
                tensor[: len(tensor) // 4] = 1e-39


def fixed_point() -> dict[str, Any]:
    """Time steps in fp32 and in 16-bit dynamic fixed point, in turn."""
    images = data.load("fashion-mnist")
    trainings = {name: Training(recipe(name, train_images=0), images, CPU) for name in ("fp32", "dfp16")}
    batches = list(islice(trainings["fp32"].batches, STEPS))
    for training in trainings.values():
        training.run.model.train()
        training.follow()
    turns: dict[str, Callable[[], object]] = {
        name: partial(training.steps, batches, torch.zeros(())) for name, training in trainings.items()
    }
    seconds = _in_turn(turns, ROUNDS)
    fp32, dfp16 = (statistics.median(seconds[name]) for name in trainings)
    return {"ratio": dfp16 / fp32, "fp32_ms": 1000 * fp32 / STEPS, "dfp16_ms": 1000 * dfp16 / STEPS, **seconds}


#: Channels and edge of the maps in the three stages of resnet20.
STAGES = ((16, 28), (32, 14), (64, 7))


def integers() -> dict[str, Any]:
    """Time convolutions by the integer kernels, and the same in fp32: forward and both gradients, in turn."""
    reason = kernel.library()
    if isinstance(reason, str):
        raise SystemExit(f"no integer kernels: {reason}")
    seconds = _in_turn({"fp32": _stages(_fp32), "int16": _stages(_int16)}, 3 * ROUNDS)
    fp32, int16 = (statistics.median(taken) for taken in seconds.values())
    return {"ratio": fp32 / int16, "fp32_ms": 1000 * fp32, "int16_ms": 1000 * int16, **seconds}


def _stages(convolve: Callable[[Tensor, Tensor, Tensor], None]) -> Callable[[], None]:
    given = [[_mantissas(BATCH, c, edge), _mantissas(c, c, 3), _mantissas(BATCH, c, edge)] for c, edge in STAGES]
    if convolve is _fp32:
        given = [[tensor.float() for tensor in tensors] for tensors in given]

    def run() -> None:
        for tensors in given:
            convolve(*tensors)

    return run


def _mantissas(count: int, channels: int, edge: int) -> Tensor:
    drawn = torch.randint(-(2**13), 2**13, (count, channels, edge, edge), dtype=torch.int16)
    return drawn.to(memory_format=torch.channels_last)


def _fp32(x: Tensor, weight: Tensor, grad: Tensor) -> None:
    F.conv2d(x, weight, padding=1)
    one = [1, 1]
    torch.ops.aten.convolution_backward(grad, x, weight, None, one, one, one, False, [0, 0], 1, [True, True, False])


def _int16(x: Tensor, weight: Tensor, grad: Tensor) -> None:
    one = 1, 1
    kernel.forward(x, weight, one, one, 1.0, 2)
    kernel.grad_input(grad, weight, tuple(x.shape), one, 1.0, 2)
    kernel.grad_weight(x, grad, (3, 3), one, one, 1.0, 2)


def augmentation() -> dict[str, Any]:
    """Time cutting, mirroring and normalising alone, here and by a DataLoader; microseconds per image of 28x28."""
    images = data.load("fashion-mnist")
    ours = Batches(images.train, images, CPU, BATCH, augment=True, generator=torch.Generator())
    theirs = loader(images, workers=0, tuned=True)
    seconds = _in_turn({"ours": lambda: _exhaust(ours), "DataLoader": lambda: _exhaust(theirs)}, 5)
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    counts = {"ours": len(ours) * BATCH, "DataLoader": len(theirs) * BATCH}
    us, peer = (1e6 * middle[name] / counts[name] for name in counts)
    return {"us": us, "us_dataloader": peer, **seconds}


def warm_start() -> dict[str, Any]:
    """Time from a Recipe to the first step in a process that has trained this network before; milliseconds."""
    images, taken = data.load("fashion-mnist"), []
    for number in range(ROUNDS + 1):
        start = time.perf_counter()
        training = Training(recipe(train_images=0), images, CPU)
        batch = next(iter(training.batches))
        training.run.model.train()
        training.follow()
        taken.append(1000 * (time.perf_counter() - start))
        if number == 0:
            training.steps([batch], torch.zeros(()))
    return {"ms": statistics.median(taken[1:]), "first_ms": taken[0], "samples": taken}


def folder() -> dict[str, Any]:
    """Time training from a folder of photographs that streams, and from random images of that shape in memory."""
    with tempfile.TemporaryDirectory() as place:
        root = _photographs(Path(place) / "images")
        streamed = data.load(f"folder:{root}", EDGE)
        resident = _synthetic(streamed)
        trainings = {"synthetic": _training(resident), "streamed": _training(streamed, streaming=True)}
        turns: dict[str, Callable[[], object]] = {name: training.epoch for name, training in trainings.items()}
        seconds = _in_turn(turns, ROUNDS)
    middle = {name: statistics.median(taken) for name, taken in seconds.items()}
    return {"percent": 100 * (middle["streamed"] / middle["synthetic"] - 1), **seconds}


EDGE, PHOTOGRAPHS = 64, 1200


def _training(images: ImageSet, streaming: bool = False) -> Training:
    free = pixels._free
    if streaming:
        pixels._free = lambda _: 0
    try:
        small = recipe(train_images=0, epochs=2 * ROUNDS)
        return Training(small, images, CPU)
    finally:
        pixels._free = free


def _photographs(root: Path) -> Path:
    random = np.random.default_rng(0)
    for label in range(4):
        (root / f"class-{label}").mkdir(parents=True)
        for index in range(PHOTOGRAPHS // 4):
            picture = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
            picture.resize((96, 96)).save(root / f"class-{label}" / f"{index}.jpg")
    return root


def _synthetic(like: ImageSet) -> ImageSet:
    random, shape = np.random.default_rng(0), like.train.images.permute(0, 2, 3, 1).shape
    images = torch.from_numpy(random.integers(0, 256, tuple(shape), dtype=np.uint8)).permute(0, 3, 1, 2)
    train = Split(images, like.train.labels)
    return ImageSet("synthetic", like.classes, train, train, train, like.mean, like.std, flip=True)


def _in_turn(turns: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time some functions one after another, round by round, without the first round."""
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(rounds + 1):
        for name, function in turns.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return {name: taken[1:] for name, taken in seconds.items()}


def _exhaust(batches: Iterable[tuple[Tensor, Tensor]]) -> None:
    iterator: Iterator[tuple[Tensor, Tensor]] = iter(batches)
    for _ in iterator:
        pass


MEASURES: dict[str, Callable[[], dict[str, Any]]] = {
    measure.__name__: measure
    for measure in (overhead, dead_channels, fixed_point, integers, augmentation, warm_start, folder)
}


def main() -> None:
    """Take one measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measure", choices=MEASURES)
    parser.add_argument("--cores", type=int, default=1)
    asked = parser.parse_args()
    pin(asked.cores, engine=True)
    print(json.dumps(MEASURES[asked.measure]()))


if __name__ == "__main__":
    main()
