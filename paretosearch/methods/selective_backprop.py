"""Selective backprop: learn from the images of a batch that the network finds hardest."""

from __future__ import annotations

from math import ceil

import torch
import torch.nn.functional as F
from torch import Tensor

from paretosearch.axis import Choice, Real
from paretosearch.buffers import untouched
from paretosearch.errors import RecipeError
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe
from paretosearch.run import Run, Step, Work

#: Fewest images of a step: batch norm cannot normalise a map of one number.
LEAST = 2


class SelectiveBackprop(Method):
    """Look at a batch without a gradient first, and train on the part of it that has the highest loss.

    The look costs a forward pass, about a third of a step, so at least a third of the images must be left out to save
    any time. It is made as training makes it, batch norm by the batch's own statistics, and leaves no trace in the
    running ones. The step that follows is an ordinary one on fewer images: the learning rate stays, though the gradient
    of hard images is longer and noisier than that of all; batch norm sees these images alone, which is one more reason
    to estimate its statistics anew at the end (``norm_batches``); the loss that is told is theirs. How hard an image is
    says its cross entropy, whatever else is in the loss. Mislabelled images are hard as well, and are seen more often.

    Paper: Jiang et al. 2019, arXiv:1910.00762, which draws images with a chance that rises with their loss, and looks
    at them on the side; the times and the alternation with plain steps are those of Composer's algorithm of this name.

    Args:
        keep: Share of a batch that is trained on; 1 is off. Composer has 0.5.
        start: Share of the training after which it begins, at an epoch's end.
        until: Share of the training after which it is over.
        every: Every so many steps one is plain; 0 has none. A block of the training clock has them all alike.
    """

    name = "selective_backprop"
    summary = "train on the hardest images of a batch"
    paper = "Jiang et al. 2019, arXiv:1910.00762"
    slot = Slot.STEP
    space = {
        "keep": Real(0.2, 1.0, default=1.0),
        "start": Real(0.0, 0.95, default=0.5),
        "until": Real(0.05, 1.0, default=0.9),
        "every": Choice((0, 2, 4), default=2),
    }
    switch = "keep"
    off = 1.0

    keep: float
    start: float
    until: float
    every: int

    def check(self, recipe: Recipe) -> None:
        """Refuse a time in which there is no middle of an epoch."""
        if not any(self._includes(epoch, recipe.total_epochs) for epoch in range(recipe.total_epochs)):
            raise RecipeError(
                f"selective_backprop.start = {self.start:g} and until = {self.until:g} have no epoch between them in a "
                f"training of {recipe.total_epochs} epochs; move them apart, or set selective_backprop.keep = 1"
            )

    def _changes(self, recipe: Recipe) -> list[int]:
        """List the epochs, from 0, whose steps are others than those of the epoch before."""
        includes = [self._includes(epoch, recipe.total_epochs) for epoch in range(recipe.total_epochs)]
        return [epoch for epoch in range(1, recipe.total_epochs) if includes[epoch] != includes[epoch - 1]]

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the first epoch ends that is like all the rest."""
        return max((epoch + 1 for epoch in self._changes(recipe)), default=0)

    def edit_step(self, step: Step) -> Step:
        """Choose before the step."""
        if self.keep == self.off:
            return step

        def selective(run: Run, x: Tensor, y: Tensor) -> Tensor:
            if self.variant(run):
                x, y = self._chosen(run, x, y)
            return step(run, x, y)

        return selective

    @torch.no_grad()
    def _chosen(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        with untouched(run.model):
            logits = run.logits(x)
        index = hardest(logits, y, self.keep)
        rows = x.permute(0, 2, 3, 1).index_select(0, index)  # so they come out channels-last, as they went in
        return rows.permute(0, 3, 1, 2), y.index_select(0, index)

    def _includes(self, epoch: int, epochs: int) -> bool:
        return self.start <= (epoch + 0.5) / epochs < self.until  # what ends within an epoch ends at its nearer end

    def pattern(self, run: Run) -> str:
        """Say in which epochs it is on."""
        on = self.keep != self.off and self._includes(run.epoch, run.recipe.total_epochs)
        return "on the hardest images" if on else ""

    def variant(self, run: Run) -> str:
        """Say which steps are not plain."""
        is_plain = self.every and (run.epoch_step + 1) % self.every == 0
        return "" if is_plain or not self.pattern(run) else "hardest"

    def work(self, run: Run, variant: str) -> Work:
        """Say that all images were looked at, and some trained on."""
        return Work(count(self.keep, run.batch_size) / run.batch_size, looks=1) if variant else Work()

    def quiet_until(self, run: Run) -> int:
        """Say when it begins or ends; it asks for no change of shape."""
        epochs = run.recipe.total_epochs
        changes = self._changes(run.recipe) if self.keep != self.off else []
        return min((epoch for epoch in changes if epoch > run.epoch), default=epochs)


def count(keep: float, images: int) -> int:
    """Give how many of some images are kept: ``keep`` of them, rounded up, or `LEAST` if that is more."""
    return min(images, max(LEAST, ceil(keep * images - 1e-9)))


def hardest(logits: Tensor, targets: Tensor, keep: float) -> Tensor:
    """Find the images of a batch that have the highest cross entropy.

    Args:
        logits: The network's answer (N, K).
        targets: Classes (N,), or their probabilities (N, K).
        keep: Share to keep, in (0, 1].

    Returns:
        Their index in ascending order (M,), as many as `count` says.
    """
    losses = F.cross_entropy(logits.float(), targets, reduction="none")
    return losses.topk(count(keep, len(logits)), sorted=False).indices.sort().values
