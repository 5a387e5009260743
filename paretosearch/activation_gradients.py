"""Hooks on the gradients that convolutions read in their backward pass, which count what is 0 in them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

#: What is counted of a layer: entries of the gradient that is changed, those that are not 0 before and after; entries
#: of the gradient of its output, those that are not 0, both once for each pass of the backward pass that reads them.
COLUMNS = 5


class Hooked:
    """A convolution one of whose gradients is changed while it is trained.

    Gradients are changed by hooks on tensors: no module is replaced, and an activation that works in place may follow.
    Nothing waits for the device, so that steps with hooks can be recorded.

    Args:
        conv: The convolution.
        at_input: Whether the gradient of its input is changed, as far as it comes from there, or that of its output.
        change: Gives what a gradient becomes.
        counts: As `COLUMNS`, int64, on the device; added to.
    """

    def __init__(self, conv: nn.Conv2d, at_input: bool, change: Callable[[Tensor], Tensor], counts: Tensor) -> None:
        self._at_input, self._change, self._counts = at_input, change, counts
        self._products = conv.weight[0].numel()  # for an entry of the output
        self._handles: list[RemovableHandle] = [conv.register_forward_hook(self._after)]
        if at_input:
            self._handles.append(conv.register_forward_pre_hook(self._before))

    def let_go(self) -> None:
        """Leave the convolution as it was."""
        for handle in self._handles:
            handle.remove()

    def _before(self, conv: nn.Module, args: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if not conv.training or not args[0].requires_grad:
            return None
        own = args[0].view_as(args[0])  # whose gradient is this convolution's alone
        own.register_hook(self._changed)  # type: ignore[no-untyped-call]  # torch does not annotate it
        return (own,)

    def _after(self, conv: nn.Module, args: tuple[Tensor, ...], y: Tensor) -> None:
        if conv.training and y.requires_grad:
            # Counted with the rest, and no attribute: where steps are recorded, few of them come by here.
            passes = 2 if args[0].requires_grad else 1
            hook = partial(self._seen if self._at_input else self._changed, passes=passes)
            y.register_hook(hook)  # type: ignore[no-untyped-call]  # torch does not annotate it

    def _changed(self, grad: Tensor, passes: int = 0) -> Tensor:
        changed = self._change(grad)
        left = torch.count_nonzero(changed)
        self._counts[0].add_(grad.numel())
        self._counts[1].add_(torch.count_nonzero(grad))
        self._counts[2].add_(left)
        if passes:
            self._read(grad.numel(), left, passes)
        return changed

    def _seen(self, grad: Tensor, passes: int) -> None:
        self._read(grad.numel(), torch.count_nonzero(grad), passes)

    def _read(self, entries: int, left: Tensor, passes: int) -> None:
        self._counts[3].add_(entries * passes)
        self._counts[4].add_(left, alpha=passes)

    def counted(self) -> tuple[int, int, int, int, int]:
        """Read the counts; waits for the device.

        Returns:
            Entries of what is changed, those that are not 0 before and after; multiplications of the backward pass,
            and those of them by what is not 0.
        """
        entries, before, after, read, needed = self._counts.tolist()
        return entries, before, after, read * self._products, needed * self._products


def zeros(layers: Iterable[Hooked]) -> dict[str, float]:
    """Sum up what was counted of some layers.

    Returns:
        Shares in [0, 1]: ``zeros`` of the entries of what is changed, ``natural_zeros`` of the same before, and
        ``backward_macs_saved``, the multiplications by 0 in the backward passes of all convolutions; nothing where
        nothing was counted.
    """
    entries, before, after, macs, needed = (sum(column) for column in zip(*_rows(layers), strict=True))
    if not entries or not macs:
        return {}
    return {
        "zeros": 1 - after / entries,
        "natural_zeros": 1 - before / entries,
        "backward_macs_saved": 1 - needed / macs,
    }


def _rows(layers: Iterable[Hooked]) -> Iterator[tuple[int, int, int, int, int]]:
    yield 0, 0, 0, 0, 0  # the sums of no layers
    yield from (layer.counted() for layer in layers)


def before_norm(model: nn.Module) -> set[nn.Module]:
    """Find the convolutions of a network behind which a normalisation is defined.

    That is any layer whose parameters and buffers have an entry for each channel at most, but for PReLU.
    """
    order = [m for m in model.modules() if isinstance(m, nn.Conv2d) or not any(True for _ in m.children())]
    return {m for m, behind in pairwise(order) if isinstance(m, nn.Conv2d) and _is_norm(behind)}


def _is_norm(module: nn.Module) -> bool:
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    return bool(tensors) and all(t.ndim <= 1 for t in tensors) and not isinstance(module, nn.PReLU)
