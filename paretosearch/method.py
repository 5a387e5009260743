"""The seam between one technique and the training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from paretosearch.axis import Axis, Real, Value, refusal, spelled
from paretosearch.channels import Shadow
from paretosearch.errors import RecipeError, suggest
from paretosearch.recipe import Recipe
from paretosearch.run import Anatomy, Loss, Run, Sight, Step, Work
from paretosearch.surgery import Surgery


class Slot(Enum):
    """A place that only one Method may take."""

    PRECISION = "precision"
    STEP = "step"
    POOLING = "pooling"
    SCHEDULE = "schedule"
    BATCH = "batch"
    AVERAGING = "averaging"
    NORMALISATION = "normalisation"
    BACKWARD = "backward"
    OPTIMIZER = "optimizer"
    STEM = "stem"
    RESOLUTION = "resolution"


#: Slots whose Method is named by the Recipe's field of the same name.
NAMED_SLOTS = (Slot.POOLING, Slot.SCHEDULE)


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
        reshapes: Whether it changes layers or the size of the images on the way, until `settled_at`.
        is_recordable: Whether its steps may be recorded and repeated as they were; not if it decides in one of them by
            what it has computed there.

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
    reshapes: ClassVar[bool] = False
    is_recordable: ClassVar[bool] = True

    def __init__(self, **parameters: Value) -> None:
        for key in parameters:
            if key not in self.space:
                raise RecipeError(f"{self.name} has no parameter {key!r}{suggest(key, self.space)}")
        for key, axis in self.space.items():
            value = parameters.get(key, axis.default)
            if value is None or not axis.contains(value):
                raise RecipeError(f"{self.name}.{key} = {spelled(value, repr)} {refusal(axis, value)}")
            setattr(self, key, float(value) if isinstance(axis, Real) else value)

    @classmethod
    def key(cls) -> str:
        """Name the field or ``method.parameter`` that decides whether a Recipe has the Method."""
        if cls.switch is not None:
            return f"{cls.name}.{cls.switch}"
        assert cls.slot is not None
        return cls.slot.value

    @classmethod
    def default(cls, parameter: str) -> Value:
        """Give the value of a parameter that nobody names."""
        value = cls.space[parameter].default
        assert value is not None
        return value

    @classmethod
    def changes_input(cls) -> bool:
        """Whether it may have a network built for something else than the images."""
        return cls.edit_input is not Method.edit_input

    @property
    def is_on(self) -> bool:
        """Whether its switch, if it has one, does not turn it off."""
        return self.switch is None or getattr(self, self.switch) != self.off

    def beside(self, others: Sequence[Method]) -> None:
        """Learn which other Methods are on in the training, before all that follows."""

    def check(self, recipe: Recipe) -> None:
        """Look for a reason why the Method could never act in the training of a Recipe.

        Raises:
            RecipeError: If there is one.
        """

    def acts(self, recipe: Recipe) -> bool:
        """Whether `check` finds no reason."""
        try:
            self.check(recipe)
        except RecipeError:
            return False
        return True

    def canonical(self, recipe: Recipe) -> Mapping[str, Value] | None:
        """Give the parameters in the one form that equal trainings share.

        Args:
            recipe: A Recipe that a search made, with this Method in it.

        Returns:
            The parameters; None where the Method could never act, which leaves it out.
        """
        return recipe.methods[self.name] if self.acts(recipe) else None

    def settled_at(self, recipe: Recipe) -> int:
        """Say after how many epochs the last change that the Method plans is made.

        Before that, no curve so far says how the training ends.
        """
        return 0

    def check_anatomy(self, anatomy: Anatomy, network: str) -> None:
        """Look for a reason why a network does not have the shape that the Method needs.

        Raises:
            RecipeError: If there is one.
        """

    # Build, once, in this order.

    def see(self, sight: Sight) -> None:
        """Learn how the network will see the images."""

    def edit_data(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Change the training images (N, C, H, W), uint8, and labels (N,), such as by keeping some of them."""
        return images, labels

    def edit_input(self, channels: int, image_size: int) -> tuple[int, int]:
        """Change what the network is built for: channels, and edge in pixels, of what it reads."""
        return channels, image_size

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

    # What steps are like. A step may be recorded and repeated as it was, so what happens in one must depend on tensors
    # that are changed in place and on what these two say, and on nothing else.

    def pattern(self, run: Run) -> str:
        """Name what the Method does in the steps of the coming epoch, if that is not the same in all epochs."""
        return ""

    def variant(self, run: Run) -> str:
        """Name what the Method does in the coming step, if that is not the same in all steps of an epoch."""
        return ""

    def work(self, run: Run, variant: str) -> Work:
        """Say what was computed in the steps of a variant; what is only simulated was.

        Layers whose weights are not trained, and `Run.gradients`, need not be told of.

        Args:
            run: The training, at the end of an epoch.
            variant: One that `variant` gave in it.
        """
        return Work()

    def quiet_until(self, run: Run) -> int:
        """Say how many epochs will be done when the Method may ask for its next change of shape.

        Args:
            run: The training, in an epoch.

        Returns:
            More than the epochs that are done, and at most those of the training.
        """
        mine, starts, ends = type(self), Method.on_epoch_start, Method.on_epoch_end
        asks = mine.on_epoch_start is not starts or mine.on_epoch_end is not ends
        return run.epoch + 1 if asks else run.recipe.total_epochs

    # Train, in this order.

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Prepare for an epoch, and give the changes of shape that should come first.

        A generator is asked for the next change when the one before it is done.
        """
        return ()

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

    def loss_put_back(self, run: Run) -> float | None:
        """Give the loss of the network that `on_epoch_end` will put back; None if what was trained stays.

        It is that of the epoch if its own is not finite, which else ends the training.
        """
        return None

    def on_epoch_end(self, run: Run) -> Iterable[Surgery]:
        """Draw conclusions from an epoch, and give the changes of shape that follow, as `on_epoch_start` does."""
        return ()

    def shadows(self) -> Iterable[Shadow]:
        """Give the state by parameter that must change shape with the network."""
        return ()

    # Evaluate and continue.

    def eval_model(self, model: nn.Module) -> nn.Module:
        """Give the network to evaluate, such as an average of weights."""
        return model

    def passes(self) -> int:
        """Say how many forward passes an image takes in the network to evaluate; more than one are on the clock."""
        return 1

    def state_dict(self) -> dict[str, Any]:
        """Give what a checkpoint must hold to continue."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take back what `state_dict` gave."""
