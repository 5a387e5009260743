"""Small image sets that a network can learn in a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from paretosearch.data import ImageSet, Split


def stripes(label: int, count: int, size: int, seed: int) -> npt.NDArray[np.uint8]:
    """Draw noisy stripes whose direction and distance say the class.

    Args:
        label: Class, from 0.
        count: Number of images.
        size: Edge in pixels.
        seed: Seed of noise and phase.

    Returns:
        Images (N, H, W), uint8.
    """
    random = np.random.default_rng([label, seed])
    row, column = np.mgrid[:size, :size]
    along = row if label % 2 else column
    phase = random.uniform(0, 2 * np.pi, (count, 1, 1))
    wave = np.sin(along[None] * (0.6 + 0.5 * (label // 2)) + phase)
    noisy = 128 + 60 * wave + random.normal(0, 25, (count, size, size))
    pixels: npt.NDArray[np.uint8] = noisy.clip(0, 255).astype(np.uint8)
    return pixels


def image_set(classes: int = 4, per_class: int = 64, size: int = 12, seed: int = 0) -> ImageSet:
    """Make a grey image set in memory, with a quarter as many images for validation and for test."""
    train, validation, test = (_split(classes, n, size, seed + i) for i, n in enumerate((per_class, 16, 16)))
    names = tuple(f"class {k}" for k in range(classes))
    return ImageSet("stripes", names, train, validation, test, mean=(0.5,), std=(0.25,), flip=False)


def _split(classes: int, per_class: int, size: int, seed: int) -> Split:
    images = np.concatenate([stripes(k, per_class, size, seed) for k in range(classes)])
    labels = torch.arange(classes).repeat_interleave(per_class)
    return Split(torch.from_numpy(images)[:, None].contiguous(), labels)


def image_folder(root: Path, classes: int = 3, per_class: int = 40, size: int = 16) -> Path:
    """Write an image set as a folder of PNG files in class sub-folders; gives the folder."""
    for label in range(classes):
        folder = root / f"class-{label}"
        folder.mkdir(parents=True)
        for index, pixels in enumerate(stripes(label, per_class, size, seed=0)):
            Image.fromarray(pixels).save(folder / f"{index:04d}.png")
    return root
