"""The state of the random numbers that a training draws without a generator of its own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor


def random_state(device: torch.device) -> list[Tensor]:
    """Give the state of the random numbers of the CPU and of a device, without waiting for it."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_random_state(states: Sequence[Tensor], device: torch.device) -> None:
    """Take back what `random_state` gave."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)


@contextmanager
def drawing_again(states: Sequence[Tensor], device: torch.device) -> Iterator[None]:
    """Draw what was drawn from given states on; afterwards numbers go on where they are now."""
    now = random_state(device)
    set_random_state(states, device)
    try:
        yield
    finally:
        set_random_state(now, device)
