"""What the NVIDIA driver says of a GPU, without starting CUDA."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

T = TypeVar("T")


def ask(uuid: str, question: Callable[[Any, Any], T], otherwise: T) -> T:
    """Ask the driver something about a GPU.

    Args:
        uuid: Of the GPU.
        question: Called with the module ``pynvml`` and its handle of the GPU.
        otherwise: The answer where there is no driver, or it does not know.
    """
    import pynvml

    try:
        _start()
        return question(pynvml, pynvml.nvmlDeviceGetHandleByUUID(uuid))
    except pynvml.NVMLError:
        return otherwise


@lru_cache(maxsize=1)
def _start() -> None:
    import pynvml

    pynvml.nvmlInit()
