"""A trained network as other programs will run it: on a CPU, in fp32, in evaluation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from paretosearch.data import Batches, ImageSet
from paretosearch.ghost import GhostBatchNorm2d
from paretosearch.structure import StrengthConv2d
from paretosearch.training.portable.errors import NotPortableError
from paretosearch.weightnorm import WeightNormConv2d

#: Enough images to notice that two networks are not the same one.
EXAMPLES = 4

#: Layers that a process without this package could not make.
_OURS = (GhostBatchNorm2d, WeightNormConv2d, StrengthConv2d)


def plain(model: nn.Module) -> nn.Module:
    """Give a network of PyTorch's own layers that computes in evaluation what one with layers of ours does.

    Args:
        model: The network, which stays as it is.

    Returns:
        A copy whose weights have other names and values where they must; the network itself if it has no such layer.
    """
    if not any(isinstance(module, _OURS) for module in model.modules()):
        return model
    copied = copy.deepcopy(model)
    for name, module in list(copied.named_modules()):
        if isinstance(module, _OURS):
            copied.set_submodule(name, module.plain())
    return copied.train(model.training)


def wide(model: nn.Module) -> nn.Module:
    """Copy a network to the CPU with its weights in fp32, whatever they were kept in, for evaluation, and `plain`.

    Raises:
        NotPortableError: If it cannot be copied.
    """
    try:
        return copy.deepcopy(plain(model)).to("cpu", torch.float32).eval()
    except Exception as error:  # a network of somebody else may hold anything
        raise NotPortableError(f"the network cannot be copied ({type(error).__name__})") from None


def examples(images: ImageSet) -> Tensor:
    """Give some normalised images (N, C, H, W), float32, on the CPU."""
    batches = Batches.in_order(images.test, images, torch.device("cpu"), EXAMPLES)
    return batches.sample(EXAMPLES).contiguous()
