"""What steps cost whose backward pass leaves something out, or prunes it in simulation.

python -m benchmarks.backward

A stack of 3x3 convolutions of 256 channels with batch norm and ReLU on 14x14 maps, and the training of a resnet20 on
Fashion-MNIST as the engine does it; channels-last, fp32, one core. All kinds are timed in turn, again and again, so
that noise meets all of them, and what another process has of the core does not count. Of the stack every step is
approximate; of the training every second one, as is the default.
"""

from __future__ import annotations

import gc
import os
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks.loops import recipe
from paretosearch import data
from paretosearch.axis import Value
from paretosearch.data import ImageSet
from paretosearch.device import cpu_name
from paretosearch.geometry import Geometry
from paretosearch.training import Training
from paretosearch.weight_gradients import Rule, convolve, none, of_channels, of_samples

LAYERS, CHANNELS, EDGE, BATCH = 3, 256, 14, 8
ROUNDS = 7

#: Four steps an epoch, of which two or three are approximate.
IMAGES = 512

#: Of the stack; None is the convolution as it is.
RULES: Mapping[str, Rule | None] = {
    "exact": None,
    "zero": none,
    "channels, half": partial(of_channels, keep=0.5),
    "channels, a quarter": partial(of_channels, keep=0.25),
    "samples, half": partial(of_samples, keep=0.5),
    "samples, a quarter": partial(of_samples, keep=0.25),
}

_Methods = Mapping[str, Mapping[str, Value]]

#: Of the training.
KINDS: Mapping[str, _Methods] = {
    "exact": {},
    "zero": {"gradient_approximation": {"kind": "zero"}},
    "zero, all layers": {"gradient_approximation": {"kind": "zero", "layers": "all"}},
    "zero, 3 of 4 steps": {"gradient_approximation": {"kind": "zero", "every": 4}},
    "channels, half": {"gradient_approximation": {"kind": "channels"}},
    "samples, half": {"gradient_approximation": {"kind": "samples"}},
    "gradient_pruning, p = 0.9": {"gradient_pruning": {"sparsity": 0.9, "start": 0.0}},
    "gradient_pruning, 8 earlier": {"gradient_pruning": {"sparsity": 0.9, "start": 0.0, "window": 8}},
}


def main() -> None:
    """Print medians of both."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    print(f"{cpu_name()}, one core, torch {torch.__version__}; medians of {ROUNDS} rounds; load at the start {load}")
    print(f"\n{LAYERS} convolutions of {CHANNELS} channels, {EDGE}x{EDGE}, batch {BATCH}: forward and backward")
    _show(_in_turn({name: _step_of_stack(rule) for name, rule in RULES.items()}))
    images = data.load("fashion-mnist")
    trainings = {name: _epoch_of(methods, images) for name, methods in KINDS.items()}
    print("\nresnet20 on Fashion-MNIST, batch 128: mean step of an epoch")
    _show(_in_turn(trainings))


def _in_turn(timed: Mapping[str, Callable[[], float]]) -> dict[str, list[float]]:
    taken: dict[str, list[float]] = defaultdict(list)
    for _ in range(ROUNDS + 1):
        for name, run in timed.items():
            gc.collect()
            taken[name].append(run())
    return {name: seconds[1:] for name, seconds in taken.items()}  # the first one builds kernels


def _show(taken: Mapping[str, list[float]]) -> None:
    """Print the median step of each, and the median of its ratios to the exact one of the same round."""
    for name, seconds in taken.items():
        ratios = [mine / exact for mine, exact in zip(seconds, taken["exact"], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        print(f"  {name:<28}{1000 * statistics.median(seconds):8.1f} ms  {middle:.3f} ({low:.3f} to {high:.3f})")


def _step_of_stack(rule: Rule | None) -> Callable[[], float]:
    torch.manual_seed(0)
    convs = [nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False) for _ in range(LAYERS)]
    norms = [nn.BatchNorm2d(CHANNELS) for _ in range(LAYERS)]
    nn.ModuleList([*convs, *norms]).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    x = torch.randn(BATCH, CHANNELS, EDGE, EDGE).contiguous(memory_format=torch.channels_last).requires_grad_()

    def step() -> float:
        start, y = time.process_time(), x
        for conv, norm in zip(convs, norms, strict=True):
            y = torch.relu_(norm(_convolved(conv, y, rule)))
        torch.autograd.backward(y.sum())
        for tensor in (x, *(conv.weight for conv in convs)):
            tensor.grad = None
        return time.process_time() - start

    return step


def _convolved(conv: nn.Conv2d, x: Tensor, rule: Rule | None) -> Tensor:
    y: Tensor = conv(x) if rule is None else convolve(x, conv.weight, None, Geometry.of(conv), rule)
    return y


def _epoch_of(methods: _Methods, images: ImageSet) -> Callable[[], float]:
    training = Training(replace(recipe(train_images=IMAGES, epochs=1000), methods=methods), images, torch.device("cpu"))

    def epoch() -> float:
        training.epoch()
        steps = training.clock.phases[-1].steps[-training.run.steps_per_epoch :]
        return statistics.fmean(steps)

    return epoch


if __name__ == "__main__":
    main()
