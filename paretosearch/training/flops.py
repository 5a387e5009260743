"""Counts the floating-point operations of a network, and of training steps that Methods change."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from paretosearch.run import Work
from paretosearch.training.surgery import undisturbed

#: Forward, gradient of the activations and gradient of the weights cost the same for a convolution. The first one needs
#: no gradient of the images, which is counted all the same, as is usual.
TRAINING_FORWARDS = 3


@dataclass(frozen=True)
class Flops:
    """Operations of convolutions and matrix products for one image, a multiplication and an addition counting as two.

    Args:
        forward: Those of a forward pass.
        backward: Those of a backward pass, without what layers save whose weights stay as they are.
        layers: Those of a forward pass by layer, for layers whose weights are trained.
    """

    forward: int
    backward: int
    layers: Mapping[nn.Module, int]

    def of_step(self, works: Iterable[Work] = ()) -> float:
        """Give the operations of a training step for each image of its batch, whatever Methods make of it."""
        works = list(works)
        left_out = sum(
            (1 - share) * self.layers.get(layer, 0) for work in works for layer, share in work.weights.items()
        )
        whole = self.forward + self.backward - left_out
        return math.prod(work.share for work in works) * whole + sum(work.looks for work in works) * self.forward


def flops_of(model: nn.Module, image_shape: tuple[int, int, int], device: torch.device) -> Flops:
    """Count the operations of a network.

    Args:
        model: The network; its mode and statistics are left as they were.
        image_shape: Channels, height, width.
        device: Where the network is.
    """
    leaves = [module for module in model.modules() if not list(module.children())]
    with undisturbed(model, training=False), FlopCounterMode(display=False) as counter:
        watch = _Watch(counter)
        handles = [leaf.register_forward_pre_hook(watch.begin) for leaf in leaves]
        handles += [leaf.register_forward_hook(watch.end) for leaf in leaves]
        try:
            model(torch.zeros(1, *image_shape, device=device))
        finally:
            for handle in handles:
                handle.remove()
    forward = int(counter.get_total_flops())
    return Flops(forward, (TRAINING_FORWARDS - 1) * forward - watch.saved, watch.layers)


class _Watch:
    """Sees the layers of a network at work, one after another.

    Attributes:
        layers: Operations of those that are trained.
        saved: What the others do not need in a backward pass: the gradient of their weights, and that of what they
            read, as long as nothing before them is trained.
    """

    def __init__(self, counter: FlopCounterMode) -> None:
        self._counter, self._before, self._is_behind_trained = counter, 0, False
        self.layers: dict[nn.Module, int] = {}
        self.saved = 0

    def begin(self, layer: nn.Module, _: object) -> None:
        self._before = self._counter.get_total_flops()

    def end(self, layer: nn.Module, *_: object) -> None:
        flops = self._counter.get_total_flops() - self._before
        if _is_fixed(layer):
            self.saved += flops if self._is_behind_trained else 2 * flops
        else:
            self.layers[layer] = self.layers.get(layer, 0) + flops
        self._is_behind_trained |= any(parameter.requires_grad for parameter in layer.parameters())


def _is_fixed(layer: nn.Module) -> bool:
    """Whether a layer has weights, as parameters or as a buffer, and none of them is trained."""
    weights = [tensor for tensor in (*layer.parameters(), *layer.buffers()) if tensor.ndim > 1]
    return bool(weights) and not any(weight.requires_grad for weight in weights)
