"""The lottery ticket with late rewinding, in one round: train, leave out small weights, go back, train the rest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from paretosearch.axis import Int, Real, Value
from paretosearch.errors import RecipeError
from paretosearch.method import Method
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.surgery import Surgery


class LotteryTicket(Method):
    """Train, leave out the smallest weights of all layers together, set the others back, and train these alone.

    It is a reference, and saves no time on a GPU or a CPU: what is left out are single weights, that is, zeros that
    every step computes with. Its cost are two trainings, and both are within the epochs of the Recipe: of ``E`` epochs
    the first ``(E + rewind) / 2`` find the ticket, rounded down, and the others train it. To compare it with a plain
    training of ``n`` epochs, give it ``2 n - rewind``.

    Each of the two trainings has the schedule of the learning rate from beginning to end; the second enters it after
    ``rewind`` epochs, with all weights, biases and batch-norm statistics as they were at that point of the first, bit
    by bit, and with momentum at zero, which is our choice. The order of the images goes on. Left out are weights of
    convolutions and dense layers; they are set to zero after every step, since momentum would bring them back. Other
    Methods that act at a share of the training mean that of both.

    Paper: Frankle & Carbin 2019, arXiv:1803.03635; going back to an early epoch, and not to the start, is Frankle et
    al. 2019, arXiv:1903.01611. The paper takes a fifth of the weights in each of several rounds; here is one round.

    Args:
        pruned: Share of the weights that is left out; 0 is off.
        rewind: Epochs after which the weights are kept to go back to; 0 are the initial ones. As many times more where
            ``epochs_rule`` stretches them.
    """

    name = "lottery_ticket"
    summary = "train, drop small weights, go back, train the rest"
    paper = "Frankle & Carbin 2019, arXiv:1803.03635"
    space = {"pruned": Real(0.0, 0.99, default=0.0), "rewind": Int(0, 1000, default=1)}
    switch = "pruned"
    off = 0.0

    pruned: float
    rewind: int

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._early: dict[str, Tensor] | None = None  # what to go back to, until that is done
        self._masks: list[Tensor] | None = None
        self._weights: list[Tensor] = []  # those that the masks are of

    def _plan(self, recipe: Recipe) -> tuple[int, int]:
        """Give the epochs that are done when the weights are kept, and when they come back."""
        back = self.rewind * recipe.stretch
        return back, (recipe.total_epochs + back) // 2

    def check(self, recipe: Recipe) -> None:
        """Refuse a training too short for two."""
        back, turn = self._plan(recipe)
        if not back < turn < recipe.total_epochs:
            raise RecipeError(
                f"lottery_ticket.rewind = {self.rewind} leaves no time for two trainings in {recipe.total_epochs} "
                "epochs; lower it, train longer, or set lottery_ticket.pruned = 0"
            )

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the first epoch after the return ends."""
        return self._plan(recipe)[1] + 1

    def pattern(self, run: Run) -> str:
        return "trains a ticket" if self._masks is not None else ""

    def quiet_until(self, run: Run) -> int:
        """Say when steps begin to be of the ticket; it asks for no change of shape."""
        turn, epochs = self._plan(run.recipe)[1], run.recipe.total_epochs
        return turn if self.pruned and run.epoch < turn else epochs

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Begin the schedule of each training; go back to the early weights, if the time has come."""
        if not self.pruned:
            return
        back, turn = self._plan(run.recipe)
        if run.epoch < turn:
            run.cycle = 0, turn
            return
        run.cycle = turn - back, run.recipe.total_epochs - turn + back
        self._weights = [parameter for parameter in run.model.parameters() if parameter.ndim > 1]
        if self._masks is None:
            yield Surgery(self.name, (), {**self._go_back(run), "epoch": back})
        else:
            self._masks = [mask.to(weight) for mask, weight in zip(self._masks, self._weights, strict=True)]

    def _go_back(self, run: Run) -> dict[str, float]:
        self._masks = ticket(self._weights, self.pruned)
        if self._early is not None:  # there is nothing where a training is only timed again
            rewind(run.model, self._early)
            self._early = None
        for state in run.optimizer.state.values():
            for tensor in state.values():
                if isinstance(tensor, Tensor) and tensor.ndim:
                    tensor.zero_()
        self.after_step(run)
        left = sum(int(mask.count_nonzero()) for mask in self._masks)
        return {"weights": sum(mask.numel() for mask in self._masks), "left": left}

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Keep the weights before the step that the second training begins with: a format may round the first ones."""
        if self.pruned and not run.epoch_step and run.epoch == self._plan(run.recipe)[0]:
            with run.apart():
                self._early = {name: tensor.clone() for name, tensor in run.model.state_dict().items()}
        return x, y

    @torch.no_grad()
    def after_step(self, run: Run) -> None:
        """Set to zero what is left out."""
        if self._masks is not None:
            torch._foreach_mul_(self._weights, self._masks)

    def state_dict(self) -> dict[str, Any]:
        """Give the weights to go back to, or the masks of the ticket."""
        return {"early": self._early, "masks": self._masks}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        early, masks = state["early"], state["masks"]
        self._early = None if early is None else {name: tensor.clone() for name, tensor in early.items()}
        self._masks = None if masks is None else [mask.clone() for mask in masks]


@torch.no_grad()
def ticket(weights: Sequence[Tensor], pruned: float) -> list[Tensor]:
    """Make masks that leave out the weights of the smallest magnitude, over all tensors together.

    Args:
        weights: The weights, of any shapes.
        pruned: Share to leave out, in [0, 1].

    Returns:
        For each tensor one of its shape and format, 1 for what stays and 0 for what does not: ``pruned * n`` of all
        ``n`` weights, a rounded number; of equal ones those that come first.
    """
    sizes = torch.cat([weight.abs().float().flatten() for weight in weights])
    stays = torch.ones_like(sizes)
    stays[sizes.argsort(stable=True)[: round(pruned * len(sizes))]] = 0
    parts = zip(weights, torch.split(stays, [weight.numel() for weight in weights]), strict=True)
    return [torch.empty_like(weight).copy_(part.view(weight.shape)) for weight, part in parts]


@torch.no_grad()
def rewind(model: nn.Module, early: Mapping[str, Tensor]) -> None:
    """Set a network back to an earlier state of it, in the memory that it has."""
    for name, tensor in model.state_dict().items():
        tensor.copy_(early[name])
