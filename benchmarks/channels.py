"""How long a layer takes by its number of channels: whether channel counts should be rounded, and to what.

python benchmarks/channels.py

Forward and backward of 3x3 convolution, batch norm and ReLU, channels-last, fp32, one thread, for the three map sizes
of a CIFAR network on 28x28 images. All counts are timed in turn, again and again, so that noise meets all of them.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

import torch
from torch import nn

from paretosearch.device import cpu_name

COUNTS = range(8, 65)
EDGES = (28, 14, 7)
BATCH, ROUNDS = 32, 9

#: Two times that differ by less are the same.
NOISE = 0.03


def main() -> None:
    """Print, for every multiple, how much faster the counts below a multiple of 16 are than that multiple."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    print(f"{cpu_name()}, one core, torch {torch.__version__}; medians of {ROUNDS} rounds, batch {BATCH}")
    for edge in EDGES:
        seconds = _seconds(edge)
        shown = " ".join(f"{count}:{1000 * seconds[count]:.2f}" for count in COUNTS if count % 4 == 0)
        print(f"\n{edge}x{edge} milliseconds by channels: {shown}")
        for multiple in (1, 2, 4, 8):
            print(f"  rounded up to {multiple} instead of 16: {_compare(seconds, multiple)}")


def _compare(seconds: dict[int, float], multiple: int) -> str:
    """Say what rounding to a multiple saves on average over all counts, and how often it loses against 16."""
    ratios = []
    for count in COUNTS:
        fine, coarse = (-(-count // step) * step for step in (multiple, 16))
        ratios.append(seconds[fine] / seconds[coarse])
    worse = sum(ratio > 1 + NOISE for ratio in ratios)
    return f"{statistics.fmean(ratios):.2f} of the time, slower for {worse} of {len(ratios)} counts"


def _seconds(edge: int) -> dict[int, float]:
    layers = {count: _layer(count, edge) for count in COUNTS}
    taken: dict[int, list[float]] = defaultdict(list)
    for _ in range(ROUNDS):
        for count, (layer, x) in layers.items():
            start = time.perf_counter()
            torch.autograd.backward(layer(x).sum())
            taken[count].append(time.perf_counter() - start)
    return {count: statistics.median(times[1:]) for count, times in taken.items()}


def _layer(count: int, edge: int) -> tuple[nn.Module, torch.Tensor]:
    layer = nn.Sequential(nn.Conv2d(count, count, 3, padding=1, bias=False), nn.BatchNorm2d(count), nn.ReLU())
    x = torch.randn(BATCH, count, edge, edge).contiguous(memory_format=torch.channels_last).requires_grad_()
    return layer.to(memory_format=torch.channels_last), x  # type: ignore[call-overload]  # not in the stub


if __name__ == "__main__":
    main()
