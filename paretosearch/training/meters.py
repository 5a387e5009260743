"""What a training costs besides time: operations, memory, energy."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil
import torch
from torch import nn

from paretosearch import nvml


@dataclass
class Effort:
    """What was put into a training.

    Args:
        images: Images of the batches of all training steps, with repetition, whatever Methods made of the batches.
        flops: Floating-point operations of these steps, forward and backward, as far as they were computed.
    """

    images: int = 0
    flops: int = 0

    def add(self, images: int, flops: int) -> None:
        """Count some steps."""
        self.images += images
        self.flops += flops


def count_parameters(model: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


class PeakMemory:
    """Highest memory of a training: of the GPU, or of the process as seen at each `sample`."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._seen = 0
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def sample(self) -> int:
        """Look now; gives the highest number of bytes so far."""
        self._seen = max(self._seen, self._now())
        return self._seen

    def reach(self, seen: int) -> None:
        """Count what a process before this one has seen."""
        self._seen = max(self._seen, seen)

    def _now(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        return int(psutil.Process(os.getpid()).memory_info().rss)


def energy_joules(device: torch.device) -> float | None:
    """Read the energy counter of a GPU since its driver was loaded; None where there is no such counter."""
    if device.type != "cuda":
        return None
    uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
    return nvml.ask(uuid, lambda driver, gpu: float(driver.nvmlDeviceGetTotalEnergyConsumption(gpu)) / 1000, None)
