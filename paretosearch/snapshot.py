"""A network and its optimizer as they were, to be put back bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class Stateful(Protocol):
    """Something that a training changes, and that can be as it was."""

    def state_dict(self) -> dict[str, Any]:
        """Give what it holds."""

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take that back."""


@dataclass(frozen=True)
class Snapshot:
    """What a network and its optimizer held before some layers were replaced.

    Args:
        layers: The layers that are to be replaced, by their qualified names.
        values: Copies of all parameters and buffers, by them.
        groups: The parameters of each group of the optimizer, in order.
        state: What the optimizer held of each.
        beside: What else there is, with a copy of what it held.
    """

    layers: Mapping[str, nn.Module]
    values: Mapping[Tensor, Tensor]
    groups: Sequence[Sequence[Tensor]]
    state: Mapping[Tensor, Mapping[str, Any]]
    beside: Sequence[tuple[Stateful, Mapping[str, Any]]] = ()

    @classmethod
    def of(
        cls,
        model: nn.Module,
        optimizer: Optimizer | None,
        layers: Iterable[str],
        values: bool = True,
        beside: Iterable[Stateful] = (),
    ) -> Snapshot:
        """Take one.

        Args:
            model: The network.
            optimizer: Its optimizer.
            layers: Names of the layers that are to be replaced.
            values: Whether to copy what tensors hold; without, `put_back` brings back the shape alone.
            beside: What else counts the steps, or follows from them.
        """
        tensors = [*model.parameters(), *model.buffers()] if values else []
        held = {} if optimizer is None else optimizer.state
        return cls(
            {name: model.get_submodule(name) for name in layers},
            {tensor: tensor.detach().clone() for tensor in tensors},
            [] if optimizer is None else [list(group["params"]) for group in optimizer.param_groups],
            {parameter: _copied(state) if values else dict(state) for parameter, state in held.items()},
            [(other, deepcopy(other.state_dict())) for other in beside],
        )

    @torch.no_grad()
    def put_back(self, model: nn.Module, optimizer: Optimizer | None) -> None:
        """Put all back where it was: the layers, every weight and buffer, the groups and the state of the optimizer."""
        for name, layer in self.layers.items():
            model.set_submodule(name, layer.train(model.training))
        for tensor, value in self.values.items():
            tensor.copy_(value)
            tensor.grad = None
        for other, state in self.beside:
            other.load_state_dict(deepcopy(dict(state)))
        if optimizer is None:
            return
        for group, parameters in zip(optimizer.param_groups, self.groups, strict=True):
            group["params"][:] = parameters
        optimizer.state.clear()
        optimizer.state.update({parameter: _copied(state) for parameter, state in self.state.items()})


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in state.items()}
