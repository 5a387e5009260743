"""A data set and a network of one's own, which study files then know by name."""

import numpy as np
from torch import nn

from paretosearch.data import Arrays
from paretosearch.method import Pool
from paretosearch.nets import NetSpec

CLASSES = ("level", "upright", "rising", "falling")
SIZE = 16


def bars() -> Arrays:
    """Draw noisy bars in four directions; yours reads files instead, and is called once, not in every training."""
    random = np.random.default_rng(0)
    row, column = np.mgrid[:SIZE, :SIZE]
    labels = np.arange(2000) % len(CLASSES)
    along = np.stack([row, column, row + column, row - column])[labels]  # (N, H, H)
    wave = np.sin(0.8 * along + random.uniform(0, 6, (len(labels), 1, 1)))
    grey = 128 + 50 * wave + random.normal(0, 120, wave.shape)
    images = grey.clip(0, 255).astype(np.uint8)[..., None]  # (N, H, H, 1); 3 channels for colour
    return Arrays(CLASSES, images, labels, flip=False)  # mirrored, what rises falls


def tiny(spec: NetSpec) -> nn.Module:
    """Make two convolutions with a place between them that the pooling methods may fill."""
    narrow, broad = spec.scaled(8), spec.scaled(16)
    return nn.Sequential(
        nn.Conv2d(spec.channels, narrow, 3, padding=1, bias=False),
        nn.BatchNorm2d(narrow),
        nn.ReLU(),
        Pool(native=nn.MaxPool2d(2)),
        nn.Conv2d(narrow, broad, 3, padding=1, bias=False),
        nn.BatchNorm2d(broad),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(broad, spec.classes),
    )
