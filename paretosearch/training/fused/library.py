"""The kernels of batch norm with ReLU."""

from __future__ import annotations

import ctypes
from functools import lru_cache
from importlib.resources import files

from paretosearch.training import native

_P, _N, _F = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_float

#: Arguments of every function; the first four are there for each type of number.
_TYPED = {
    "sums": (_P, _N, _N, _N, _P, _P),
    "apply": (_P, _P, _P, _N, _N, _N, _P, _P),
    "grad_sums": (_P, _P, _P, _N, _N, _N, _P, _P),
    "grad_apply": (_P, _P, _P, _P, _P, _N, _N, _N, _P, _P, _P, _P),
}
_UNTYPED = {
    "statistics": (_P, _N, _N, _N, _N, _P, _P, _F, _F, _P, _P, _P, _P, _P, _P),
    "grad_statistics": (_P, _N, _N, _N, _N, _P, _P, _P, _P, _P, _P),
}


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL | str:
    """Load the kernels; gives why there are none, in one line, where they cannot be built."""
    typed = {f"{name}_{kind}": types for name, types in _TYPED.items() for kind in ("float", "bf16")}
    return native.load(files(__package__).joinpath("kernels.c"), {**typed, **_UNTYPED})
