"""Early-Bird tickets: cut the channels with the smallest batch-norm scales, once, when it is clear which they are."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from paretosearch import growth
from paretosearch.axis import Int, Real, Value
from paretosearch.channels import ChannelMap
from paretosearch.errors import RecipeError
from paretosearch.method import Method
from paretosearch.recipe import Recipe
from paretosearch.run import Anatomy, Run
from paretosearch.scales import Masks, cuttable, kept_channels, marked, norm_places, votes
from paretosearch.surgery import Remap, Surgery

#: Keeps the draws among equal channels apart from those of a training with the same seed.
_STREAM = 0x6562_0000

#: Much less than an epoch, and more than what rounding does to shares of a training.
_ROUNDING = 1e-6


class EarlyBird(Method):
    """Find the channels that batch norm scales least while the network trains, and cut them once they are settled.

    At the ends of epochs a mask leaves out the share ``pruned`` of all channels whose scale is the smallest in absolute
    value, over all layers together. When the newest of ``masks`` masks differs from each of the others in at most the
    share ``distance`` of the channels, the ticket is drawn: one surgery cuts, and the training goes on from the weights
    that it has, at the learning rate that it has. Until then every step adds ``strength * sign(scale)`` to the
    gradients of the scales. Without a ticket nothing is cut; every mask is a note with its distance, so that one sees
    how far it was.

    A channel that several layers make, as in the stream of a residual network, goes only if the mask leaves it out in
    all of them, so less than ``pruned`` is cut there. At least 8 channels of a space stay and a tenth of it, and their
    number is rounded up as ``channel_multiple`` has it. Cut are channels alone that nothing reads when scale and shift
    are zero, which is looked at on images: the network computes then what the masked one did. Layers whose scales all
    begin at zero are not judged.

    Not the paper's are: masks at the ends of epochs, and not at their starts, where the first one would be of scales
    that are all 1; a mask of an exact number of channels, drawn among equal ones, in the place of a threshold; how
    many channels stay at least; ``until``; and that the penalty ends with the search. What it must beat is the narrow
    network trained from the start.

    Paper: You et al. 2020, arXiv:1909.11957; the steps are those of its code.

    Args:
        pruned: Share of the channels that the mask leaves out; 0 is off. The paper has 0.1, 0.3, 0.5 and 0.7. Where it
            is less than half of ``distance``, any two masks agree.
        strength: Factor on the sign of the scales in their gradient.
        masks: How many masks must agree. The code has 5, one for each epoch of 160; a training of a few epochs is half
            over before there are so many, and a mask of it has more steps behind it in proportion: 2 or 3 suit it.
            ``epochs_rule`` takes one after as many more epochs as it stretches a training.
        distance: Largest share of the channels in which two masks may differ.
        until: Share of the training after which no ticket is drawn: a late one saves little, and as the learning rate
            falls to zero, masks agree whatever they are worth.
    """

    name = "early_bird"
    summary = "cut channels of small batch-norm scale, once, early"
    paper = "You et al. 2020, arXiv:1909.11957"
    space = {
        "pruned": Real(0.0, 0.9, default=0.0),
        "strength": Real(0.0, 0.1, default=1e-4),
        "masks": Int(2, 100, default=5),
        "distance": Real(0.0, 0.5, default=0.1),
        "until": Real(0.1, 1.0, default=0.5),
    }
    switch = "pruned"
    off = 0.0
    reshapes = True

    pruned: float
    strength: float
    masks: int
    distance: float
    until: float

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._channels: ChannelMap | None = None  # those that the rest is of
        self._spaces: frozenset[str] = frozenset()  # those that can be cut
        self._scales: list[Tensor] = []
        self._layout: list[list[Any]] = []  # names and sizes of what the masks are of
        self._masks = Masks(self.masks)
        self._exempt: dict[str, bool] = {}  # whether the scales of a layer began at zero
        self._normed = 0  # channels that batch norm scales
        self._is_drawn = False

    def _last(self, recipe: Recipe) -> int:
        """Give the epochs that are done when a ticket can be drawn for the last time."""
        return _last(recipe, self.until)

    def check(self, recipe: Recipe) -> None:
        """Refuse a training that is over before there are enough masks of one shape."""
        most = _most(recipe, self.until)
        if most >= self.masks:
            return
        remedies = [
            *(["lower masks"] if self.space["masks"].contains(most) else []),
            *(["raise until"] if _most(recipe, 1.0) > most else []),
            "train longer",
        ]
        between = " between two growths" if len(_changes(recipe, self.until)) > 2 else ""
        raise RecipeError(
            f"early_bird.masks = {self.masks} needs more epochs: until = {self.until:g} of a training of "
            f"{recipe.total_epochs} epochs gives {most}{between}; {', '.join(remedies)}, or turn it off with "
            "early_bird.pruned = 0"
        )

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the first epoch after the last possible cut ends."""
        return self._last(recipe) + 1

    def check_anatomy(self, anatomy: Anatomy, network: str) -> None:
        """Refuse a network of which no channels that batch norm scales may change."""
        anatomy.channels.require_free(self.name, network)
        if not any(place.tensor == "running_mean" for space in anatomy.channels.free for place in space.producers):
            raise RecipeError(_unjudged(network))

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Refuse a network without batch norm."""
        if self.pruned and not any(isinstance(module, _BatchNorm) for module in model.modules()):
            raise RecipeError(_unjudged("this network"))
        return model

    def _searches(self, run: Run) -> bool:
        return self.pruned > 0 and not self._is_drawn and run.epoch < self._last(run.recipe)

    def pattern(self, run: Run) -> str:
        return "looks for a ticket" if self._searches(run) else ""

    def quiet_until(self, run: Run) -> int:
        """Say when there are enough masks, or else when the search ends."""
        if not self._searches(run):
            return run.recipe.total_epochs
        missing, every = max(1, self.masks - len(self._masks)), run.recipe.stretch
        return min((run.epoch // every + missing) * every, self._last(run.recipe))

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Learn what there is to judge, if the network has another shape."""
        # No other Method that goes with this one takes channels away; where a training is only timed again, others cut.
        channels = sum(module.num_features for module in run.model.modules() if isinstance(module, _BatchNorm))
        self._is_drawn = self._is_drawn or channels < self._normed
        self._normed = channels
        if self._searches(run) and self._channels is not run.anatomy.channels:
            self._learn(run)
        return ()

    def _learn(self, run: Run) -> None:
        self.check_anatomy(run.anatomy, run.recipe.network)
        self._channels = run.anatomy.channels
        self._spaces = cuttable(run.model, self._channels, run.anatomy.images)
        places = norm_places(run.model, self._channels, self._spaces)
        self._scales = [place.find(run.model) for place in places]
        for place, scale in zip(places, self._scales, strict=True):
            self._exempt.setdefault(place.module, not scale.any())
        layout = [[name, len(own)] for name, own in self._votes(run)]
        if not layout:
            raise RecipeError(_unjudged(run.recipe.network))
        if layout != self._layout:
            self._layout, self._masks = layout, Masks(self.masks)

    def _votes(self, run: Run) -> list[tuple[str, Tensor]]:
        assert self._channels is not None
        places = norm_places(run.model, self._channels, self._spaces)
        judged = [place for place in places if not self._exempt[place.module]]
        return votes(run.model, self._channels, judged, self._spaces)

    @torch.no_grad()
    def after_backward(self, run: Run) -> None:
        """Press the scales towards zero while there is no ticket."""
        if self.strength and self._searches(run):
            trained = [scale for scale in self._scales if scale.grad is not None]
            gradients = [scale.grad for scale in trained if scale.grad is not None]
            if trained:
                torch._foreach_add_(gradients, torch._foreach_sign(trained), alpha=self.strength)

    def on_epoch_end(self, run: Run) -> Iterable[Surgery]:
        """Take a mask, and cut if it is one of enough that agree."""
        recipe = run.recipe
        if not self.pruned or self._is_drawn or run.epoch > self._last(recipe) or run.epoch % recipe.stretch:
            return
        found = self._votes(run)
        generator = torch.Generator().manual_seed(_STREAM + (recipe.seed << 14) + run.epoch)
        mask = marked(torch.cat([own for _, own in found]), self.pruned, generator)
        distance = self._masks.push(mask)
        figures = {"masks": len(self._masks)} | ({"distance": distance} if len(self._masks) > 1 else {})
        if not self._masks.is_full or distance > self.distance:
            yield Surgery(self.name, (), figures)
            return
        assert self._channels is not None
        plan = kept_channels(self._channels, found, mask, recipe.channel_multiple)
        yield Surgery("prune", (Remap(plan),) if plan else (), figures)
        self._is_drawn = not plan or self._channels is not run.anatomy.channels

    def state_dict(self) -> dict[str, Any]:
        """Give the masks with what they are of, and whether the ticket is drawn."""
        known = {"layout": self._layout, "exempt": self._exempt, "normed": self._normed}
        return {"masks": list(self._masks), "is_drawn": self._is_drawn, **known}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._masks = Masks(self.masks, state["masks"])
        self._layout, self._exempt = state["layout"], dict(state["exempt"])
        self._normed, self._is_drawn = state["normed"], state["is_drawn"]


def _unjudged(network: str) -> str:
    return (
        f"early_bird judges channels by the scales of batch norm, and {network} has none that may change and that only "
        "batch norm lets through; turn it off with early_bird.pruned = 0"
    )


def _last(recipe: Recipe, until: float) -> int:
    latest = min(math.floor(until * recipe.total_epochs + _ROUNDING), recipe.total_epochs - 1)
    return latest - latest % recipe.stretch


def _changes(recipe: Recipe, until: float) -> list[int]:
    """Give the epochs that are done when masks of one shape begin, and when the last ones end."""
    last = _last(recipe, until)
    grown = growth.growth_epochs(growth.schedule_of(recipe), recipe.total_epochs)
    return [0, *(epoch for epoch in grown if epoch < last), last]


def _most(recipe: Recipe, until: float) -> int:
    """Give the most masks of one shape that a training has."""
    every = recipe.stretch
    return max(end // every - start // every for start, end in pairwise(_changes(recipe, until)))
