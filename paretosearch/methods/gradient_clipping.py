"""Gradient clipping: no step's gradient is longer than a given norm."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from paretosearch.axis import Real
from paretosearch.method import Method
from paretosearch.run import Run

#: Keeps a gradient of nothing but zeros from being divided by zero, as `torch.nn.utils.clip_grad_norm_` does.
SMALLEST_NORM = 1e-6


@torch.no_grad()
def clip(gradients: Sequence[Tensor], norm: float) -> Tensor:
    """Shorten gradients, taken together as one vector, to a norm; those that are shorter stay as they are.

    Nothing waits for the device. Squares are added up in fp32 whatever the gradients' own type, since those of fp16
    overflow from a norm of 256 on.

    Args:
        gradients: Gradients of any shapes, changed in place.
        norm: Largest Euclidean norm, above 0.

    Returns:
        The norm before, a scalar on the device. Where it is infinite finite gradients become 0 and infinite ones no
        number.
    """
    if not gradients:
        return torch.zeros(())
    norms = torch._foreach_norm(list(gradients), 2, dtype=torch.float32)
    total: Tensor = torch.linalg.vector_norm(torch.stack(norms))
    torch._foreach_mul_(list(gradients), (norm / (total + SMALLEST_NORM)).clamp(max=1.0))
    return total


class GradientClipping(Method):
    """Shorten the gradient of every step to a norm, over all parameters together.

    It sees the gradient without its loss scale, with what PruneTrain's ``subgradient`` form adds to it, and without
    weight decay, which is the optimizer's. A gradient that is not finite still skips the step of a scaled format: that
    was decided before. Steps that other Methods make of their own are not clipped.

    Paper: Pascanu et al. 2013, arXiv:1211.5063, section 3.2. The code of Hoffer et al. 2017, arXiv:1705.08741, clips at
    5, for small batches as well as for large ones.

    Args:
        norm: Largest Euclidean norm of a step's gradient; 0 is off.
    """

    name = "gradient_clipping"
    summary = "gradients no longer than a given norm"
    paper = "Pascanu et al. 2013, arXiv:1211.5063, section 3.2"
    space = {"norm": Real(0.0, 1000.0, default=0.0)}
    switch = "norm"
    off = 0.0

    norm: float

    def after_backward(self, run: Run) -> None:
        """Shorten the gradient; a norm of 0 leaves it alone."""
        if self.norm:
            clip([p.grad for p in run.model.parameters() if p.grad is not None], self.norm)
