"""The one-cycle learning rate: linearly up to the peak, then linearly down to zero."""

from torch import Tensor

from paretosearch.axis import Real
from paretosearch.method import Method, Slot
from paretosearch.run import Run


class OneCycle(Method):
    """Raise the learning rate linearly to its peak, then lower it linearly to zero.

    The two straight lines are those of the fast CIFAR-10 recipes (cifar10-fast, airbench), which peak after a fifth to
    a quarter of the steps; the paper has a last phase far below the first rate instead.

    Paper: Smith & Topin 2017, arXiv:1708.07120.

    Args:
        warmup: Share of the training's steps before the peak.
    """

    name = "one_cycle"
    summary = "learning rate linearly up, then down to zero"
    paper = "Smith & Topin 2017, arXiv:1708.07120"
    slot = Slot.SCHEDULE
    space = {"warmup": Real(0.0, 0.5, default=0.2)}

    warmup: float

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        run.learning_rate = run.recipe.peak_learning_rate * one_cycle(run.mid_step_progress, self.warmup)
        return x, y


def one_cycle(progress: float, warmup: float) -> float:
    """Give the factor on the peak at a share of the training that is done, in (0, 1)."""
    return progress / warmup if progress < warmup else (1 - progress) / (1 - warmup)
