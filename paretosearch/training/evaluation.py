"""How well a network classifies."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce

import torch
from torch import Tensor, nn

from paretosearch.data import Batches, ImageSet, Split
from paretosearch.method import Method
from paretosearch.training.clock import Clock
from paretosearch.training.fused import fused
from paretosearch.training.precision import Precision
from paretosearch.views import Views, averaged, single

#: Large enough to fill a GPU with small images, small enough for the memory of a small one with large images; a CPU is
#: a third faster with maps that fit its caches.
EVALUATION_BATCH = {"cuda": 500, "cpu": 250}


class Evaluator:
    """Evaluates the network of a training, as its Methods want that.

    Args:
        model: The network in training.
        methods: The Methods.
        images: The data set.
        device: Where.
        precision: The number format.
        clock: The training clock.
    """

    def __init__(
        self,
        model: nn.Module,
        methods: Sequence[Method],
        images: ImageSet,
        device: torch.device,
        precision: Precision,
        clock: Clock,
    ) -> None:
        self._model, self._methods, self._images, self._device = model, methods, images, device
        self._precision, self._clock = precision, clock
        self._validation = self._in_order(images.validation)

    def _in_order(self, split: Split) -> Batches:
        return Batches.in_order(split, self._images, self._device, EVALUATION_BATCH[self._device.type])

    @property
    def network(self) -> nn.Module:
        """The network that is to be evaluated, which may be an average."""
        return reduce(lambda net, method: method.eval_model(net), self._methods, self._model)

    @property
    def passes(self) -> int:
        """Forward passes that an image takes."""
        return math.prod(method.passes() for method in self._methods)

    def accuracy(self, split: Split) -> float:
        """Give the share of a split that the network classifies correctly, in [0, 1]."""
        batches = self._validation if split is self._images.validation else self._in_order(split)
        return accuracy(self.network, batches, len(split), self._precision)

    def last_accuracy(self) -> float:
        """Evaluate the trained network on the validation split, the passes beyond the first of an image on the clock.

        Whoever uses a network in several views takes the time for them; the first one is no part of any training.
        """
        if self.passes == 1:
            return self.accuracy(self._images.validation)
        with self._clock.event(share=1 - 1 / self.passes):
            return self.accuracy(self._images.validation)


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
