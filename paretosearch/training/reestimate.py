"""Estimates the statistics of batch norm for the weights that are there at the end."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from paretosearch.training.precision import Precision
from paretosearch.weightnorm import MeanOnlyConv2d


@torch.no_grad()
def reestimate(model: nn.Module, batches: Iterable[tuple[Tensor, Tensor]], count: int, precision: Precision) -> None:
    """Replace the running averages of batch norm, which lag behind the weights, by plain ones over some batches.

    A running average remembers some ten steps. That is a good part of a short training, and a penalty that shrinks the
    weights makes the statistics of then too large for those of now. Everything but batch norm is as in evaluation.

    Args:
        model: The network, left in evaluation mode.
        batches: Training images (N, C, H, W) with their labels.
        count: Batches to take.
        precision: The number format of the training.
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm | MeanOnlyConv2d)]
    norms = [norm for norm in norms if norm.track_running_stats]
    model.eval()
    if not norms or not count:
        return
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches since
        norm.train()
    with precision.autocast():
        for x, _ in islice(batches, count):
            model(x)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
        norm.eval()
