"""A network's forward pass in training: as it is, with fused operations, or by torch.compile."""

from __future__ import annotations

import os
import shutil
import weakref
from collections.abc import Callable
from tempfile import mkdtemp

import torch
from torch import Tensor, nn

from paretosearch.errors import RecipeError
from paretosearch.training.fused import fused, library
from paretosearch.training.phases import Tier

#: Errors of the compiler and of what it needs, by the module of their class.
_COMPILERS = ("torch._dynamo", "torch._inductor")


class Forward:
    """Calls a network, as it was when `adapt` was called last.

    Args:
        model: The network; it stays callable op by op.
        mode: ``off``, or a mode of `torch.compile`; compiled, it is compiled anew after every change of shape.
        fuse: Whether batch norm and what follows may be one operation.

    Attributes:
        tier: How the network is called.
    """

    def __init__(self, model: nn.Module, mode: str, fuse: bool) -> None:
        self._model, self._mode, self._fuse = model, mode, fuse
        self._function: Callable[[Tensor], Tensor] = model
        self._adapted: tuple[int, object] | None = None
        if fuse:
            library()  # may be built now, which is not this training's doing
        self.tier: Tier = "eager"

    @property
    def is_compiled(self) -> bool:
        """Whether calls are compiled."""
        return self._mode != "off"

    def adapt(self, changes: int, batch_size: int, image_size: int = 0) -> None:
        """Follow a change of shape.

        Args:
            changes: How often the network has changed its shape so far.
            batch_size: Images of the coming calls, for which code is compiled.
            image_size: Their edge in pixels, which code is compiled for as well.
        """
        shape = changes, (batch_size, image_size) if self.is_compiled else 0
        if shape == self._adapted:
            return
        self._adapted = shape
        if self.is_compiled:
            torch.compiler.reset()  # after eight shapes the compiler would go on op by op without a word
            weakref.finalize(self, shutil.rmtree, _empty_cache(), ignore_errors=True)
            self._function, self.tier = torch.compile(self._model, mode=self._mode, dynamic=False), "compile"
        elif self._fuse:
            found = fused(self._model)
            self._function, self.tier = (self._model, "eager") if found is None else (found, "fused")

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


def _empty_cache() -> str:
    """Let the compiler find nothing of what it has made before: equal Recipes must pay for it equally."""
    from torch._inductor.utils import clear_inductor_caches  # takes a second, which only they should wait who compile

    place = mkdtemp(prefix="paretosearch-")
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = place
    os.environ["TRITON_CACHE_DIR"] = f"{place}/triton"
    clear_inductor_caches()
    return place
