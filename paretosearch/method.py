"""The seam between one technique and the training loop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from paretosearch.axis import Axis, Real, Value
from paretosearch.errors import RecipeError, suggest
from paretosearch.recipe import Recipe

#: Logits (N, K) and labels (N,) to the mean loss, a scalar.
Loss = Callable[[Tensor, Tensor], Tensor]


class Slot(Enum):
    """A place that only one Method may take."""

    PRECISION = "precision"
    STEP = "step"
    POOLING = "pooling"
    SCHEDULE = "schedule"
    BATCH = "batch"


#: Slots whose Method is named by the Recipe's field of the same name.
NAMED_SLOTS = (Slot.POOLING, Slot.SCHEDULE)


@dataclass
class Run:
    """A training in progress.

    Args:
        recipe: What is trained.
        device: Where.
        model: The network, already edited by the Methods.
        optimizer: Its optimizer.
        generator: Source of all randomness of the order and the augmentation, on the CPU.
        steps_per_epoch: Optimizer steps in an epoch.
        epoch: Epochs done.
        step: Optimizer steps done in all epochs.
        learning_rate: Learning rate of the coming step: the schedule sets it anew on every batch, others may scale it.
    """

    recipe: Recipe
    device: torch.device
    model: nn.Module
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    steps_per_epoch: int
    epoch: int = 0
    step: int = 0
    learning_rate: float = 0.0

    @property
    def progress(self) -> float:
        """Share of the training that is done, in [0, 1]."""
        return self.step / (self.steps_per_epoch * self.recipe.epochs)

    @property
    def mid_step_progress(self) -> float:
        """Share that is done halfway through the coming step, so that a schedule wastes no step on a rate of zero."""
        return self.progress + 0.5 / (self.steps_per_epoch * self.recipe.epochs)


#: One optimizer step on a batch of images (N, C, H, W) and labels (N,); gives the detached loss, a scalar.
Step = Callable[[Run, Tensor, Tensor], Tensor]


class Pool(nn.Module):
    """A place in a network that halves the map, for the pooling Method to fill.

    Until it is filled the network halves the map in its own way: by ``native``, or by the strides of the layers that
    follow.

    Args:
        native: The network's own pooling layer; None where other layers have the stride.
        strided: Those layers; filling the place sets their stride to 1.
    """

    def __init__(self, native: nn.Module | None = None, strided: tuple[nn.Conv2d | nn.AvgPool2d, ...] = ()) -> None:
        super().__init__()
        self.op = native if native is not None else nn.Identity()
        self._strided = strided  # a tuple is no child: the layers belong to their block

    def fill(self, op: nn.Module) -> None:
        """Halve the map by ``op``, a module of (N, C, H, W) to (N, C, H // 2, W // 2)."""
        self.op = op
        for layer in self._strided:
            layer.stride = (1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pool (N, C, H, W)."""
        pooled: Tensor = self.op(x)
        return pooled


def fill_pools(model: nn.Module, op: Callable[[], nn.Module], name: str) -> nn.Module:
    """Fill every Pool of a network.

    Args:
        model: The network, changed in place.
        op: Makes the module for one place.
        name: Name of the pooling Method, for the message.

    Returns:
        The same network.

    Raises:
        RecipeError: If the network has no Pool.
    """
    places = [module for module in model.modules() if isinstance(module, Pool)]
    if not places:
        raise RecipeError(f'pooling = "{name}" needs a network with places to pool; this one has none, use "native"')
    for place in places:
        place.fill(op())
    return model


class Method:
    """One technique that changes how a network is trained.

    A Method describes and the loop acts. Every verb does nothing until a subclass says otherwise, and the loop calls
    them in the order in which they stand here, Method by Method in the order of the catalogue.

    Class attributes:
        name: Name in study files and Recipes.
        summary: What it does, in a few words, for a table.
        paper: Where it comes from; empty for an ordinary building block.
        slot: The place it takes, or None.
        space: The allowed range and default of every parameter.
        switch: Parameter that turns the Method off at its value ``off``; None for a Method that fills a named slot.
        off: That value.
        timing: ``simulated`` where the promised saving needs hardware that does not exist here.

    Args:
        parameters: A value for any of ``space``; the others take their defaults.

    Raises:
        RecipeError: If a parameter is unknown or outside its range.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    paper: ClassVar[str] = ""
    slot: ClassVar[Slot | None] = None
    space: ClassVar[Mapping[str, Axis]] = {}
    switch: ClassVar[str | None] = None
    off: ClassVar[Value | None] = None
    timing: ClassVar[Literal["real", "simulated"]] = "real"

    def __init__(self, **parameters: Value) -> None:
        for key in parameters:
            if key not in self.space:
                raise RecipeError(f"{self.name} has no parameter {key!r}{suggest(key, self.space)}")
        for key, axis in self.space.items():
            value = parameters.get(key, axis.default)
            if value is None or not axis.contains(value):
                raise RecipeError(f"{self.name}.{key} = {value!r} is not {axis}")
            setattr(self, key, float(value) if isinstance(axis, Real) else value)

    # Build, once, in this order.

    def edit_data(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Change the training images (N, C, H, W), uint8, and labels (N,), such as by keeping some of them."""
        return images, labels

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Change the network before it moves to the device."""
        return model

    def edit_loss(self, loss: Loss) -> Loss:
        """Change the loss."""
        return loss

    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Change the optimizer."""
        return optimizer

    def edit_step(self, step: Step) -> Step:
        """Change what a training step does."""
        return step

    # Train, in this order.

    def on_epoch_start(self, run: Run) -> None:
        """Prepare for an epoch."""

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Change a batch of images (N, C, H, W) and labels (N,) on the device."""
        return x, y

    def add_loss(self, run: Run) -> Tensor | None:
        """Give a term to add to the loss, or None."""
        return None

    def after_backward(self, run: Run) -> None:
        """Look at or change the gradients, which are unscaled by now."""

    def after_step(self, run: Run) -> None:
        """Look at or change the weights."""

    def on_epoch_end(self, run: Run) -> None:
        """Draw conclusions from an epoch."""

    # Evaluate and continue.

    def eval_model(self, model: nn.Module) -> nn.Module:
        """Give the network to evaluate, such as an average of weights."""
        return model

    def state_dict(self) -> dict[str, Any]:
        """Give what a checkpoint must hold to continue."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
