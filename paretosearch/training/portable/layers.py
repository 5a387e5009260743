"""The lines that make a network's layers, under the names that they have in its weights."""

from __future__ import annotations

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
    done: list[str] = []
    for name, module in model.named_modules(remove_duplicate=False):
        if any(name.startswith(f"{leaf}.") for leaf in done):
            continue
        if name in leaves or (_is_leaf(module) and module.state_dict()):
            done.append(name)
            yield f"put(self, {name!r}, {_constructor(name, module)})"
            continue
        yield from _own_lines(name, module, constants)


def _is_leaf(module: nn.Module) -> bool:
    return type(module).__module__.startswith("torch.nn") and not list(module.children())


def _constructor(name: str, module: nn.Module) -> str:
    said, kind = repr(module), type(module).__name__
    if getattr(nn, kind, None) is not type(module) or "\n" in said:
        raise NotPortableError(f"layer {name} is a {kind}, which does not say how it was made")
    if isinstance(module, nn.modules.batchnorm._NormBase):
        said = said.replace(", bias=True", "")  # older versions of torch have no such argument
    return f"nn.{said}"


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
