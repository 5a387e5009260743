"""Measures what each number format costs on the device of this process, for `fleet.formats`.

Run as ``python -m paretosearch.training.probe cpu 2``: it writes one JSON line a format, the slowest kinds last, and
may be killed at any time, since half precision without hardware for it has been seen hundreds of times slower than
fp32.
"""

from __future__ import annotations

import json
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

from paretosearch.training.precision import FORMATS, Precision, refusal

#: Batch, channels and edge of the measured layers: enough work that launching it does not show.
SHAPES = {"cpu": (32, 32, 16), "cuda": (256, 64, 32)}

#: Each format is measured for this long, and for at least two steps.
SECONDS = 0.5


def seconds_per_step(name: str, device: torch.device) -> float:
    """Time the fastest of a few training steps of four convolutions.

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
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    x, y = torch.randn(batch, channels, edge, edge, device=device), torch.zeros(batch, dtype=torch.long, device=device)
    taken: list[float] = []
    while len(taken) < 3 or sum(taken) < SECONDS:
        start = time.perf_counter()
        with precision.autocast():
            loss = F.cross_entropy(model(x), y)
        precision.backward(loss, optimizer)
        precision.step(optimizer)
        precision.take_skipped()  # waits for the device
        taken.append(time.perf_counter() - start)
        if len(taken) == 2 and sum(taken) > SECONDS:
            break
    return min(taken[1:])


def _layers(channels: int) -> nn.Module:
    block = [layer for _ in range(4) for layer in (_conv(channels), nn.BatchNorm2d(channels), nn.ReLU())]
    return nn.Sequential(*block, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def _conv(channels: int) -> nn.Module:
    return nn.Conv2d(channels, channels, 3, padding=1, bias=False)


def main(arguments: list[str]) -> None:
    """Write ``{"format": ..., "seconds": ...}`` or ``{"format": ..., "refused": ...}`` for every format."""
    device = torch.device("cuda:0" if arguments[0] == "cuda" else "cpu")
    torch.set_flush_denormal(True)
    torch.set_num_threads(int(arguments[1]))
    for name in FORMATS:
        reason = refusal(name, device)
        line = {"refused": reason} if reason else {"seconds": seconds_per_step(name, device)}
        print(json.dumps({"format": name, **line}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
