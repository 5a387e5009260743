"""A network and its optimizer as they were, to be put back bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


@dataclass(frozen=True)
class Snapshot:
    """What a network and its optimizer held before some layers were replaced.

    Args:
        layers: The layers that are to be replaced, by their qualified names.
        values: Copies of all parameters and buffers, by them.
        groups: The parameters of each group of the optimizer, in order.
        state: What the optimizer held of each.
    """

    layers: Mapping[str, nn.Module]
    values: Mapping[Tensor, Tensor]
    groups: Sequence[Sequence[Tensor]]
    state: Mapping[Tensor, Mapping[str, Any]]

    @classmethod
    def of(cls, model: nn.Module, optimizer: Optimizer | None, layers: Iterable[str], values: bool = True) -> Snapshot:
        """Take one.

        Args:
            model: The network.
            optimizer: Its optimizer.
            layers: Names of the layers that are to be replaced.
            values: Whether to copy what tensors hold; without, `put_back` brings back the shape alone.
        """
        tensors = [*model.parameters(), *model.buffers()] if values else []
        held = {} if optimizer is None else optimizer.state
        return cls(
            {name: model.get_submodule(name) for name in layers},
            {tensor: tensor.detach().clone() for tensor in tensors},
            [] if optimizer is None else [list(group["params"]) for group in optimizer.param_groups],
            {parameter: _copied(state) if values else dict(state) for parameter, state in held.items()},
        )

    @torch.no_grad()
    def put_back(self, model: nn.Module, optimizer: Optimizer | None) -> None:
        """Put all back where it was: the layers, every weight and buffer, the groups and the state of the optimizer."""
        for name, layer in self.layers.items():
            model.set_submodule(name, layer.train(model.training))
        for tensor, value in self.values.items():
            tensor.copy_(value)
            tensor.grad = None
        if optimizer is None:
            return
        for group, parameters in zip(optimizer.param_groups, self.groups, strict=True):
            group["params"][:] = parameters
        optimizer.state.clear()
        optimizer.state.update({parameter: _copied(state) for parameter, state in self.state.items()})


def _copied(state: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.clone() if isinstance(value, Tensor) else value for name, value in state.items()}
