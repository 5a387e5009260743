"""Measures what each number format costs on the device of this process, for `fleet.formats`.

Run as ``python -m paretosearch.training.probe cpu 2 fp32 bf16``: it writes one JSON line for each time that it has
measured a format, those last that may take very long, and may be killed at any time: half precision without hardware
for it has been seen hundreds of times slower than fp32.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from paretosearch.training.forward import Forward
from paretosearch.training.precision import FORMATS, Precision, refusal
from paretosearch.training.rundelay import RunDelay

#: Batch, channels and edge of the measured layers: enough work that launching it does not show.
SHAPES = {"cpu": (32, 32, 16), "cuda": (256, 64, 32)}

#: Each format is measured so often, in turn with the others, since what else a machine does comes and goes; each time
#: for so long, and for at least two steps.
ROUNDS, SECONDS = 3, 0.3


def seconds_per_step(name: str, device: torch.device) -> float:
    """Take the median of a few training steps of four convolutions, done as a training does them.

    Args:
        name: A number format that the device can do.
        device: Where.

    Returns:
        Seconds of forward, backward and update.
    """
    precision = Precision(name, device)
    precision.set_flags()
    batch, channels, edge = SHAPES[device.type]
    model = _layers(channels).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    model = precision.convert(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    precision.settle(optimizer)
    forward = Forward(model, "off", fuse=device.type == "cpu" and precision.has_plain_operations)
    forward.adapt(changes=0, batch_size=batch)
    x, y = torch.randn(batch, channels, edge, edge, device=device), torch.zeros(batch, dtype=torch.long, device=device)
    taken: list[float] = []
    delay = RunDelay()
    while len(taken) < 3 or sum(taken) < SECONDS:
        start = _now(delay)
        with precision.autocast():
            loss = F.cross_entropy(forward(x), y)
        precision.backward(loss, optimizer)
        precision.step(optimizer)
        precision.settle(optimizer)
        optimizer.zero_grad(set_to_none=True)
        precision.take_skipped()  # waits for the device
        taken.append(_now(delay) - start)
        if len(taken) == 1 and device.type == "cpu":  # a GPU works on while its host waits for a core
            delay.look_for_threads()
        if len(taken) == 2 and sum(taken) > SECONDS:
            break
    return statistics.median(taken[1:])


def _now(delay: RunDelay) -> float:
    """Read the clock, without the time in which another program had the core."""
    for _ in range(10):
        before, now = delay.seconds(), time.perf_counter()
        if delay.seconds() == before:  # else the core was lost between the two readings
            break
    return now - before


def _layers(channels: int) -> nn.Module:
    block = [layer for _ in range(4) for layer in (_conv(channels), nn.BatchNorm2d(channels), nn.ReLU())]
    return nn.Sequential(*block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def _conv(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False)


def turns(names: Sequence[str], device: torch.device) -> list[str]:
    """Give the order in which to measure formats: in rounds, but for fp16 on a CPU, once and last."""
    may_take_long = [name for name in names if device.type == "cpu" and FORMATS[name].autocast is torch.float16]
    return [name for name in names if name not in may_take_long] * ROUNDS + may_take_long


def measured(name: str, device: torch.device) -> dict[str, str | float]:
    """Give the seconds of a step, or why there are none; without fp32 the others would mean nothing."""
    reason = refusal(name, device)
    if reason:
        return {"refused": reason}
    try:
        return {"seconds": seconds_per_step(name, device)}
    except RuntimeError as error:
        if name == "fp32":
            raise
        return {"refused": f"fails: {str(error).splitlines()[0]}"}


def main(arguments: list[str]) -> None:
    """Write ``{"format": ..., "begins": true}``, then the same with ``seconds`` or ``refused``, for some formats."""
    device = torch.device("cuda:0" if arguments[0] == "cuda" else "cpu")
    torch.set_flush_denormal(True)
    torch.set_num_threads(int(arguments[1]))
    for name in turns(arguments[2:], device):
        print(json.dumps({"format": name, "begins": True}), flush=True)
        print(json.dumps({"format": name, **measured(name, device)}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
