"""What a training costs besides time: operations, memory, energy."""

from __future__ import annotations

import os
from dataclasses import dataclass

import psutil
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from paretosearch import nvml
from paretosearch.training.surgery import undisturbed

#: Forward, gradient of the activations and gradient of the weights cost the same for a convolution.
TRAINING_FORWARDS = 3


@dataclass
class Effort:
    """What was put into a training.

    Args:
        images: Images that went through a training step, with repetition.
        flops: Floating-point operations of these steps, forward and backward.
    """

    images: int = 0
    flops: int = 0

    def add(self, images: int, flops_per_image: int) -> None:
        """Count the images of some steps, with the operations of one forward pass of one image."""
        self.images += images
        self.flops += TRAINING_FORWARDS * images * flops_per_image


def count_parameters(model: nn.Module) -> int:
    """Count the trainable parameters."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def flops_per_image(model: nn.Module, image_shape: tuple[int, int, int], device: torch.device) -> int:
    """Count the floating-point operations of convolutions and matrix products in one forward pass.

    Args:
        model: The network; its mode and statistics are left as they were.
        image_shape: Channels, height, width.
        device: Where the network is.

    Returns:
        Operations, a multiplication and an addition counting as two.
    """
    with undisturbed(model, training=False), FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, *image_shape, device=device))
    return int(counter.get_total_flops())


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
