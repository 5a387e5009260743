"""Label smoothing: mix each one-hot target with the uniform distribution."""

from functools import partial

import torch.nn.functional as F
from torch import Tensor

from paretosearch.axis import Real
from paretosearch.method import Method
from paretosearch.run import Loss


def smoothed(logits: Tensor, labels: Tensor, loss: Loss, alpha: float) -> Tensor:
    """Mix a loss with the cross entropy to the uniform distribution, ``alpha`` of which is in the mean.

    For cross entropy this is the cross entropy to ``(1 - alpha) * one_hot + alpha / classes``.

    Args:
        logits: Outputs of the network (N, K).
        labels: Classes (N,).
        loss: The loss to smooth.
        alpha: Mass given to the uniform distribution, in [0, 1).

    Returns:
        The mean loss, a scalar.
    """
    to_uniform = -F.log_softmax(logits, dim=1).mean()
    return (1 - alpha) * loss(logits, labels) + alpha * to_uniform


class LabelSmoothing(Method):
    """Replace targets by ``(1 - alpha) * one_hot + alpha / classes``.

    Paper: Szegedy et al. 2016, arXiv:1512.00567, section 7.

    Args:
        alpha: Mass given to the uniform distribution; 0 is off.
    """

    name = "label_smoothing"
    summary = "targets mixed with the uniform distribution"
    paper = "Szegedy et al. 2016, arXiv:1512.00567, section 7"
    space = {"alpha": Real(0.0, 0.3, default=0.0)}
    switch = "alpha"
    off = 0.0

    alpha: float

    def edit_loss(self, loss: Loss) -> Loss:
        return partial(smoothed, loss=loss, alpha=self.alpha) if self.alpha else loss
