"""A trained network as a Python file that needs PyTorch alone."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx, nn

from paretosearch.data import ImageSet
from paretosearch.training.portable.errors import NotPortableError
from paretosearch.training.portable.functions import import_of, source_of
from paretosearch.training.portable.layers import layer_lines, remade
from paretosearch.training.portable.page import page
from paretosearch.training.portable.wide import examples

#: Largest difference of logits, relative to the largest, that the order of additions may make.
TOLERANCE = 1e-5

#: How a graph's code reaches a layer: ``getattr(getattr(self, "3").downsample, "0")``.
_REACHED = re.compile(r'(?:getattr\()*\bself(?:\.[A-Za-z_]\w*|, "[^"\\]+"\))+')
_STEP = re.compile(r'\.([A-Za-z_]\w*)|, "([^"\\]+)"\)')
#: How it lets go of what it needs no more.
_FORGET = re.compile(r";  (?:\w+ = )+None$", re.MULTILINE)


def script_of(model: nn.Module, images: ImageSet, number_format: str) -> str:
    """Write a network down.

    Args:
        model: The network, as `wide` gives it.
        images: What it was trained on.
        number_format: What it was trained in.

    Returns:
        A module with the class ``Network``, whose weights are the model's own. Its layers, made as the text makes them,
        gave what the model gives for some images of the test split.

    Raises:
        NotPortableError: If the network cannot be written down so.
    """
    try:
        root, graph = _traced(model)
    except Exception as error:  # whatever a network raises that is not made for tracing
        raise NotPortableError(f"the network cannot be traced ({_first_line(error)})") from None
    functions, forward = _forward(graph, {name for name, _ in root.named_modules()})
    leaves = {str(node.target) for node in graph.nodes if node.op == "call_module"}
    constants = {str(node.target) for node in graph.nodes if node.op == "get_attr"}
    text = page(images, number_format, list(layer_lines(root, leaves, constants)), functions, forward)
    try:
        ast.parse(text)
    except SyntaxError as error:  # a network may call its parts anything
        raise NotPortableError(f"its code cannot be written down ({error.msg})") from None
    _check(fx.GraphModule(remade(root, leaves), graph), model, examples(images))
    return text


class _EvaluationTracer(fx.Tracer):
    """Traces what a network does in evaluation, in which no residual branch is dropped at random."""

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        if type(m).__name__ == "StochasticDepth" and type(m).__module__.startswith("torchvision."):
            return args[0]
        return super().call_module(m, forward, args, kwargs)


def _traced(model: nn.Module) -> tuple[nn.Module, fx.Graph]:
    """Trace a network that has its tensors as the given one has, but whose attributes tracing may add to."""
    tracer = _EvaluationTracer()
    with torch.no_grad():
        graph = tracer.trace(model)
    assert isinstance(tracer.root, nn.Module)
    return tracer.root, graph


def _forward(graph: fx.Graph, modules: set[str]) -> tuple[dict[str, str], str]:
    """Give the functions that a graph calls besides PyTorch's own, and the method that runs it."""
    (image,) = (node for node in graph.nodes if node.op == "placeholder" and not node.args)
    image.type = None
    code = graph.python_code("self")
    body = code.src[code.src.index("def forward(") :].rstrip()
    functions: dict[str, str] = {}
    for name, value in code.globals.items():
        if not re.search(rf"(?<!\.)\b{name}\(", body) or isinstance(value, type):
            continue
        if line := import_of(name, value):
            functions[name] = line
            continue
        functions |= source_of(value)
        # What it gives has its name, and would hide it.
        body = re.sub(rf"\b{value.__name__}(_\d+)?\b(?!\()", rf"of_{value.__name__}\1", body)
        body = re.sub(rf"\b{name}\(", f"{value.__name__}(", body)
    body = _REACHED.sub(lambda found: _by_name(found[0], modules), _FORGET.sub("", body))
    return functions, body


def _by_name(reached: str, modules: set[str]) -> str:
    name = ".".join(one or other for one, other in _STEP.findall(reached))
    return f'layer("{name}")' if name in modules else reached


def _check(written: nn.Module, model: nn.Module, x: Tensor) -> None:
    """Compare what two networks give for some images (N, C, H, W).

    Raises:
        NotPortableError: If that is not the same.
    """
    with torch.no_grad():
        ours, theirs = model(x.clone()), written(x.clone())
    largest = float(ours.abs().max()) or 1.0
    if theirs.shape != ours.shape or not float((theirs - ours).abs().max()) <= TOLERANCE * largest:
        raise NotPortableError("a layer does not say all of how it was made")


def _first_line(error: Exception) -> str:
    lines: Sequence[str] = str(error).strip().splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
