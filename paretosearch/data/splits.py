"""Which image belongs to which split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray

from paretosearch.data.imageset import Split
from paretosearch.errors import RecipeError

#: Seed of every division; a constant, so that all studies on a data set are judged by the same images.
SEED = 20_240_229
#: Part of the training images that becomes the validation split.
VALIDATION_SHARE = 0.1
#: Part of the images that becomes the test split where a folder brings none.
TEST_SHARE = 0.1


def divide(labels: NDArray[np.int64], shares: Sequence[float]) -> list[NDArray[np.int64]]:
    """Take stratified parts out of a set of images.

    Args:
        labels: Class of each image (N,).
        shares: Size of each part to take, as a share of every class; a part gets at least one image of each class.

    Returns:
        The sorted indices of each part, then those of the rest.

    Raises:
        ValueError: If a class has too few images to give one to every part.
    """
    random = np.random.RandomState(SEED)  # its stream is promised never to change, unlike that of default_rng
    parts: list[list[NDArray[np.int64]]] = [[] for _ in range(len(shares) + 1)]
    for label in np.unique(labels):
        members = random.permutation(np.flatnonzero(labels == label))
        counts = [max(1, int(share * len(members) + 0.5)) for share in shares]
        if sum(counts) >= len(members):
            raise ValueError(f"class {label} has {len(members)} images for {len(parts)} splits")
        for part, taken in zip(parts, np.split(members, np.cumsum(counts)), strict=True):
            part.append(taken)
    return [np.sort(np.concatenate(part)) for part in parts]


@lru_cache(maxsize=2)  # trials of a study take the same images again and again
def subset(split: Split, n: int, seed: int, share: float = 1.0) -> Split:
    """Take the first n images, or a share of them, of a seeded order in which the classes take turns.

    A smaller subset of the same seed is part of every larger one.

    Args:
        split: Where to take from.
        n: How many images; 0 is all.
        seed: Seed of the order.
        share: How much of those, above 0 and up to 1.

    Returns:
        A copy of those images, or ``split`` itself.

    Raises:
        RecipeError: If the split has fewer than n images.
    """
    if n > len(split):
        raise RecipeError(f"train_images = {n} is more than there are; choose at most {len(split)}, or 0 for all")
    taken = used(len(split), n, share)
    if taken == len(split):
        return split
    chosen = torch.from_numpy(_taking_turns(split.labels.numpy(), seed)[:taken])
    return Split(split.images[chosen], split.labels[chosen])


def used(images: int, n: int, share: float) -> int:
    """Count the images of a split that a training uses: a share of n of them, and at least one; n = 0 is all."""
    return max(1, int(share * (n or images) + 0.5))


def _taking_turns(labels: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    lot = np.random.RandomState(seed).random_sample(len(labels))
    by_class = np.lexsort((lot, labels))
    start = np.searchsorted(labels[by_class], labels[by_class])  # where the class of each image begins
    turn = np.arange(len(labels)) - start
    return by_class[np.lexsort((lot[by_class], turn))]
