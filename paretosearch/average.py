"""The average of a network's weights over the steps of its training."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from paretosearch.axis import Value
from paretosearch.method import Method, Slot
from paretosearch.run import Run


class Twin:
    """A second network of the structure of the one in training, for other weights."""

    def __init__(self) -> None:
        self._network: nn.Module | None = None
        self._is_behind = True

    def fall_behind(self) -> None:
        """Note that there is a step."""
        self._is_behind = True

    def network(self, model: nn.Module, weights: Iterable[Tensor]) -> nn.Module:
        """Give the second network.

        Args:
            model: The network in training.
            weights: Weights for its parameters, in their order.

        Returns:
            A network with these weights and the model's buffers, always the same module as long as the structure is the
            same; what is done to it stays until the next step.
        """
        if self._network is None or not _same(_structure(model), _structure(self._network)):
            self._network, self._is_behind = copy.deepcopy(model), True
        if self._is_behind:
            _fill(self._network, model, weights)
        self._is_behind = False
        return self._network


class Average:
    """A weighted mean of the weights, and a second network that has it.

    The mean is kept in fp32 whatever the format of the weights. It starts anew when the network changes its shape,
    since the weights of before are those of another network.

    Updates may be recorded: what they depend on is in tensors. All that allocates memory is in `follow`.
    """

    def __init__(self) -> None:
        self._means: list[Tensor] = []
        self._count = torch.zeros(())
        self._weights: list[Tensor] = []  # those that are averaged, in the memory that the optimizer writes to
        self._twin = Twin()

    @property
    def count(self) -> Tensor:
        """How many weights the mean is of, a scalar on the device."""
        return self._count

    def follow(self, run: Run) -> None:
        """Prepare for a step, before it; a network of another shape than at the last step begins a new average."""
        self._twin.fall_behind()
        if run.epoch_step and self._weights:
            return  # shapes change between epochs alone, and a look at all layers takes a tenth of a millisecond
        if not self._is_of(run.model):
            self._start(run.model)

    @torch.no_grad()
    def update(self, share: Tensor) -> None:
        """Move the mean towards the weights: ``mean += share * (weights - mean)``.

        Args:
            share: Share of these weights in the new mean, a scalar in (0, 1] on the device; 1 for the first.
        """
        change = torch._foreach_sub([weight.float() for weight in self._weights], self._means)
        torch._foreach_mul_(change, share)
        torch._foreach_add_(self._means, change)
        self._count += 1

    def network(self, model: nn.Module) -> nn.Module:
        """Give the network to evaluate.

        Args:
            model: The network in training.

        Returns:
            A second one with the mean in it and the model's buffers, always the same module as long as the shape is
            the same; what is done to it stays until the next step. The model itself if there is no mean of its weights.
        """
        if not self._is_of(model):
            self._forget()
        return self._twin.network(model, self._means) if self._count.item() else model

    def _is_of(self, model: nn.Module) -> bool:
        weights = _memory(model)
        if self._means and not self._weights and _same(map(_shape, weights), map(_shape, self._means)):
            self._adopt(weights)  # from a checkpoint, which knows no more than shapes
        return bool(self._weights) and _same(map(_place, weights), map(_place, self._weights))

    def _adopt(self, weights: list[Tensor]) -> None:
        self._weights, device = weights, weights[0].device
        self._means, self._count = [mean.to(device) for mean in self._means], self._count.to(device)

    def _start(self, model: nn.Module) -> None:
        self._forget()
        self._means = [torch.zeros_like(weight, dtype=torch.float32) for weight in _memory(model)]
        self._adopt(_memory(model))

    def _forget(self) -> None:
        self._means, self._weights, self._count, self._twin = [], [], torch.zeros(()), Twin()

    def state_dict(self) -> dict[str, Any]:
        """Give the mean."""
        return {"means": self._means, "count": self._count}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back; whether it is of the network's weights is looked at later."""
        self._forget()
        self._means, self._count = [mean.clone() for mean in state["means"]], state["count"].clone()


class Averaging(Method):
    """A Method that evaluates a mean of the weights in their place; when it takes them is for each to say."""

    slot = Slot.AVERAGING

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._average = Average()

    def eval_model(self, model: nn.Module) -> nn.Module:
        """Give the network with the mean of the weights, as soon as there is one."""
        return self._average.network(model)

    def state_dict(self) -> dict[str, Any]:
        """Give the mean."""
        return self._average.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._average.load_state_dict(state)


@torch.no_grad()
def _fill(network: nn.Module, model: nn.Module, weights: Iterable[Tensor]) -> None:
    for parameter, weight in zip(network.parameters(), weights, strict=True):
        parameter.copy_(weight)
    for buffer, current in zip(network.buffers(), model.buffers(), strict=True):
        buffer.copy_(current)


def _structure(model: nn.Module) -> list[object]:
    return [(name, tensor.shape) for name, tensor in [*model.named_parameters(), *model.named_buffers()]]


def _memory(model: nn.Module) -> list[Tensor]:
    """List the parameters as tensors that keep the memory of now, even when surgery gives a parameter another one."""
    return [parameter.detach() for parameter in model.parameters()]


def _shape(tensor: Tensor) -> object:
    return tensor.shape


def _place(tensor: Tensor) -> object:
    return tensor.shape, tensor.data_ptr()


def _same(ours: Iterable[object], theirs: Iterable[object]) -> bool:
    return list(ours) == list(theirs)
