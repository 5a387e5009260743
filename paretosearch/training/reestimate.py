"""Estimates the statistics of batch norm for the weights that are there at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
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
    model.eval()
    norms = norms_of(model)
    if norms and count:
        with estimating(norms):
            for x, _ in islice(batches, count):
                with precision.autocast():
                    model(x)


#: What has running averages.
Norm = _BatchNorm | MeanOnlyConv2d


def norms_of(model: nn.Module) -> list[Norm]:
    """List what has running averages in a network."""
    norms = (module for module in model.modules() if isinstance(module, _BatchNorm | MeanOnlyConv2d))
    return [norm for norm in norms if norm.track_running_stats]


@contextmanager
def estimating(norms: Iterable[Norm]) -> Iterator[None]:
    """Let running averages begin anew, as plain means over the batches inside; they are in evaluation mode behind."""
    momenta = {norm: norm.momentum for norm in norms}
    for norm in momenta:
        norm.reset_running_stats()
        norm.momentum = None  # the mean of all batches since
        norm.train()
    yield
    for norm, momentum in momenta.items():
        norm.momentum = momentum
        norm.eval()
