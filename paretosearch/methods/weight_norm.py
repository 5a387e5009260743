"""Weight normalisation: length and direction of filters apart, in the place of batch norm."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from paretosearch.axis import Choice, Value
from paretosearch.method import Method, Slot
from paretosearch.norms import replace_norms
from paretosearch.run import Run
from paretosearch.surgery import Surgery
from paretosearch.weightnorm import MeanOnlyConv2d, WeightNormConv2d


class WeightNorm(Method):
    """Write the filters of convolutions as ``g * v / |v|``, and do without the batch norm behind them.

    The lengths ``g`` and the biases begin at what gives every channel the mean 0 and the standard deviation 1 over some
    training images, layer by layer; at the end of a residual branch the deviation is ``1 / sqrt(branches)``, without
    which sums of many branches would grow. The directions ``v`` begin at the network's own initial weights, because SGD
    turns them by a step that falls with the square of their length: at that length, learning rates that suit batch norm
    suit them. (The paper, which trains with Adam, draws them with a deviation of 0.05.) There is no weight decay on
    ``v``, whose length does not matter, nor on ``g``. In a network without batch norm all convolutions are changed.

    An average of weights (swa, ema) is over ``(g, v)``, which is not the average of the filters. What is kept of the
    trained network has plain convolutions.

    Paper: Salimans & Kingma 2016, arXiv:1602.07868. On ImageNet, Gitman & Ginsburg 2017, arXiv:1709.08145, found it
    less stable and some points less accurate in testing than batch norm.

    Args:
        form: ``plain``, or ``mean_only``, which takes the mean of the batch away from every channel; ``off`` is off.
            Both bear less learning rate than batch norm, and ``plain`` the least: of resnet8 on 2560 images of
            Fashion-MNIST in 4 epochs, batch norm had 71 % at a rate of 0.1 and 53 % at 0.02, ``mean_only`` 71 % at 0.05
            and 63 % at 0.02, ``plain`` 21 %, 49 % and 60 % at 0.1, 0.05 and 0.02 (one seed).
    """

    name = "weight_norm"
    summary = "filters as length times direction, without batch norm"
    paper = "Salimans & Kingma 2016, arXiv:1602.07868"
    slot = Slot.NORMALISATION
    space = {"form": Choice(("off", "mean_only", "plain"), default="off")}
    switch = "form"
    off = "off"

    form: str

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._directions: list[Tensor] = []

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Put weight-normalised convolutions in the place of convolutions with batch norm."""
        if self.form == "off":
            return model
        kind = MeanOnlyConv2d if self.form == "mean_only" else WeightNormConv2d
        replace_norms(model, kind.of, self.name)
        self._directions = [module.weight for module in model.modules() if isinstance(module, WeightNormConv2d)]
        return model

    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        """Let the weight decay leave the directions alone."""
        if self._directions:
            without_decay(optimizer, self._directions)
        return optimizer

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Choose the first lengths and biases by what the network gives for some images."""
        if self.form != "off" and run.epoch == 0:
            ends = {branch.last for branch in run.anatomy.channels.branches}
            layers = {
                module: len(ends) ** -0.5 if name in ends else 1.0
                for name, module in run.model.named_modules()
                if isinstance(module, WeightNormConv2d)
            }
            initialise(layers, lambda: run.logits(run.anatomy.images))
        return ()

    def quiet_until(self, run: Run) -> int:
        """Say that it never changes the shape."""
        return run.recipe.total_epochs


def without_decay(optimizer: torch.optim.Optimizer, parameters: Iterable[Tensor]) -> None:
    """Move parameters of an optimizer to a group of their own, without weight decay; what it holds of them stays."""
    moved = list(parameters)
    ours = set(moved)
    for group in optimizer.param_groups:
        group["params"][:] = [parameter for parameter in group["params"] if parameter not in ours]
    optimizer.add_param_group({"params": moved, "weight_decay": 0.0})


@torch.no_grad()
def initialise(layers: Mapping[WeightNormConv2d, float], forward: Callable[[], object]) -> None:
    """Initialise layers in the order in which images meet them, each on what the ones before it then give.

    Args:
        layers: Standard deviation that each layer's channels shall have.
        forward: Sends images through the network, once.
    """
    done: set[nn.Module] = set()

    def prepare(layer: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(layer, WeightNormConv2d)
        if layer not in done:
            layer.initialise(inputs[0], layers[layer])
            done.add(layer)

    handles: list[Any] = [layer.register_forward_pre_hook(prepare) for layer in layers]
    try:
        forward()
    finally:
        for handle in handles:
            handle.remove()
