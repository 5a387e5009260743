"""The data sets that torchvision reads."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

#: SHA-256 of the unpacked files, since Debian packs the same bytes anew: checked against the MD5 sums of torchvision by
#: putting the name and time of the original back into each gzip header.
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}


@dataclass(frozen=True)
class Known:
    """A data set that torchvision reads.

    The files are checked by ``sha256`` where it is given, and by torchvision otherwise: CIFAR and SVHN whenever they
    are read, MNIST when it is downloaded.

    Args:
        name: Name as a study file writes it.
        reader: Name of the class in ``torchvision.datasets``.
        image_size: Edge of its images in pixels.
        flip: Whether a mirrored image is still of its class.
        selects: Argument of the class that picks a half, with its values for training and test.
        sha256: Sum of each file in ``raw``.
        debian_package: Package that brings the files to /usr/share/datasets.
    """

    name: str
    reader: str
    image_size: int
    flip: bool
    selects: tuple[str, Any, Any] = ("train", True, False)
    sha256: Mapping[str, str] = field(default_factory=dict)
    debian_package: str | None = None

    def raw(self, root: Path) -> Path:
        """Say where the MNISTs keep their files."""
        return root / self.reader / "raw"

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where torchvision looks for the first file."""
        kind = self._kind()
        if hasattr(kind, "mirrors"):
            return tuple(mirror + kind.resources[0][0] for mirror in kind.mirrors)
        return (kind.split_list["train"][0],) if hasattr(kind, "split_list") else (kind.url,)

    def check(self, root: Path) -> None:
        """Compare the files with their sums.

        Raises:
            ValueError: If a file is not what it should be.
        """
        for name, expected in self.sha256.items():
            with (self.raw(root) / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != expected:
                    raise ValueError(f"{name} is damaged or changed: its SHA-256 is wrong")

    def read(self, root: Path, half: Literal["train", "test"], download: bool = False) -> Half:
        """Read the images of one half.

        Args:
            root: Folder in the layout of torchvision.
            half: Which half.
            download: Whether torchvision may fetch what is missing.

        Returns:
            The images.

        Raises:
            Exception: Whatever torchvision raises when files are missing, damaged or not to be had.
        """
        argument, train, test = self.selects
        value = train if half == "train" else test
        data = self._kind()(root=str(root), download=download, **{argument: value})
        images = np.asarray(data.data)
        if images.ndim == 3:
            images = images[..., None]
        elif images.shape[1] == 3:
            images = images.transpose(0, 2, 3, 1)
        labels = np.asarray(getattr(data, "targets", None) if hasattr(data, "targets") else data.labels, np.int64)
        return Half(images, labels, tuple(getattr(data, "classes", map(str, range(10)))))

    def _kind(self) -> Any:
        from torchvision import datasets  # takes a second, which a process with cached arrays need not wait

        return getattr(datasets, self.reader)


@dataclass(frozen=True)
class Half:
    """Training or test half of a data set.

    Args:
        images: Pixels (N, H, W, C), uint8.
        labels: Class of each image (N,).
        classes: Name of each class.

    Raises:
        ValueError: If images, labels and classes do not belong together.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        if len(self.images) != len(self.labels):
            raise ValueError(f"{len(self.images)} images have {len(self.labels)} labels")
        if not len(self.labels) or self.labels.min() < 0 or self.labels.max() >= len(self.classes):
            raise ValueError(f"a label is not one of {len(self.classes)} classes")


KNOWN = {
    known.name: known
    for known in (
        Known(
            "fashion-mnist",
            "FashionMNIST",
            28,
            flip=True,
            sha256=FASHION_MNIST_SHA256,
            debian_package="dataset-fashion-mnist",
        ),
        Known("mnist", "MNIST", 28, flip=False),
        Known("cifar10", "CIFAR10", 32, flip=True),
        Known("cifar100", "CIFAR100", 32, flip=True),
        Known("svhn", "SVHN", 32, flip=False, selects=("split", "train", "test")),
    )
}
