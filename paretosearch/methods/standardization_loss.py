"""Standardization loss: a penalty on what channels give, in the place of batch norm."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from paretosearch.axis import Choice, Real, Value
from paretosearch.method import Method, Slot
from paretosearch.moments import variance_and_mean
from paretosearch.norms import replace_norms, with_bias
from paretosearch.run import Run, Step

# Shapes: N images, C channels of a convolution's output, H and W of its map.

#: The logarithm takes a smaller variance for this one, whose channel is then no longer pushed away from zero.
LEAST_VARIANCE = 1e-5

#: A filter shorter than this share of the root mean square of its layer is left out: whoever shrinks it wants it dead.
LEAST_SHARE = 0.1


class StandardizationLoss(Method):
    """Do without batch norm, and add the distance of every channel from a standard normal distribution to the loss.

    The term is ``strength`` times the sum of ``(mean^2 + var - log(var) - 1) / 2`` over the channels of all
    convolutions, with mean and variance over images and places of what they give, bias included. It is computed in fp32
    at least, and is no part of the loss that is reported. Nothing is left of it in evaluation. Channels whose filters
    are much shorter than others of their layer are left out, so that they can be pruned.

    In fp16-pure, where no loss scale helps, the part of a gradient that is below 6e-8 is lost; that of this term is
    ``strength / (N * H * W)`` for a number that is off by 1.

    Paper: Collins et al. 2019, arXiv:1903.00925, in which it needs fewer steps than no normalisation and more than
    batch norm, and ends less accurate than batch norm but for batches of 2 to 4 images. Its strengths are 1 for a
    network of a few layers (MNIST), 1e-4 for MobileNet and 1e-6 for ResNet-50.

    Args:
        strength: The paper's lambda; 0 is off.
        every: Of so many steps one has the term, which is that many times as strong then. The training clock takes the
            mean of steps by fours, in which all of this must be.
    """

    name = "standardization_loss"
    summary = "loss term for standard channels, without batch norm"
    paper = "Collins et al. 2019, arXiv:1903.00925"
    slot = Slot.NORMALISATION
    space = {"strength": Real(0.0, 0.1, default=0.0), "every": Choice((1, 2, 4), default=1)}
    switch = "strength"
    off = 0.0

    strength: float
    every: int

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._layers: list[nn.Conv2d] = []
        self._terms: dict[nn.Module, Tensor] = {}
        self._is_listening = False  # between the beginning of a step and the sum of its terms

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Take batch norm away, and give the convolutions that it followed a bias."""
        return replace_norms(model, with_bias, self.name) if self.strength else model

    def edit_step(self, step: Step) -> Step:
        """Listen to the convolutions during a step and at no other time: what copies a network copies its hooks."""

        def heard(run: Run, x: Tensor, y: Tensor) -> Tensor:
            if not self.variant(run):
                return step(run, x, y)
            handles = [layer.register_forward_hook(self._hear) for layer in self._layers]
            self._is_listening = True
            try:
                return step(run, x, y)
            finally:
                self._is_listening = False
                self._terms.clear()
                for handle in handles:
                    handle.remove()

        return heard if self.strength else step

    def variant(self, run: Run) -> str:
        """Say in which steps there is the term."""
        return "" if run.step % self.every else "with its term"

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Find the convolutions, which change between epochs alone."""
        if not run.epoch_step or not self._layers:
            self._layers = [module for module in run.model.modules() if isinstance(module, nn.Conv2d)]
        return x, y

    def _hear(self, layer: nn.Module, _: object, output: Tensor) -> Tensor | None:
        if not self._is_listening or not torch.is_grad_enabled():
            return None
        assert isinstance(layer, nn.Conv2d)
        # Whoever calls the network more than once in a step means the last call.
        passed, self._terms[layer] = standardized(output, alive(layer.weight))
        return passed

    def add_loss(self, run: Run) -> Tensor | None:
        """Add the terms of all layers."""
        if not self._terms:
            return None
        self._is_listening = False
        total = torch.stack(list(self._terms.values())).sum() * (self.strength * self.every)
        self._terms.clear()
        return total


@torch.no_grad()
def alive(filters: Tensor) -> Tensor:
    """Say which filters (C, ...) are not much shorter than others: 1 or 0 for each (C,), in fp32 at least."""
    wide = torch.promote_types(filters.dtype, torch.float32)
    length = torch.linalg.vector_norm(filters, dim=tuple(range(1, filters.ndim)), dtype=wide)
    counted: Tensor = (length > LEAST_SHARE * length.square().mean().sqrt()).to(wide)
    return counted


def standardized(x: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Measure how far the channels of a batch are from a standard normal distribution.

    Args:
        x: Images (N, C, H, W).
        counted: 1 for a channel that counts, and 0 for another (C,).

    Returns:
        A copy of the images, which the network may write over, and the sum of ``(mean^2 + var - log(var) - 1) / 2``
        over the channels, a scalar in fp32 at least.
    """
    passed, distance = _Standardized.apply(x, counted)
    return passed, distance


class _Standardized(torch.autograd.Function):
    """The gradient is ``(mean + (1 - 1 / var) * (x - mean)) / (N * H * W)``."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        variance, mean = (moment.flatten() for moment in variance_and_mean(_wide(x), (0, 2, 3)))
        distance = (mean.square() + variance - variance.clamp_min(LEAST_VARIANCE).log() - 1) / 2
        ctx.save_for_backward(x, counted, mean, variance)
        ctx.set_materialize_grads(False)
        return x.clone(), (distance * counted).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor | None, of_distance: Tensor | None) -> tuple[Tensor | None, None]:
        x, counted, mean, variance = ctx.saved_tensors
        if of_distance is None:
            return grad, None
        per_place = of_distance * counted / (x.numel() // len(counted))
        above = variance > LEAST_VARIANCE
        slope = per_place * (1 - above / variance.clamp_min(LEAST_VARIANCE))
        rest = per_place * mean - slope * mean
        total = torch.addcmul(rest[:, None, None], _wide(x), slope[:, None, None])
        return (total if grad is None else total.add_(grad)).to(x.dtype), None


def _wide(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
