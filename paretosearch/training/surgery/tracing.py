"""Records what a network does in one forward pass: its operations with the shapes of their results."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn


@dataclass(frozen=True)
class Trace:
    """The operations of a forward pass.

    Args:
        graph: The operations.
        shapes: Shape of the result of every operation that makes a tensor.
        values: Result of every other operation, such as a size.
    """

    graph: fx.Graph
    shapes: dict[fx.Node, torch.Size]
    values: dict[fx.Node, Any]


class _Tracer(fx.Tracer):
    """Looks into every module except those of PyTorch and the given ones."""

    def __init__(self, leaves: Collection[type[nn.Module]] = ()) -> None:  # copies of a graph make one without
        super().__init__()
        self._leaves = leaves

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return type(m) in self._leaves or super().is_leaf_module(m, module_qualified_name)


class _Recorder(fx.Interpreter):
    """Runs a graph, keeping shapes instead of tensors."""

    def __init__(self, model: nn.Module, graph: fx.Graph) -> None:
        super().__init__(model, graph=graph)
        self.shapes: dict[fx.Node, torch.Size] = {}
        self.values: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, Tensor):
            self.shapes[n] = result.shape
        elif n.op != "output":
            self.values[n] = result
        return result


def graph_of(module: nn.Module, leaves: Collection[type[nn.Module]], training: bool = True) -> fx.Graph:
    """Trace a module.

    Args:
        module: What to trace; it stays as it was.
        leaves: Types of modules not to look into, besides PyTorch's own.
        training: Whether to trace what it does in training or in evaluation.

    Returns:
        Its operations.
    """
    with undisturbed(module, training):
        return _Tracer(leaves).trace(module)


def traced(model: nn.Module, example: Tensor, leaves: Collection[type[nn.Module]]) -> Trace:
    """Trace what a network does in training, then run the trace to learn the shapes; the network stays as it was.

    Args:
        model: The network.
        example: Images (N, C, H, W).
        leaves: Types of modules not to look into, besides PyTorch's own.

    Returns:
        The operations with their shapes.
    """
    graph = graph_of(model, leaves)
    recorder = _Recorder(model, graph)
    with undisturbed(model, training=False):  # shapes are the same, and batch norm takes a batch of one
        recorder.run(suited(example[:2], model))
    return Trace(graph, recorder.shapes, recorder.values)


def suited(example: Tensor, model: nn.Module) -> Tensor:
    """Give images in the device and number format of a network's first parameter."""
    like = next(model.parameters(), example)
    return example.to(like.device, like.dtype)


@contextmanager
def undisturbed(model: nn.Module, training: bool) -> Iterator[None]:
    """Run a network in a mode without a trace of it in modes, buffers, gradients or random numbers.

    If it keeps weights in 16 bits it computes in them, as it does in training.
    """
    modes = {module: module.training for module in model.modules()}
    buffers = {buffer: buffer.clone() for buffer in model.buffers()}
    devices = {tensor.device.index for tensor in (*model.parameters(), *buffers) if tensor.is_cuda}
    try:
        with torch.random.fork_rng(sorted(devices)), torch.no_grad(), computing_as_stored(model):
            for module in modes:
                module.training = training
            yield
    finally:
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for buffer, value in buffers.items():
                buffer.copy_(value)


def computing_as_stored(model: nn.Module) -> AbstractContextManager[object]:
    """Bring what layers with weights of 16 bits read into the same format; others are left to what is around."""
    halves = (p for p in model.parameters() if p.dtype in (torch.bfloat16, torch.float16))
    like = next(halves, None)
    return nullcontext() if like is None else torch.autocast(like.device.type, like.dtype)
