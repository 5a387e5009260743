"""The source text of a function with all that it calls, down to PyTorch."""

from __future__ import annotations

import dis
import inspect
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

from paretosearch.training.portable.errors import NotPortableError

#: Packages that whoever runs the text has.
_THEIRS = ("torch", "math", "operator", "builtins", "itertools", "functools", "typing")

_PLAIN = (bool, int, float, str, tuple, type(None))


def import_of(name: str, function: Any) -> str | None:
    """Give the line that imports a function under a name; None for one that must be written down."""
    home = str(getattr(function, "__module__", None) or "")
    return f"from {home} import {function.__name__} as {name}\n" if _is_theirs(home) else None


def source_of(function: Any) -> dict[str, str]:
    """Give what a module must hold for a function to be called there.

    Args:
        function: A function of a module, that is, one without a closure.

    Returns:
        Text by name, in the order to write it: imports, constants, functions, the given one last.

    Raises:
        NotPortableError: If the function, or something that it calls, cannot be written down.
    """
    found: dict[str, str] = {}
    _add(found, function)
    return dict(sorted(found.items(), key=lambda item: (not item[1].startswith(("import ", "from ")), 0)))


def _add(found: dict[str, str], function: Any) -> None:
    if not isinstance(function, FunctionType) or function.__closure__ or function.__name__ == "<lambda>":
        raise NotPortableError(f"it calls {_name(function)}, which is no function of a module")
    for name in dict.fromkeys(_globals(function.__code__)):
        if name not in function.__globals__:
            continue  # a builtin
        text = _text(found, name, function.__globals__[name])
        if found.setdefault(name, text) != text:
            raise NotPortableError(f"it calls two things that are named {name}")
    try:
        text = textwrap.dedent(inspect.getsource(function))
    except (OSError, TypeError):
        raise NotPortableError(f"the source of {_name(function)} is not to be had") from None
    if found.setdefault(function.__name__, text) != text:
        raise NotPortableError(f"it calls two functions that are named {function.__name__}")


def _text(found: dict[str, str], name: str, value: Any) -> str:
    """Give the line that makes a global name; the text of a function is added on the way."""
    if isinstance(value, ModuleType) and _is_theirs(value.__name__):
        return f"import {value.__name__} as {name}\n" if value.__name__ != name else f"import {name}\n"
    if isinstance(value, _PLAIN):
        return f"{name} = {value!r}\n"
    if callable(value) and (line := import_of(name, value)):
        return line
    if isinstance(value, FunctionType) and value.__name__ == name:
        _add(found, value)
        return found[name]
    raise NotPortableError(f"it uses {name}, which is a {type(value).__name__}")


def _is_theirs(module: str) -> bool:
    return module.partition(".")[0] in _THEIRS


def _globals(code: CodeType) -> Iterator[str]:
    yield from (str(i.argval) for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME"))
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _globals(constant)


def _name(function: Any) -> str:
    return f"{getattr(function, '__module__', '?')}.{getattr(function, '__qualname__', function)}"
