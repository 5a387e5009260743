"""Chooses how a device computes in dynamic fixed point: by integers where that is faster."""

from __future__ import annotations

import statistics
import time
from functools import lru_cache
from importlib.metadata import version
from itertools import product
from pathlib import Path

import torch

from paretosearch import measurements
from paretosearch.device import cpu_name
from paretosearch.geometry import Geometry
from paretosearch.training.fixedpoint import kernel
from paretosearch.training.fixedpoint.convolution import BackEnd, Fast, convolve
from paretosearch.training.fixedpoint.integers import Integers

#: Images, channels and edge of what is timed: the three stages of a small residual network.
SHAPES = ((32, 16, 28), (32, 32, 14), (32, 64, 7))

ROUNDS = 5

#: Integers must be faster by more than what a measurement is off.
WORTH_IT = 0.95


def back_end_for(device: torch.device, headroom: int) -> BackEnd:
    """Give the fastest way to compute on a device, as measured once on this kind of processor.

    Args:
        device: Where.
        headroom: Bits of every mantissa that stay free.
    """
    possible = device.type == "cpu" and headroom in kernel.HEADROOMS
    if possible and not isinstance(kernel.library(), str) and relative_seconds(torch.get_num_threads()) < WORTH_IT:
        return Integers(headroom)
    return Fast()


@lru_cache(maxsize=4)
def relative_seconds(threads: int, cache: Path | None = None) -> float:
    """Measure what convolutions by integers take to those in fp32, forward and backward, or remember it.

    Args:
        threads: How many torch has, or would have.
        cache: File to remember in; the user's cache folder if None.
    """
    cache = cache or measurements.file_of("integers")
    key = f"{cpu_name()}, {kernel.isa()}, {threads} threads, torch {version('torch')}, {measurements.kernels()}"
    known = measurements.read(cache)
    if key not in known:
        known[key] = _measure(threads)
        measurements.write(cache, known)
        known |= measurements.read(cache)  # another Worker may have been quicker, and both must do the same
    return float(known[key])


def _measure(threads: int) -> float:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return _relative()
    finally:
        torch.set_num_threads(before)


def _relative() -> float:
    back_ends: dict[str, BackEnd] = {"integers": Integers(2), "fast": Fast()}
    seconds: dict[tuple[str, int], list[float]] = {}
    for _, (name, back_end), shape in product(range(ROUNDS + 1), back_ends.items(), range(len(SHAPES))):
        seconds.setdefault((name, shape), []).append(_seconds(back_end, *SHAPES[shape]))
    medians = {key: statistics.median(taken[1:]) for key, taken in seconds.items()}
    total = {name: sum(medians[name, shape] for shape in range(len(SHAPES))) for name in back_ends}
    return total["integers"] / total["fast"]


def _seconds(back_end: BackEnd, images: int, channels: int, edge: int) -> float:
    x = torch.ones(images, channels, edge, edge).to(memory_format=torch.channels_last).requires_grad_()
    weight = torch.ones(channels, channels, 3, 3).to(memory_format=torch.channels_last).requires_grad_()
    start = time.perf_counter()
    y = convolve(x, weight, Geometry((1, 1), (1, 1), (1, 1), 1), 2, back_end)
    torch.autograd.backward(y, torch.ones_like(y))
    return time.perf_counter() - start
