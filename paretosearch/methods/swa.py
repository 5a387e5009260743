"""Stochastic weight averaging: the mean of the weights that a constant learning rate passes through."""

from __future__ import annotations

import math

from torch import Tensor

from paretosearch.average import Averaging
from paretosearch.axis import Int, Real
from paretosearch.errors import RecipeError
from paretosearch.recipe import Recipe
from paretosearch.run import Run, Step

#: Much less than a step, and more than what rounding does to shares of a training.
_ROUNDING = 1e-6


class SWA(Averaging):
    """Keep the learning rate constant towards the end, and evaluate the mean of the weights of that time.

    Weights count equally, as they are after a step; those of the last step always do. The first come one interval after
    the learning rate became constant. A change of shape begins a new mean. Batch norm needs its statistics for the mean
    (``norm_batches``), as in the paper.

    Paper: Izmailov et al. 2018, arXiv:1803.05407, section 3; over weights in low precision it is the averaging of
    SWALP, Yang et al. 2019, arXiv:1904.11943, section 3.

    Args:
        start: Share of the training's steps after which the rate is constant; 1 is off. 0.75 is usual. In a few epochs
            the mean competes with a rate that falls to zero, and should begin later: of resnet8 on 10 000 images of
            Fashion-MNIST in 8 epochs it had 0.1 points less than one_cycle alone when it began at 0.875 (2 seeds), and
            0.3 less at 0.75 (rate 0.2, 3 seeds); seeds differ by 0.2.
        rate: Learning rate from then on, as a factor on the peak. SWALP has 0.2 or 0.1; 0.1 was the better one there.
        per_epoch: Weights that are taken from each epoch, at equal distances; the papers take 1, of hundreds of epochs.
    """

    name = "swa"
    summary = "mean of the weights along a constant learning rate"
    paper = "Izmailov et al. 2018, arXiv:1803.05407, section 3"
    space = {
        "start": Real(0.5, 1.0, default=1.0),
        "rate": Real(0.01, 1.0, default=0.1, log=True),
        "per_epoch": Int(1, 100, default=4),
    }
    switch = "start"
    off = 1.0

    start: float
    rate: float
    per_epoch: int

    def check(self, recipe: Recipe) -> None:
        """Refuse a training that ends before there are two weights to take the mean of."""
        found = math.floor((1 - self.start) * recipe.total_epochs * self.per_epoch + _ROUNDING)
        if found < 2:
            raise RecipeError(
                f"swa.start = {self.start:g} leaves time to take weights {('never', 'once')[found]} in a training of "
                f"epochs = {recipe.total_epochs}, and a mean is of two or more; lower it, raise swa.per_epoch, or set "
                f"it to 1"
            )

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the first epoch ends whose evaluation is of an average."""
        return math.floor(self.start * recipe.total_epochs) + 1

    def edit_step(self, step: Step) -> Step:
        """Take the weights when all other Methods are done with them."""

        def averaged(run: Run, x: Tensor, y: Tensor) -> Tensor:
            loss = step(run, x, y)
            if self.variant(run):
                self._average.update(1 / (self._average.count + 1))
            return loss

        return averaged

    # Few steps take weights, so later epochs have no pattern of their own: for that, all steps would be recorded anew.
    def variant(self, run: Run) -> str:
        """Say after which steps weights are taken: those that end one of an epoch's equal parts."""
        done = run.epoch_step + 1
        ends = done * self.per_epoch // run.steps_per_epoch > run.epoch_step * self.per_epoch // run.steps_per_epoch
        constant = run.epoch + done / run.steps_per_epoch - self.start * run.recipe.total_epochs  # in epochs
        return "average" if ends and constant >= 1 / self.per_epoch - _ROUNDING else ""

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the learning rate constant from the start on."""
        if run.progress >= self.start:
            run.learning_rate = self.rate * run.recipe.peak_learning_rate
            self._average.follow(run)
        return x, y
