"""A short fixed workload that says how fast a device is at the moment."""

from __future__ import annotations

import statistics

import torch
import torch.nn.functional as F

from paretosearch.training.clock import Clock
from paretosearch.training.phases import Setting

#: Batch, channels and edge of the maps: on a GPU enough work that launching it does not show; on one core of a CPU some
#: five milliseconds. Of the workloads that were tried there (benchmarks/replay.py, 2026) this one slowed down most like
#: the steps of a resnet8 beside it, by a factor of 0.94 to 0.98 in logarithms, with 2.6 % left over.
SHAPES = {"cpu": (16, 16, 28), "cuda": (256, 64, 32)}

#: The first steps build kernels or fill caches.
WARM_UP = 2


def reference_seconds(device: torch.device, steps: int, clock: Clock | None = None) -> float:
    """Take the median of some steps of one convolution in fp32, forward and backward.

    It draws no random numbers and leaves no setting changed, so no training goes another way for it.

    Args:
        device: The device.
        steps: How many, without the warm-up.
        clock: Measures them; None is a new one, by the clock of trainings.
    """
    clock = clock or Clock(device)
    batch, channels, edge = SHAPES[device.type]
    maps = torch.full((batch, channels, edge, edge), 0.5, device=device).contiguous(memory_format=torch.channels_last)
    weight = torch.full((channels, channels, 3, 3), 0.01, device=device).contiguous(memory_format=torch.channels_last)
    maps.requires_grad_(), weight.requires_grad_()
    clock.set(Setting(batch), 0)
    # Whatever the training before has set: plain fp32, and no search for algorithms, which would find another one.
    with torch.enable_grad(), torch.backends.cudnn.flags(benchmark=False, allow_tf32=False), clock.steps() as step_done:
        for _ in range(WARM_UP + steps):
            torch.autograd.grad(F.conv2d(maps, weight, padding=1).sum(), (maps, weight))
            step_done()
    return statistics.median(clock.phases[-1].steps[WARM_UP:])
