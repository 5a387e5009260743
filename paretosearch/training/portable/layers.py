"""The lines that make a network's layers, under the names that they have in its weights."""

from __future__ import annotations

import ast
import copy
from collections.abc import Collection, Iterator

from torch import Tensor, nn

from paretosearch.training.portable.errors import NotPortableError

#: A constant with more entries is no text that somebody reads.
MOST_ENTRIES = 4096


def layer_lines(model: nn.Module, leaves: Collection[str], constants: Collection[str]) -> Iterator[str]:
    """Give a line for each layer of PyTorch's own, and for each parameter or buffer that belongs to none.

    Args:
        model: The network.
        leaves: Qualified names of the layers that it calls.
        constants: Qualified names of the tensors that it reads.

    Yields:
        Calls of ``put``, with values of the right shapes; those that the weights do not have are in the line.

    Raises:
        NotPortableError: If a layer does not say how it was made.
    """
    for name, module, is_whole in _parts(model, leaves):
        if is_whole:
            yield f"put(self, {name!r}, {_constructor(name, module)})"
        else:
            yield from _own_lines(name, module, constants)


def remade(model: nn.Module, leaves: Collection[str]) -> nn.Module:
    """Copy a network with its layers made anew, as the lines make them.

    Args:
        model: The network.
        leaves: Qualified names of the layers that it calls.

    Returns:
        The copy, for evaluation, with the same weights.

    Raises:
        NotPortableError: If a layer does not say how it was made.
    """
    copied = copy.deepcopy(model)
    for name, module, is_whole in _parts(model, leaves):
        if is_whole:
            made = _made(_constructor(name, module))
            made.load_state_dict(module.state_dict())
            copied.set_submodule(name, made)
    return copied.eval()


def _parts(model: nn.Module, leaves: Collection[str]) -> Iterator[tuple[str, nn.Module, bool]]:
    """Give the modules of a network by name, and whether each is written as a whole; what is in those is left out."""
    whole: list[str] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if any(name.startswith(f"{leaf}.") for leaf in whole):
            continue
        is_whole = bool(name) and (name in leaves or (_is_leaf(module) and bool(module.state_dict())))
        if is_whole:
            whole.append(name)
        yield name, module, is_whole


def _is_leaf(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn") and not list(module.children())


def _constructor(name: str, module: nn.Module) -> str:
    said, kind = f"nn.{module!r}", type(module).__name__
    if isinstance(module, nn.modules.batchnorm._NormBase):
        said = said.replace(", bias=True", "")  # older versions of torch have no such argument
    try:
        shapes = [{key: tensor.shape for key, tensor in m.state_dict().items()} for m in (_made(said), module)]
        is_so = getattr(nn, kind) is type(module) and shapes[0] == shapes[1]
    except (SyntaxError, ValueError, TypeError, AttributeError):
        is_so = False
    if not is_so:
        raise NotPortableError(f"layer {name} is a {kind}, which does not say how it was made")
    return said


def _made(constructor: str) -> nn.Module:
    """Make a layer as a line does: ``nn.KIND(literal, name=literal)``.

    Raises:
        SyntaxError, ValueError, TypeError, AttributeError: If it is none.
    """
    call = ast.parse(constructor, mode="eval").body
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        raise ValueError(f"{constructor} is no constructor")
    named = {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in call.keywords}
    module: nn.Module = getattr(nn, call.func.attr)(*map(ast.literal_eval, call.args), **named)
    return module


def _own_lines(path: str, module: nn.Module, constants: Collection[str]) -> Iterator[str]:
    """Give the lines of the tensors that a module holds itself."""
    at = f"{path}." if path else ""
    for name, parameter in module.named_parameters(recurse=False):
        yield f"put(self, {at + name!r}, nn.Parameter(torch.zeros({tuple(parameter.shape)})))"
    temporary = module._non_persistent_buffers_set
    for name, buffer in module.named_buffers(recurse=False):
        if name not in temporary:
            yield f"put(self, {at + name!r}, torch.zeros({tuple(buffer.shape)}, dtype={buffer.dtype}))"
        elif at + name in constants:
            yield f"put(self, {at + name!r}, {_literal(at + name, buffer)}, persistent=False)"
    for name, value in vars(module).items():  # what tracing has found in the code
        if isinstance(value, Tensor) and at + name in constants:
            yield f"put(self, {at + name!r}, {_literal(at + name, value)}, persistent=False)"


def _literal(name: str, value: Tensor) -> str:
    if value.numel() > MOST_ENTRIES:
        raise NotPortableError(f"{name} is a constant of {value.numel()} numbers")
    return f"torch.tensor({value.tolist()!r}, dtype={value.dtype})"
