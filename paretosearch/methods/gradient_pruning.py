"""Activation-gradient pruning: small gradients of activations become 0 or a threshold at random."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor, nn

from paretosearch.activation_gradients import COLUMNS, Hooked, before_norm, zeros
from paretosearch.axis import Choice, Int, Real, Value
from paretosearch.errors import RecipeError
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe
from paretosearch.run import Loss, Run
from paretosearch.surgery import Surgery


def threshold(grad: Tensor, sparsity: float) -> Tensor:
    """Estimate the absolute value below which a share of the entries lies, if they are normal with mean 0.

    Their standard deviation is then ``sqrt(pi / 2)`` times the mean absolute value.

    Args:
        grad: A gradient of any shape.
        sparsity: The share, in [0, 1).

    Returns:
        The value, a scalar, in fp32 at least.
    """
    wide = torch.promote_types(grad.dtype, torch.float32)
    quantile = NormalDist().inv_cdf((1 + sparsity) / 2)
    return quantile * math.sqrt(math.pi / 2) * grad.abs().mean(dtype=wide)


def prune(grad: Tensor, level: Tensor) -> Tensor:
    """Make each entry that is smaller than a level 0 or the level with its sign, so that its expectation stays.

    An entry g becomes the level t with probability ``|g| / t``. What is at least the level stays as it is. The random
    numbers come from the global generator of the device.

    Paper: Ye et al. 2019, arXiv:1908.00173; the rule is in the abstract.

    Args:
        grad: A gradient of any shape.
        level: The level, a scalar.

    Returns:
        The pruned gradient; where anything is infinite or not a number, no entry that was small is finite.
    """
    wide = torch.promote_types(grad.dtype, torch.float32)  # random numbers of 8 bits would shift the expectation
    size, least = grad.abs(), level.to(grad.dtype)
    kept = size > torch.rand_like(grad, dtype=wide).mul_(least)
    # A product and no choice: 0 times infinity is not a number, so that a loss scaler sees what has overflowed.
    return torch.maximum(size, least).copysign_(grad).mul_(kept)


def predicted(queue: Tensor, newest: Tensor) -> Tensor:
    """Give the mean of earlier thresholds, and put the newest one in the place of the oldest.

    Args:
        queue: Earlier thresholds (W,), the oldest first, not a number where there was none; changed in place.
        newest: That of this step, a scalar; one that has overflowed is left out.

    Returns:
        The mean, a scalar; 0, with which nothing is pruned, until there are W of them.
    """
    mean = queue.mean().nan_to_num()
    queue.copy_(torch.where(newest.isfinite(), torch.cat((queue[1:], newest[None])), queue))
    return mean


class GradientPruning(Method):
    """Prune small gradients of the activations at random before a convolution's backward pass reads them.

    A share ``sparsity`` of the entries is taken to lie below a threshold, and becomes 0 or the threshold with its sign;
    of gradients that are normal, 54 % become 0 at a sparsity of 0.9. A device here multiplies by zeros as by anything
    else, and so nothing is saved. To draw the random numbers and to count the zeros takes time: steps of resnet20 took
    1.5 times as long on a CPU core (benchmarks/results/backward-cpu.txt). An epoch ends with a note of what a device
    that leaves out zeros could save of the backward pass: ``zeros`` in what was pruned, ``natural_zeros`` in it before,
    and ``backward_macs_saved``, the share of the multiplications of all convolutions' backward passes.

    Paper: Ye et al. 2019, arXiv:1908.00173, of which the abstract alone was read. Where it prunes and the mean of
    earlier thresholds are from memory and could not be verified.

    Args:
        sparsity: The paper's p, the share of the entries that lies below the threshold; 0 is off. A re-implementation
            by others has 0.7 to 0.99; which values the paper has could not be verified.
        site: ``dO`` prunes the gradient of a convolution's output, ``dI`` that of its input. ``auto`` takes dO for one
            that batch norm follows, whose backward pass fills up all zeros, and dI for others.
        start: Share of the training before pruning begins. The default leaves the first tenth alone, since noise in the
            gradients slows down how PruneTrain's channels die.
        window: Steps over whose thresholds the mean is taken, before which nothing is pruned; 0 takes the threshold of
            the very gradient, which a device would have to read twice. That 5 to 10 is usual is from memory, and could
            not be verified.
    """

    name = "gradient_pruning"
    summary = "small gradients of activations zeroed at random"
    paper = "Ye et al. 2019, arXiv:1908.00173"
    slot = Slot.BACKWARD
    space = {
        "sparsity": Real(0.0, 0.99, default=0.0),
        "site": Choice(("auto", "dO", "dI"), default="auto"),
        "start": Real(0.0, 1.0, default=0.1),
        "window": Int(0, 100, default=0),
    }
    switch = "sparsity"
    off = 0.0
    timing = "simulated"

    sparsity: float
    site: str
    start: float
    window: int

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._layers: list[Hooked] = []  # while their gradients are pruned
        self._layout: list[list[Any]] = []  # names and shapes of what the rest is of
        self._queues = torch.zeros(0)  # earlier thresholds of each layer
        self._counts: Tensor | None = None
        self._scale = torch.ones(())  # factor on all gradients

    def _begins(self, recipe: Recipe) -> int:
        """Give the first epoch that is pruned: what begins within an epoch begins at its nearer end."""
        return max(0, math.ceil(self.start * recipe.total_epochs - 0.5))

    def check(self, recipe: Recipe) -> None:
        """Refuse a training that ends before pruning begins."""
        if self._begins(recipe) >= recipe.total_epochs:
            raise RecipeError(
                f"gradient_pruning.start = {self.start:g} is later than all of a training of {recipe.total_epochs} "
                f"epochs; lower it, or turn pruning off with gradient_pruning.sparsity = 0"
            )

    def settled_at(self, recipe: Recipe) -> int:
        """Say when it begins."""
        return self._begins(recipe)

    def edit_loss(self, loss: Loss) -> Loss:
        """Learn by which factor all gradients are scaled: it is the gradient of the loss itself."""
        if not self.sparsity or not self.window:
            return loss

        def watched(logits: Tensor, labels: Tensor) -> Tensor:
            value = loss(logits, labels)
            if value.requires_grad:
                value.register_hook(self._note_scale)  # type: ignore[no-untyped-call]  # torch does not annotate it
            return value

        return watched

    def _note_scale(self, grad: Tensor) -> None:
        if self._counts is not None:  # before, nobody asks, and this one may not be on the device
            self._scale.copy_(grad)

    def _acts(self, run: Run) -> bool:
        return self.sparsity > 0 and run.epoch >= self._begins(run.recipe)

    def pattern(self, run: Run) -> str:
        return "prunes" if self._acts(run) else ""

    def quiet_until(self, run: Run) -> int:
        """Say when its steps become others; it asks for no change of shape."""
        begins = self._begins(run.recipe)
        return begins if run.epoch < begins else run.recipe.total_epochs

    # Not in on_epoch_start: another Method may insert layers there behind this one, or time steps that must leave no
    # trace in the counts; and no copy that is made of the network between epochs may have the hooks.
    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Attach to all convolutions before the first step of an epoch."""
        if not self._layers and self._acts(run):
            self._attach(run)
        return x, y

    def _attach(self, run: Run) -> None:
        convs = {name: conv for name, conv in run.model.named_modules() if isinstance(conv, nn.Conv2d)}
        counts = self._allocated([[name, *conv.weight.shape] for name, conv in convs.items()], run.device)
        normalised = before_norm(run.model)
        for conv, queue, own in zip(convs.values(), self._queues, counts.zero_(), strict=True):
            at_input = self.site == "dI" or (self.site == "auto" and conv not in normalised)
            self._layers.append(Hooked(conv, at_input, partial(self._pruned, queue), own))

    def _allocated(self, layout: list[list[Any]], device: torch.device) -> Tensor:
        """Make what steps change in place, which stays the same memory as long as the network has one shape.

        Returns:
            The counts.
        """
        if layout != self._layout:
            self._layout, self._counts = layout, None
            self._queues = torch.full((len(layout), self.window), torch.nan)
        if self._counts is None:
            self._counts = torch.zeros(len(layout), COLUMNS, dtype=torch.int64, device=device)
            self._scale, self._queues = self._scale.to(device), self._queues.to(device)
        return self._counts

    def _pruned(self, queue: Tensor, grad: Tensor) -> Tensor:
        level = threshold(grad, self.sparsity)
        if self.window:
            level = predicted(queue, level / self._scale) * self._scale
        return prune(grad, level)

    def on_epoch_end(self, run: Run) -> Iterable[Surgery]:
        """Let go of the convolutions, and tell what was pruned."""
        layers, self._layers = self._layers, []
        for layer in layers:
            layer.let_go()
        figures = zeros(layers)
        if figures:
            yield Surgery(self.name, (), figures)

    def state_dict(self) -> dict[str, Any]:
        """Give the earlier thresholds, with what they are of."""
        return {"layout": self._layout, "queues": self._queues}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._layout, self._queues = state["layout"], state["queues"].clone()
