"""A training in progress, as the Methods see it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from paretosearch.channels import ChannelMap, ChannelSpace
from paretosearch.recipe import Recipe
from paretosearch.snapshot import Stateful
from paretosearch.surgery import Lineage

#: Logits (N, K) and labels (N,) to the mean loss, a scalar.
Loss = Callable[[Tensor, Tensor], Tensor]


class Anatomy(Protocol):
    """What is known of the shape of a network; it takes time to find out, so only those who must know ask."""

    @property
    def channels(self) -> ChannelMap:
        """Its channels as they are now: the same object as long as the shape is the same."""

    @property
    def images(self) -> Tensor:
        """Some training images (N, C, H, W) as the network gets them, on the device."""

    @property
    def stages(self) -> tuple[str, ...]:
        """Modules behind which layers can be inserted that pass on what they get, one for each size of the maps."""

    @property
    def total_stride(self) -> int:
        """Pixels of an image for each one of the smallest maps, those behind global pooling left out."""

    @property
    def large_kernels(self) -> Mapping[str, int]:
        """Edge, in the end, of the kernels that may begin smaller, by the name of their convolution."""

    def takes(self, edge: int) -> bool:
        """Whether the network can work on images of another edge in pixels."""

    def lineage(self, space: ChannelSpace) -> Lineage:
        """Tell what became of the channels of a space."""

    def inputs_of(self, layers: Collection[str], count: int) -> Mapping[str, Tensor]:
        """Give what layers get in training for so many of the images, in the order in which they get it."""


@dataclass(frozen=True)
class Sight:
    """How a network sees the images of a data set: ``(pixel / 255 - mean) / std``.

    Args:
        mean: Mean of each channel, in [0, 1].
        std: Standard deviation of each channel, in units of [0, 1], never 0.
        mirrored: Whether it sees them mirrored, too, while it trains.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    mirrored: bool


@dataclass(frozen=True)
class StepCost:
    """What forward and backward of one batch cost.

    Args:
        seconds: Time of a step.
        peak_bytes: Highest memory of the device during a step; 0 on a CPU.
        memory_bytes: Memory of the device; None where it is not a limit, as on a CPU.
    """

    seconds: float
    peak_bytes: int
    memory_bytes: int | None


@dataclass(frozen=True)
class Work:
    """What a Method makes of the work of a step, which plainly is a forward and a backward pass of its batch.

    Args:
        share: Share of the images of the batch that the step is made with, in (0, 1].
        looks: Forward passes of all of the batch beside it.
        weights: Share of the gradient of a layer's weight that is computed, in [0, 1], where that is not all of it.
    """

    share: float = 1.0
    looks: int = 0
    weights: Mapping[nn.Module, float] = field(default_factory=dict)


def _nobody(*_: object) -> Any:
    raise NotImplementedError("this training is none that can be asked")


@dataclass
class Run:
    """A training in progress.

    Args:
        recipe: What is trained.
        device: Where.
        model: The network, already edited by the Methods; it stays the same object when its shape changes.
        optimizer: Its optimizer.
        generator: Source of all randomness of the order and the augmentation, on the CPU.
        anatomy: The shape of the network.
        step_cost: Measures a step of another batch size; it is on the clock, and leaves no trace.
        batch_size: Images per step; a Method may change it between epochs.
        steps_per_epoch: Optimizer steps in this epoch.
        epoch: Epochs done.
        epoch_step: Optimizer steps done in this epoch.
        step: Optimizer steps done in all epochs.
        cycle: Epochs done when the schedule of the learning rate begins, which may be before its first step, and epochs
            that it takes; None is the whole training. A Method that trains twice sets it before every epoch.
        learning_rate: Learning rate of the coming step: the schedule sets it anew on every batch, others may scale it.
        image_size: Edge in pixels of the images that the network is trained on; a Method that resizes them says so here
            between epochs, and in every epoch anew.
        rate: The same on the device, a scalar, from then on: what happens in a step must read this one.
        loss: Loss of the step in progress without the terms of Methods, detached, a scalar; from `add_loss` on.
        stepped: Whether the optimizer has made the step in progress, 1 or 0, a scalar; for `after_step`.
        logits: The network's answer (N, K) to a batch, in the training's number format; for a Method that asks in a
            step of its own. Without a gradient where none is wanted.
        gradients: The loss of a batch without the terms of Methods, detached, with its gradient by parameter of the
            model, unscaled, None where there is none; for a Method that makes steps of its own behind the optimizer's.
            The loop counts what they compute.
        layer_cost: Measures the seconds that forward and backward of a layer take with an input (N, C, H, W); it is on
            the clock, and leaves no trace.
        scaling: How gradients are scaled, and weights rounded, which what has happened so far decides; None where
            nothing is.
        epoch_loss: Mean loss of the epoch that has ended, for `on_epoch_end`.
        apart: Gives a context for what a Method does in few steps of many: its seconds count by themselves, since they
            would be lost in the median of all steps.
    """

    recipe: Recipe
    device: torch.device
    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    anatomy: Anatomy
    step_cost: Callable[[int], StepCost]
    batch_size: int
    steps_per_epoch: int
    epoch: int = 0
    epoch_step: int = 0
    step: int = 0
    cycle: tuple[int, int] | None = None
    learning_rate: float = 0.0
    image_size: int = 0
    loss: Tensor | None = None
    stepped: Tensor | None = None
    rate: Tensor = field(init=False)
    logits: Callable[[Tensor], Tensor] = _nobody
    gradients: Callable[[Tensor, Tensor], tuple[Tensor, tuple[Tensor | None, ...]]] = _nobody
    layer_cost: Callable[[nn.Module, Tensor], float] = _nobody
    scaling: Stateful | None = None
    epoch_loss: float = 0.0
    apart: Callable[[], AbstractContextManager[object]] = nullcontext

    def __post_init__(self) -> None:
        self.rate = torch.zeros((), device=self.device)

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1]."""
        return self._share(self.epoch_step, 0, self.recipe.total_epochs)

    @property
    def mid_step_progress(self) -> float:
        """Share of its `cycle` that a schedule has behind it halfway through the coming step.

        At the middle, so that no step is wasted on a rate of zero.
        """
        return self._share(self.epoch_step + 0.5, *(self.cycle or (0, self.recipe.total_epochs)))

    def _share(self, epoch_step: float, begins: int, epochs: int) -> float:
        return ((self.epoch - begins) * self.steps_per_epoch + epoch_step) / (self.steps_per_epoch * epochs)


#: One optimizer step on a batch of images (N, C, H, W) and labels (N,); gives the detached loss, a scalar.
Step = Callable[[Run, Tensor, Tensor], Tensor]
