"""Changes the size of kernels, for images of another size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paretosearch.channels import Kind, Shadow
from paretosearch.errors import SurgeryError
from paretosearch.geometry import pair
from paretosearch.kernels import padding_for, scaled
from paretosearch.training.reestimate import estimating, norms_of
from paretosearch.training.surgery.edits import Edits
from paretosearch.training.surgery.remap import state_of
from paretosearch.training.surgery.tracing import computing_as_stored, suited


def rescale_kernels(
    model: nn.Module,
    sizes: Mapping[str, int],
    images: Tensor,
    optimizer: Optimizer | None = None,
    shadows: Iterable[Shadow] = (),
) -> None:
    """Give kernels of convolutions another edge by `scaled`, with the padding that leaves the size of their maps.

    For an image that is larger by as much as the kernels are, the maps are those of before, larger; for one of the same
    size they are others. Parameters stay the same objects, momentum and other state of gradients begins at zero, and
    averages of weights are scaled as the weights are. Batch norm takes its running statistics anew, from ``images``. If
    anything does not fit, nothing is changed.

    Paper: Porto Buarque de Gusmao et al. 2016, arXiv:1610.03623; see `scaled`.

    Args:
        model: The network.
        sizes: New edge by the qualified name of the convolution.
        images: Training images (N, C, H, W) of the size to come, best a batch of them.
        optimizer: Its optimizer.
        shadows: Other state by parameter.

    Raises:
        SurgeryError: If there is no such convolution, its kernel is not square, or its padding would become negative.
    """
    edits, shadows = Edits(), tuple(shadows)
    for name, edge in sizes.items():
        conv = _convolution(model, name, edge)
        shape = (*conv.weight.shape[:2], edge, edge)
        edits.replace(conv.weight, scaled(conv.weight, edge), shape, f"{name}.weight")
        for kind, state in state_of(conv.weight, f"{name}.weight", edits, optimizer, shadows):
            edits.replace(state, _rescaled_state(state, kind, edge), shape, f"state of {name}.weight")
        edits.set(conv, "kernel_size", (edge, edge))
        edits.set(conv, "padding", padding_for(conv, edge))
    edits.commit()
    _settle_norms(model, images)


def _convolution(model: nn.Module, name: str, edge: int) -> nn.Conv2d:
    conv = dict(model.named_modules()).get(name)
    if not isinstance(conv, nn.Conv2d):
        raise SurgeryError(f"the network has no convolution {name!r}; nothing was changed")
    before = conv.kernel_size[0]
    is_square = conv.kernel_size == (before, before) and pair(conv.dilation) == (1, 1)
    if not is_square or conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        raise SurgeryError(f"the kernel of {name!r} is not square, plain and padded by zeros; nothing was changed")
    if edge < 1 or (edge - before) % 2 or min(padding_for(conv, edge)) < 0:
        raise SurgeryError(
            f"the kernel of {name!r} has the edge {before} and the padding {conv.padding}, so that {edge} is no edge "
            "for it; nothing was changed"
        )
    return conv


def _rescaled_state(state: Tensor, kind: Kind, edge: int) -> Tensor:
    # A momentum points to where the small kernel was going, on images of another size.
    return scaled(state, edge) if kind == "weight" else torch.zeros_like(scaled(state, edge))


@torch.no_grad()
def _settle_norms(model: nn.Module, images: Tensor) -> None:
    norms, modes = norms_of(model), {module: module.training for module in model.modules()}
    if not norms:
        return
    model.eval()
    with estimating(norms), computing_as_stored(model):
        model(suited(images, model))
    for module, mode in modes.items():
        module.training = mode
