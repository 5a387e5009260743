"""Batches of images, augmented on the device that trains."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from paretosearch.data.imageset import ImageSet, Split
from paretosearch.data.pixels import pixels_of
from paretosearch.errors import RecipeError

#: Added to a seed for who is mirrored first: from the seed itself the order of the images is drawn.
MIRRORING = 2**32

# Shapes: N images, B of a batch, C channels, H edge of an image, P pixels of padding.


class Batches:
    """The batches of one epoch, again and again.

    The images stay on the device as bytes, if there is room for them. Each pass draws a new order, and with ``augment``
    a window of the padded image (He et al. 2016, arXiv:1512.03385, section 4.2, with reflected borders) and a
    mirroring, for all images at once; a step then needs no draw and waits for nothing.

    With ``alternate`` the mirroring is drawn once for each image, and changes in every epoch: any two epochs in a row
    see both views of every image that is in both of them (Jordan 2024, arXiv:2404.00498, and the code of airbench). It
    depends on the seed and the epoch alone, so that a training that is continued does as one that was never stopped.
    Order and windows are those that there are without it.

    Args:
        split: The images.
        imageset: The data set, for its mean, its deviation and whether images may be mirrored.
        device: Where to keep and augment the images.
        batch_size: Images per batch.
        augment: Cut and mirror at random.
        generator: Source of all randomness, on the CPU; None gives the images in their order.
        drop_last: Leave out a last batch that is smaller.
        alternate: Seed of who is mirrored first; None draws who is mirrored in every pass.

    Attributes:
        batch_size: Images per batch.
        epoch: Epochs done, for whoever alternates.

    Yields:
        Images (B, C, H, W), float32, channels last, normalised by channel; labels (B,), int64; both on the device.

    Raises:
        RecipeError: If ``drop_last`` would leave out everything.
    """

    def __init__(
        self,
        split: Split,
        imageset: ImageSet,
        device: torch.device,
        batch_size: int,
        augment: bool,
        generator: torch.Generator | None,
        drop_last: bool = True,
        alternate: int | None = None,
    ) -> None:
        if drop_last and batch_size > len(split):
            raise RecipeError(
                f"batch_size = {batch_size} is more than there are images to train on; choose at most {len(split)}"
            )
        assert generator is not None or not augment
        self._generator = generator
        self.batch_size, self.epoch = batch_size, 0
        self._drop_last = drop_last
        self._first = None if alternate is None else _drawn_once(len(split), alternate)
        self._labels = split.labels.to(device)
        self._edge = split.images.shape[2]
        self._pad = int(self._edge / 8 + 0.5) if augment else 0
        self._flip = augment and imageset.flip
        self._pixels = pixels_of(split, self._pad, device)
        self._scale, self._shift = (row.to(device) for row in _affine(imageset, self._edge))

    @classmethod
    def in_order(cls, split: Split, imageset: ImageSet, device: torch.device, batch_size: int) -> Batches:
        """Give every image once, in order and as it is, for an evaluation."""
        return cls(split, imageset, device, batch_size, augment=False, generator=None, drop_last=False)

    def __len__(self) -> int:
        whole, rest = divmod(len(self._labels), self.batch_size)
        return whole + (rest > 0 and not self._drop_last)

    def resize(self, batch_size: int) -> None:
        """Give batches of another size from the next pass on; there must be that many images."""
        assert batch_size <= len(self._labels) or not self._drop_last
        self.batch_size = batch_size

    def sample(self, count: int) -> Tensor:
        """Give the first ``count`` images (B, C, H, W) as they are, whatever is drawn otherwise; fewer if there are."""
        end = self._pad + self._edge
        return self._normalised(self._pixels.first(count)[:, self._pad : end, self._pad : end])

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return self._drawn() if self._generator is not None else self._ordered()

    def _ordered(self) -> Iterator[tuple[Tensor, Tensor]]:
        order = torch.arange(len(self._labels))
        for (images, index), batch in zip(self._pixels.take(self._split_up(order)), self._slices(), strict=True):
            yield self._normalised(images[index]), self._labels[batch]

    def _drawn(self) -> Iterator[tuple[Tensor, Tensor]]:
        order, top, left, mirrored = self._draw()
        labels = self._labels[order.to(self._labels.device)]
        for (images, index), batch in zip(self._pixels.take(self._split_up(order)), self._slices(), strict=True):
            cut = gather(images, self._edge, index, top[batch], left[batch])
            if self._flip:
                cut = mirror(cut, mirrored[batch])
            yield self._normalised(cut), labels[batch]

    def _slices(self) -> Iterator[slice]:
        starts = range(0, len(self) * self.batch_size, self.batch_size)
        return (slice(start, start + self.batch_size) for start in starts)

    def _split_up(self, order: Tensor) -> Iterator[Tensor]:
        return (order[batch] for batch in self._slices())

    def _draw(self) -> tuple[Tensor, ...]:
        n, device = len(self._labels), self._labels.device
        order = torch.randperm(n, generator=self._generator)
        corners = torch.randint(0, 2 * self._pad + 1, (2, n), generator=self._generator)
        mirrored = torch.rand(n, generator=self._generator) < 0.5
        if self._first is not None:
            mirrored = self._first[order] ^ bool(self.epoch % 2)
        return order, *corners.to(device), mirrored.to(device)

    def _normalised(self, images: Tensor) -> Tensor:
        rows = images.reshape(len(images), -1).float()
        torch.addcmul(self._shift, rows, self._scale, out=rows)
        return rows.view(images.shape).permute(0, 3, 1, 2)


def _drawn_once(count: int, seed: int) -> Tensor:
    """Draw which images are mirrored in the first epoch (count,), bool."""
    return torch.rand(count, generator=torch.Generator().manual_seed(MIRRORING + seed)) < 0.5


def gather(images: Tensor, edge: int, image: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Cut one window out of each image of a batch.

    Args:
        images: Padded images (N, H + 2P, H + 2P, C).
        edge: Edge of a window, H.
        image: Which image (B,).
        top: Row of the window's corner (B,).
        left: Column of the window's corner (B,).

    Returns:
        Pixels (B, H, H, C), contiguous.
    """
    windows = images.unfold(1, edge, 1).unfold(2, edge, 1).permute(0, 1, 2, 4, 5, 3)
    if windows.device.type != "cpu":
        return windows[image, top, left]
    # NumPy copies whole rows where the kernel of torch copies byte by byte: 0.5 against 1.4 us for 28x28x1, 0.9 against
    # 3.6 us for 32x32x3, on one core of an AMD EPYC with torch 2.14.
    return torch.from_numpy(windows.numpy()[image.numpy(), top.numpy(), left.numpy()])


def mirror(images: Tensor, chosen: Tensor) -> Tensor:
    """Mirror some images of a batch from left to right; may write to ``images``.

    Args:
        images: Pixels (B, H, H, C).
        chosen: Which ones (B,), bool.

    Returns:
        Pixels (B, H, H, C).
    """
    if images.device.type != "cpu":  # a selection would have to wait for the device to say how many there are
        return torch.where(chosen.view(-1, 1, 1, 1), images.flip(2), images)
    pixels, which = images.numpy(), chosen.numpy()
    pixels[which] = torch.from_numpy(pixels[which]).flip(2).numpy()
    return images


def _affine(imageset: ImageSet, edge: int) -> tuple[Tensor, Tensor]:
    """Give scale and shift of every byte of an image, since broadcasting three channels is five times slower."""
    mean, std = (torch.tensor(values, dtype=torch.float64) for values in (imageset.mean, imageset.std))
    return tuple((row.repeat(edge * edge)).float() for row in (1 / (255 * std), -mean / std))  # type: ignore[return-value]
