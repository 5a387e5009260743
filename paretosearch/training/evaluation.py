"""How well a network classifies."""

from __future__ import annotations

import torch
from torch import nn

from paretosearch.data import Batches
from paretosearch.training.fused import fused
from paretosearch.training.precision import Precision


def accuracy(model: nn.Module, batches: Batches, count: int, precision: Precision) -> float:
    """Give the share of images that is classified correctly, in the training's own number format.

    Args:
        model: The network, left in evaluation mode.
        batches: The images, each once.
        count: How many they are.
        precision: The number format.
    """
    model.eval()
    on_cpu = next(model.parameters()).device.type == "cpu"
    forward = (fused(model, training=False) if on_cpu else None) or model
    correct = []
    with torch.no_grad(), precision.autocast():
        for x, y in batches:
            correct.append((forward(x).argmax(1) == y).sum())
    return int(torch.stack(correct).sum().item()) / count
