"""Where the bytes of the training images are while they are trained on."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Protocol

import numpy as np
import psutil
import torch
from torch import Tensor

from paretosearch.data.imageset import Split

# Shapes: N images, B of a batch, C channels, H edge of an image, P pixels of padding.

#: Images that are padded at once, to bound what is copied to the device beside the images.
PADDED_AT_ONCE = 4096

#: Share of the memory that is free on a device which images may take; a network in training wants the rest.
MOST_OF_MEMORY = 0.5


class Pixels(Protocol):
    """The images of a split with their borders reflected outwards."""

    def first(self, count: int) -> Tensor:
        """Give the first images (count, H + 2P, H + 2P, C), uint8, on the device."""

    def take(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For every batch of indices (B,), on the CPU, give padded images and which of these are the batch's (B,)."""


class Resident:
    """Images that are on the device, all of them.

    Args:
        images: Pixels (N, H + 2P, H + 2P, C), uint8.
    """

    def __init__(self, images: Tensor) -> None:
        self._images = images

    def first(self, count: int) -> Tensor:
        return self._images[:count]

    def take(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for index in batches:
            yield self._images, index.to(self._images.device, non_blocking=True)


class Streamed:
    """Images that stay in the file they are mapped from, and of which each batch comes to the device in time.

    A thread reads one batch ahead, so that a step waits for no disk that is fast enough.

    Args:
        images: Pixels (N, H, H, C), uint8, in the memory of the host.
        pad: Pixels on each side, P, less than H.
        device: Where to.
    """

    def __init__(self, images: Tensor, pad: int, device: torch.device) -> None:
        self._images, self._pad, self._device = images, pad, device

    def first(self, count: int) -> Tensor:
        return padded(self._images[:count], self._pad, self._device)

    def take(self, batches: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        with ThreadPoolExecutor(1) as reader:
            coming = None
            for index in batches:
                coming, ready = reader.submit(self._read, index), coming
                if ready is not None:
                    yield self._arrived(ready.result())
            if coming is not None:
                yield self._arrived(coming.result())

    def _read(self, index: Tensor) -> Tensor:
        read = torch.from_numpy(np.take(self._images.numpy(), index.numpy(), axis=0))
        return read.pin_memory() if self._device.type == "cuda" else read

    def _arrived(self, images: Tensor) -> tuple[Tensor, Tensor]:
        here = images.to(self._device, non_blocking=True)
        return padded(here, self._pad, self._device), torch.arange(len(here), device=self._device)


def pixels_of(split: Split, pad: int, device: torch.device) -> Pixels:
    """Put images where training from them is fastest: on the device if there is room, else in their file.

    Args:
        split: The images.
        pad: Pixels on each side, P.
        device: Where they are wanted.
    """
    images = split.images.permute(0, 2, 3, 1)
    if not pad and device.type == "cpu":
        return Resident(images.contiguous())
    kept = _kept(split, pad, device)
    return Streamed(images, pad, device) if kept is None else Resident(kept)


@lru_cache(maxsize=2)
def _kept(split: Split, pad: int, device: torch.device) -> Tensor | None:
    """Pad a split once for all trainings of a process: one of many short trainings should not wait for it.

    That there is no room, which gives None, is remembered as well: equal trainings must not differ in where images are.
    """
    n, channels, edge, _ = split.images.shape
    if n * (edge + 2 * pad) ** 2 * channels > MOST_OF_MEMORY * _free(device):
        return None
    return padded(split.images.permute(0, 2, 3, 1), pad, device)


def _free(device: torch.device) -> float:
    """Give the bytes that are free; of the host's, the part of a process that is one of many, by its share of cores."""
    if device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    every = psutil.cpu_count() or 1
    mine = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else every
    return float(psutil.virtual_memory().available) * min(1.0, mine / every)


def padded(images: Tensor, pad: int, device: torch.device) -> Tensor:
    """Copy images to a device with their borders reflected outwards.

    Args:
        images: Pixels (N, H, H, C), uint8.
        pad: Pixels on each side, P, less than H.
        device: Where to.

    Returns:
        Pixels (N, H + 2P, H + 2P, C); ``images`` itself where nothing changes.
    """
    if not pad:
        return images.contiguous().to(device)
    n, edge, _, channels = images.shape
    out = torch.empty(n, edge + 2 * pad, edge + 2 * pad, channels, dtype=images.dtype, device=device)
    for start in range(0, n, PADDED_AT_ONCE):
        part = out[start : start + PADDED_AT_ONCE]
        middle = part[:, pad:-pad]
        middle[:, :, pad:-pad] = images[start : start + PADDED_AT_ONCE].to(device)
        middle[:, :, :pad] = middle[:, :, pad + 1 : 2 * pad + 1].flip(2)
        middle[:, :, -pad:] = middle[:, :, -2 * pad - 1 : -pad - 1].flip(2)
        part[:, :pad] = part[:, pad + 1 : 2 * pad + 1].flip(1)
        part[:, -pad:] = part[:, -2 * pad - 1 : -pad - 1].flip(1)
    return out
