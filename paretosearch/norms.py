"""Finds the convolution that each batch norm follows, for Methods that take its place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from torch import fx, nn

from paretosearch.errors import RecipeError


def replace_norms(model: nn.Module, remade: Callable[[nn.Conv2d], nn.Conv2d], method: str) -> nn.Module:
    """Take all batch norm out of a network, and make the convolutions anew that it followed.

    Args:
        model: The network, changed in place; without batch norm all of its convolutions are made anew.
        remade: Makes one of them anew, with a bias.
        method: Name of the Method, for messages.

    Returns:
        The same network.

    Raises:
        RecipeError: If the network has neither batch norm nor a convolution, a batch norm follows no convolution of its
            own, or nobody can tell.
    """
    if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()):
        followed = _followed(model, method)
        for norm in followed.values():
            model.set_submodule(norm, nn.Identity())
        names = list(followed)
    else:
        names = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    if not names:
        raise RecipeError(f"{method} changes convolutions, and this network has none; turn it off")
    for name in names:
        conv = model.get_submodule(name)
        assert isinstance(conv, nn.Conv2d)
        model.set_submodule(name, remade(conv))
    return model


def with_bias(conv: nn.Conv2d) -> nn.Conv2d:
    """Give a convolution a bias of zeros if it has none."""
    if conv.bias is None:
        conv.bias = nn.Parameter(conv.weight.new_zeros(conv.out_channels))
    return conv


def _followed(model: nn.Module, method: str) -> dict[str, str]:
    """Give the name of the batch norm by that of the convolution that it alone reads.

    Raises:
        RecipeError: If a batch norm reads anything else, or the network cannot be traced.
    """
    try:
        graph = fx.Tracer().trace(model)
    except Exception as error:  # a network's own code may raise anything when it is traced
        said = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise RecipeError(
            f"{method} must know what each batch norm follows, and this network cannot be traced ({said}); turn it off"
        ) from None
    followed = dict(_pairs(model, graph))
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    left = next(iter(sorted(norms - set(followed.values()))), None)
    if left is not None:
        raise RecipeError(
            f"{method} takes the place of batch norm right behind a convolution, and {left} of this network stands "
            "elsewhere; turn it off, or use another network"
        )
    return followed


def _pairs(model: nn.Module, graph: fx.Graph) -> Iterator[tuple[str, str]]:
    """List the names of each convolution and batch norm that are called once, one right after the other."""
    called = {node: model.get_submodule(str(node.target)) for node in graph.nodes if node.op == "call_module"}
    times = Counter(called.values())
    for node, norm in called.items():
        source = node.args[0] if node.args else None
        conv = called.get(source) if isinstance(source, fx.Node) else None
        if not isinstance(norm, nn.BatchNorm2d) or not isinstance(conv, nn.Conv2d):
            continue
        assert isinstance(source, fx.Node)
        if len(source.users) == 1 and times[norm] == times[conv] == 1:
            yield str(source.target), str(node.target)
