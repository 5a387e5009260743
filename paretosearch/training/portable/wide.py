"""A trained network as other programs will run it: on a CPU, in fp32, in evaluation."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from paretosearch.data import Batches, ImageSet
from paretosearch.training.portable.errors import NotPortableError

#: Enough images to notice that two networks are not the same one.
EXAMPLES = 4


def wide(model: nn.Module) -> nn.Module:
    """Copy a network to the CPU with its weights in fp32, whatever they were kept in, for evaluation.

    Raises:
        NotPortableError: If it cannot be copied.
    """
    try:
        return copy.deepcopy(model).to("cpu", torch.float32).eval()
    except Exception as error:  # a network of somebody else may hold anything
        raise NotPortableError(f"the network cannot be copied ({type(error).__name__})") from None


def examples(images: ImageSet) -> Tensor:
    """Give some normalised images (N, C, H, W), float32, on the CPU."""
    batches = Batches.in_order(images.test, images, torch.device("cpu"), EXAMPLES)
    return batches.sample(EXAMPLES).contiguous()
