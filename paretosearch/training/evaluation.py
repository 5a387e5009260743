"""How well a network classifies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from paretosearch.data import Batches
from paretosearch.training.fused import fused
from paretosearch.training.precision import Precision
from paretosearch.views import Views, averaged, single


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
    answer = answering(model, precision, fused(single(model), training=False) if on_cpu else None)
    correct = []
    with torch.no_grad():
        for x, y in batches:
            correct.append((answer(x).argmax(1) == y).sum())
    return int(torch.stack(correct).sum().item()) / count


def answering(
    model: nn.Module, precision: Precision, forward: Callable[[Tensor], Tensor] | None = None
) -> Callable[[Tensor], Tensor]:
    """Give what answers as a network does in a number format, each pass in a context of its own.

    Args:
        model: The network, which may look at several views.
        precision: The number format.
        forward: Does what the network does with one view; None calls it.

    Returns:
        Images (N, C, H, W) to logits (N, K).
    """
    network: Callable[[Tensor], Tensor] = single(model) if forward is None else forward

    def pass_of(x: Tensor) -> Tensor:
        with precision.autocast():
            return network(x)

    return partial(averaged, pass_of, model.views) if isinstance(model, Views) else pass_of
