"""Finds out which sizes of images suit a network."""

from __future__ import annotations

from math import prod

from torch import Tensor, nn

from paretosearch.geometry import pair
from paretosearch.method import Pool
from paretosearch.resolution import resized
from paretosearch.training.surgery.tracing import suited, undisturbed


def total_stride(model: nn.Module, images: Tensor) -> int:
    """Multiply the strides that an image meets on its way, those of layers side by side once.

    Args:
        model: The network; it stays as it was.
        images: A few images (N, C, H, W).

    Returns:
        Pixels of an image for each one of the smallest maps, those behind global pooling left out; 1 where no layer
        has a stride. What a network does outside of layers is not seen.
    """
    return prod(stride for stride, _ in _shrinking(model, images).values())


def smallest_map(model: nn.Module, images: Tensor) -> int:
    """Give the edge of the smallest maps of a network, those behind global pooling left out.

    Args:
        model: The network; it stays as it was.
        images: A few images (N, C, H, W).
    """
    return min((edge for stride, edge in _shrinking(model, images).values() if stride > 1), default=images.shape[-1])


def _shrinking(model: nn.Module, images: Tensor) -> dict[int, tuple[int, int]]:
    """Give the largest stride of what makes maps smaller, and the edge behind it, by the edge before it."""
    found: dict[int, tuple[int, int]] = {}

    def note(module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
        if not inputs or not all(isinstance(t, Tensor) and t.ndim == 4 for t in (inputs[0], output)):
            return
        before, after = inputs[0].shape[-1], output.shape[-1]  # type: ignore[attr-defined]  # both are tensors
        if after < before:
            found[before] = max((_stride(module), after), found.get(before, (1, after)))

    handles = [module.register_forward_hook(note) for module in model.modules()]
    try:
        with undisturbed(model, training=False):
            model(suited(images[:2], model))
    finally:
        for handle in handles:
            handle.remove()
    return found


def _stride(module: nn.Module) -> int:
    """Give the stride that a module says it has; a place to pool halves the map whatever fills it."""
    if isinstance(module, Pool):
        return 2
    said = getattr(module, "stride", 1)
    return pair(said)[1] if isinstance(said, int | tuple) else 1


def takes(model: nn.Module, images: Tensor, edge: int) -> bool:
    """Whether a network can work on images of another size.

    Args:
        model: The network; it stays as it was.
        images: A few images (N, C, H, H).
        edge: The other H.
    """
    try:
        with undisturbed(model, training=False):
            model(suited(resized(images[:2].float(), edge), model))
    except MemoryError:
        raise
    except Exception:  # a network of a package may raise anything
        return False
    return True
