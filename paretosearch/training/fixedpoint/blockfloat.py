"""Training in which every tensor is in block floating point, the weights included."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from paretosearch.ghost import ghost_norm
from paretosearch.training.fixedpoint.rounding import at_random, dense

#: Operations whose result is rounded, as is its gradient; the logits, a matrix product, are not.
ROUNDED = (torch.conv2d, F.batch_norm, ghost_norm, F.relu, torch.relu, torch.relu_)


class BlockFloat:
    """The low-precision half of SWALP, whose other half is the averaging of `swa`.

    Weights, their gradients and momentum, activations and errors are rounded at random to words of one length, without
    a copy of the weights in fp32. The weights and what belongs to them have an exponent for each output channel,
    activations and errors one for the tensor, as the authors' code has them. An evaluation rounds nothing.

    Paper: Yang et al. 2019, arXiv:1904.11943, algorithm 2.

    Args:
        word_length: Bits of a number, its sign included; 8 in the paper.
        device: Where.
        seed: Of the rounding, which has random numbers of its own.

    Attributes:
        generator: Of these.
    """

    def __init__(self, word_length: int, device: torch.device, seed: int) -> None:
        self._word_length = word_length
        self.generator = torch.Generator(device).manual_seed(seed)

    def context(self) -> TorchFunctionMode:
        """Give the context for a forward pass including the loss."""
        return _BlockFloatMode(self._of_activations)

    def round_gradients(self, optimizer: torch.optim.Optimizer) -> None:
        """Round what the optimizer is about to use."""
        self._replace([p.grad for p in _parameters(optimizer) if p.grad is not None])

    def round_weights(self, optimizer: torch.optim.Optimizer) -> None:
        """Round weights and momentum."""
        self._replace(_parameters(optimizer))
        self._replace(list(_momenta(optimizer)))

    def state_dict(self) -> dict[str, Any]:
        """Give the state of the random numbers."""
        return {"random": self.generator.get_state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self.generator.set_state(state["random"])

    @torch.no_grad()
    def _replace(self, tensors: Sequence[Tensor]) -> None:
        for tensor in tensors:
            by_channel = tensor.ndim > 1
            tensor.copy_(at_random(dense(tensor), self._word_length, self.generator, by_channel))

    def _of_activations(self, x: Tensor) -> Tensor:
        return at_random(dense(x), self._word_length, self.generator)


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


def _momenta(optimizer: torch.optim.Optimizer) -> Iterator[Tensor]:
    for parameter in _parameters(optimizer):
        momentum = optimizer.state[parameter].get("momentum_buffer")
        if momentum is not None:
            yield momentum


class _BlockFloatMode(TorchFunctionMode):
    """Rounds activations where they arise, and their gradients on the way back."""

    def __init__(self, rounding: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._rounding = rounding

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Do what a function does, then round."""
        result = func(*args, **(kwargs or {}))
        rounds = func in ROUNDED and torch.is_grad_enabled()
        return _Rounding.apply(result, self._rounding) if rounds else result


class _Rounding(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, rounding: Callable[[Tensor], Tensor]) -> Tensor:
        ctx.rounding = rounding
        return rounding(x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return ctx.rounding(grad), None
