"""Recorded steps without a GPU: what a CUDA graph does, done op by op on a CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

#: Ops that make the host wait for the device, which a recording forbids.
_READING = (
    torch.ops.aten._local_scalar_dense.default,
    torch.ops.aten.nonzero.default,
    torch.ops.aten.masked_select.default,
    torch.ops.aten.equal.default,
)


class _Recording(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Runs ops and remembers them with the very tensors that they were run on."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # nor this
        self.calls: list[Callable[[], None]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None) -> Any:
        """Run one op."""
        if func in _READING or (func is torch.ops.aten.index.Tensor and _has_mask(args[1])):
            raise RuntimeError("operation not permitted when stream is capturing")
        result = func(*args, **(kwargs or {}))
        self.calls.append(_again(func, args, kwargs or {}, result))
        return result


def _has_mask(indices: Sequence[Tensor | None]) -> bool:
    """Whether an index says which places to take, whose number is then unknown to the host."""
    return any(index is not None and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _again(func: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> Callable[[], None]:
    """Make what runs an op once more and leaves what comes out in the memory of the first time."""
    outs = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]

    def run() -> None:
        fresh = [leaf for leaf in tree_leaves(func(*args, **kwargs)) if isinstance(leaf, Tensor)]
        for old, new in zip(outs, fresh, strict=True):
            if old.data_ptr() != new.data_ptr():  # what an op changed in place, or only looks at, is there already
                old.copy_(new)

    return run


class OpRecorder:
    """Records steps on a CPU; as with a graph, what Python decided while recording stays decided.

    Attributes:
        recordings: How often something was recorded.
    """

    def __init__(self) -> None:
        self.recordings = 0

    def record(self, function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Record a function; unlike a graph this runs it, so the first replay does nothing."""
        self.recordings += 1
        with _Recording() as recording:
            result = function()
        is_first = [True]

        def replay() -> None:
            if is_first:
                is_first.pop()
                return
            with torch.no_grad():
                for call in recording.calls:
                    call()

        return replay, result

    def forget(self) -> None:
        """Do nothing: memory goes with what was recorded."""
