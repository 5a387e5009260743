"""The constant learning rate after a warm-up."""

from torch import Tensor

from paretosearch.axis import Real
from paretosearch.method import Method, Slot
from paretosearch.run import Run


class Constant(Method):
    """Raise the learning rate linearly to its peak, where it stays.

    Args:
        warmup: Share of the training's steps before the peak.
    """

    name = "constant"
    summary = "learning rate linearly up, then constant"
    slot = Slot.SCHEDULE
    space = {"warmup": Real(0.0, 0.5, default=0.2)}

    warmup: float

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        run.learning_rate = run.recipe.peak_learning_rate * warmed_up(run.mid_step_progress, self.warmup)
        return x, y


def warmed_up(progress: float, warmup: float) -> float:
    """Give the factor on the peak at a share of the training that is done, in (0, 1)."""
    return progress / warmup if progress < warmup else 1.0
