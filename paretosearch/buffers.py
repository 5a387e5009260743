"""What a network notes in its forward passes, such as the statistics of batch norm, kept as it is for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Let forward passes happen that leave no trace in a network's buffers; may be recorded.

    Args:
        model: The network; its mode stays, so that in training a batch is normalised by its own statistics.
    """
    saved = [(buffer, buffer.detach().clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in saved:
                buffer.copy_(before)
