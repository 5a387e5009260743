"""A network's forward pass, by torch.compile if a Recipe asks for it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from paretosearch.errors import RecipeError

#: Errors of the compiler and of what it needs, by the module of their class.
_COMPILERS = ("torch._dynamo", "torch._inductor")


class Forward:
    """Calls a network; compiled, it is compiled at the first call and again after every change of shape.

    Args:
        model: The network; it stays callable op by op.
        mode: ``off``, or a mode of `torch.compile`.
    """

    def __init__(self, model: nn.Module, mode: str) -> None:
        self._model, self._mode = model, mode
        self._function: Callable[[Tensor], Tensor] = self._made()

    @property
    def is_compiled(self) -> bool:
        """Whether calls are compiled."""
        return self._mode != "off"

    def _made(self) -> Callable[[Tensor], Tensor]:
        if self._mode == "off":
            return self._model
        return torch.compile(self._model, mode=self._mode, dynamic=False)

    def forget(self) -> None:
        """Compile anew: after eight shapes the compiler would go on op by op without a word."""
        if self.is_compiled:
            torch.compiler.reset()
            self._function = self._made()

    def __call__(self, x: Tensor) -> Tensor:
        """Give the logits (N, K) of images (N, C, H, W).

        Raises:
            RecipeError: If the network cannot be compiled here.
        """
        try:
            return self._function(x)
        except Exception as error:
            if self.is_compiled and type(error).__module__.startswith(_COMPILERS):
                said = (str(error).strip().splitlines() or [type(error).__name__])[0]
                raise RecipeError(f'torch.compile does not work here ({said}); set compile = "off"') from error
            raise
