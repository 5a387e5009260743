"""The data sets that torchvision reads."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from paretosearch.data.archives import check_sha256, take
from paretosearch.data.pickles import check_pickle

#: SHA-256 of the unpacked files, since Debian packs the same bytes anew: checked against the MD5 sums of torchvision by
#: putting the name and time of the original back into each gzip header.
FASHION_MNIST_SHA256 = {
    "train-images-idx3-ubyte": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    "train-labels-idx1-ubyte": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    "t10k-images-idx3-ubyte": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    "t10k-labels-idx1-ubyte": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
}

#: Of these, other projects publish the same sums beside the MD5 sums that torchvision has.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
CIFAR10_SHA256 = {
    "data_batch_1": "54636561a3ce25bd3e19253c6b0d8538147b0ae398331ac4a2d86c6d987368cd",
    "data_batch_2": "766b2cef9fbc745cf056b3152224f7cf77163b330ea9a15f9392beb8b89bc5a8",
    "data_batch_3": "0f00d98ebfb30b3ec0ad19f9756dc2630b89003e10525f5e148445e82aa6a1f9",
    "data_batch_4": "3f7bb240661948b8f4d53e36ec720d8306f5668bd0071dcb4e6c947f78e9682b",
    "data_batch_5": "d91802434d8376bbaeeadf58a737e3a1b12ac839077e931237e0dcd43adcb154",
    "test_batch": "f53d8d457504f7cff4ea9e021afcf0e0ad8e24a91f3fc42091b8adef61157831",
    "batches.meta": "f962466ef690d46b226450fb9aadc74ba4bc64a76aa526b5827fe4bc5c7125cb",
}
SVHN_SHA256 = {
    "train_32x32.mat": "435e94d69a87fde4fd4d7f3dd208dfc32cb6ae8af2240d066de1df7508d083b8",
    "test_32x32.mat": "cdce80dfb2a2c4c6160906d0bd7c68ec5a99d7ca4831afa54f09182025b6a75b",
}

#: SHA-256 of the archives that hold pickled files.
ARCHIVE_SHA256 = {
    "cifar10": "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "cifar100": "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
}


@dataclass(frozen=True)
class Known:
    """A data set that torchvision reads.

    The files are compared with ``sha256`` whenever they are read, and those of CIFAR-100, whose archive alone has a sum
    that is published, by torchvision with MD5 sums.

    Args:
        name: Name as a study file writes it.
        reader: Name of the class in ``torchvision.datasets``.
        image_size: Edge of its images in pixels.
        flip: Whether a mirrored image is still of its class.
        selects: Argument of the class that picks a half, with its values for training and test.
        sha256: Sum of each file in ``folder``.
        debian_package: Package that brings the files to /usr/share/datasets.
    """

    name: str
    reader: str
    image_size: int
    flip: bool
    selects: tuple[str, Any, Any] = ("train", True, False)
    sha256: Mapping[str, str] = field(default_factory=dict)
    debian_package: str | None = None

    def folder(self, root: Path) -> Path:
        """Say where torchvision keeps the files of the set."""
        kind = self._kind()
        return root / self.reader / "raw" if hasattr(kind, "mirrors") else root / getattr(kind, "base_folder", "")

    @property
    def digest(self) -> str:
        """Name of its content, which the sums of its files are."""
        sums = sorted(self.sha256.items()) or ARCHIVE_SHA256[self.name]
        return hashlib.sha256(json.dumps(sums).encode()).hexdigest()

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
            check_sha256(self.folder(root) / name, expected)
        for name in self._pickled():
            check_pickle(self.folder(root) / name)

    def download(self, root: Path) -> None:
        """Let torchvision fetch the files; what is in an archive of pickled files we take out ourselves.

        Raises:
            Exception: Whatever torchvision raises when files are damaged or not to be had.
            ValueError: If an archive is not what it should be.
        """
        pickled = self._pickled()
        if not pickled:
            self.read(root, "train", download=True)
            self.read(root, "test", download=True)
            return
        from torchvision.datasets.utils import download_url

        kind = self._kind()
        download_url(kind.url, str(root), kind.filename, kind.tgz_md5)
        check_sha256(root / kind.filename, ARCHIVE_SHA256[self.name])
        take(root / kind.filename, [f"{kind.base_folder}/{name}" for name in pickled], self.folder(root))

    def _pickled(self) -> tuple[str, ...]:
        """Name the files that torchvision will unpickle, which runs what they say."""
        kind = self._kind()
        if not hasattr(kind, "base_folder"):
            return ()
        return (*(name for name, _ in kind.train_list + kind.test_list), kind.meta["filename"])

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
        Known("mnist", "MNIST", 28, flip=False, sha256=MNIST_SHA256),
        Known("cifar10", "CIFAR10", 32, flip=True, sha256=CIFAR10_SHA256),
        Known("cifar100", "CIFAR100", 32, flip=True),
        Known("svhn", "SVHN", 32, flip=False, selects=("split", "train", "test"), sha256=SVHN_SHA256),
    )
}
