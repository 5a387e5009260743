"""PruneTrain: shrink whole channels while training, and cut those that reach zero."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from paretosearch import copies, growth
from paretosearch.axis import Choice, Int, Real, Value
from paretosearch.channels import Branch, ChannelMap, ChannelSpace, round_up
from paretosearch.errors import RecipeError
from paretosearch.group_lasso import GroupLasso, weights
from paretosearch.method import Method
from paretosearch.recipe import Recipe
from paretosearch.run import Anatomy, Run
from paretosearch.surgery import Remap, RemoveBranch, Surgery

#: Steps between two proximal steps, each of which shrinks by so many times as much.
PROXIMAL_STEPS = 4


class PruneTrain(Method):
    """Train with a group-lasso penalty on whole channels, and cut those that reach zero every few epochs.

    The penalty's coefficient follows once, from the first batch, from the share of the loss that it shall have there.
    A channel is cut when every weight that writes or reads it is below the threshold (channel union); a residual branch
    goes when it has no channel left. When the network grows during the training, the coefficient is scaled to keep the
    penalty's share, and the copies get some time to become different.

    Paper: Lym et al. 2019, arXiv:1901.09290.

    Args:
        penalty_ratio: Share of the penalty in the first batch's loss; 0 turns pruning off.
        interval: Epochs from one reconfiguration to the next; as many times more where ``epochs_rule`` stretches them.
        form: ``subgradient`` adds the penalty to the loss, as the paper does; ``proximal`` shrinks the weights after
            the step instead, and reaches exact zeros. It is the default because it prunes sooner: of resnet20 on
            10 000 images of Fashion-MNIST in 60 epochs, ratio 0.25, it removed 42 % of the training's operations
            and the other 27 %, at 91.4 % and 91.1 % accuracy (benchmarks/results/shapes.jsonl, one seed).
        threshold: Largest absolute weight of a channel that counts as zero.
        rest: Share of the training without penalty after the network grew.
        until: Share of the training after which there is no penalty any more.
    """

    name = "prunetrain"
    summary = "group lasso on channels; cut the dead ones while training"
    paper = "Lym et al. 2019, arXiv:1901.09290"
    space = {
        "penalty_ratio": Real(0.0, 0.9, default=0.0),
        "interval": Int(1, 1000, default=2),
        "form": Choice(("subgradient", "proximal"), default="proximal"),
        "threshold": Real(1e-8, 0.1, default=1e-4, log=True),
        "rest": Real(0.0, 0.5, default=0.05),
        "until": Real(0.1, 1.0, default=1.0),
    }
    switch = "penalty_ratio"
    off = 0.0
    reshapes = True

    penalty_ratio: float
    interval: int
    form: str
    threshold: float
    rest: float
    until: float

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._channels: ChannelMap | None = None  # those that the penalty was made for
        self._strength: Tensor | None = None  # the paper's lambda
        self._penalty: Tensor | None = None  # at the end of the last epoch
        self._connections = 0  # then
        self._begins = 0  # epochs before which nothing is pruned
        self._rest_until = 0.0
        self._owed = torch.zeros(())  # learning rate of the steps since the last proximal one

    def check(self, recipe: Recipe) -> None:
        """Refuse a training that ends before anything could be pruned."""
        epochs, begins = recipe.total_epochs, growth.pruning_begins(recipe)
        grown = growth.growth_epochs(growth.schedule_of(recipe), epochs)

        def rested(epoch: int) -> float:
            return max((g + self.rest * epochs for g in grown if g < epoch), default=0.0)

        acting = [e for e in range(begins, epochs) if rested(e + 1) <= e + 0.5 < self.until * epochs]
        every = self.interval * recipe.stretch
        due = [e for e in range(every, epochs, every) if acting and e > acting[0] and e >= rested(e)]
        if not due:
            start = max(begins, *(g + self.rest * epochs for g in grown if g <= begins), 0.0)
            raise RecipeError(_nothing_to_do(self, epochs, start, bool(acting)))

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the penalty ends: what it cost comes back then.

        Until then, evaluations on the way may be at chance level, as batch norm's averages lag behind what shrinks.
        """
        return min(math.ceil(self.until * recipe.total_epochs) + 1, recipe.total_epochs)

    def canonical(self, recipe: Recipe) -> Mapping[str, Value] | None:
        """Leave out how long to rest where nothing grows."""
        inert = {} if growth.schedule_of(recipe) else {"rest": self.default("rest")}
        return {**recipe.methods[self.name], **inert} if self.acts(recipe) else None

    def check_anatomy(self, anatomy: Anatomy, network: str) -> None:
        """Refuse a network of which nothing can be cut."""
        anatomy.channels.require_free(self.name, network)

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Adapt the penalty if the network has grown."""
        if self._channels is not run.anatomy.channels:
            self._learn(run)
            if self._strength is not None and _connections(run.model) > self._connections:
                assert self._penalty is not None
                self._strength = self._strength * self._penalty / self._lasso.penalty()
                self._rest_until = run.progress + self.rest
        return ()

    def _learn(self, run: Run) -> None:
        if run.epoch == 0:  # later on, another Method may have put layers in whose channels must stay
            self.check_anatomy(run.anatomy, run.recipe.network)
        self._channels, self._begins = run.anatomy.channels, growth.pruning_begins(run.recipe)
        self._lasso = GroupLasso(run.model, self._channels)
        self._owed = self._owed.to(run.device).zero_()  # in place: recorded steps may add to it

    def after_backward(self, run: Run) -> None:
        """Add the penalty's gradient; on the first batch, find its coefficient."""
        if self._strength is None:
            assert run.loss is not None
            self._strength = self.penalty_ratio / (1 - self.penalty_ratio) * run.loss.float() / self._lasso.penalty()
        if self.form == "subgradient" and self._acts(run):
            self._lasso.add_gradient(self._strength)

    def after_step(self, run: Run) -> None:
        """Shrink the channels by as much as momentum would make of the penalty's gradient."""
        if self.form == "proximal" and self._acts(run):
            assert run.stepped is not None
            self._owed += run.rate / (1 - run.recipe.momentum) * run.stepped
            if self.variant(run):
                self._shrink()

    def _shrink(self) -> None:
        if self._strength is not None:
            self._lasso.shrink(self._owed * self._strength)
            self._owed.zero_()

    def _acts(self, run: Run) -> bool:
        middle = (run.epoch + 0.5) / run.recipe.total_epochs  # what ends within an epoch ends at its nearer end
        return run.epoch >= self._begins and self._rest_until <= middle < self.until

    def pattern(self, run: Run) -> str:
        return "with its penalty" if self._acts(run) else ""

    def variant(self, run: Run) -> str:
        """Say in which steps the channels shrink."""
        due = self.form == "proximal" and self._acts(run) and (run.epoch_step + 1) % PROXIMAL_STEPS == 0
        return "shrink" if due else ""

    def quiet_until(self, run: Run) -> int:
        """Say when it may cut again."""
        every = self.interval * run.recipe.stretch
        return min(run.epoch - run.epoch % every + every, run.recipe.total_epochs)

    def on_epoch_end(self, run: Run) -> Iterable[Surgery]:
        """Cut what is dead, every few epochs but the last, since that would save nothing."""
        if self.form == "proximal":
            self._shrink()  # what is dead is exactly zero then, and nowhere else
        due = run.epoch % (self.interval * run.recipe.stretch) == 0 and run.epoch < run.recipe.total_epochs
        if due and run.epoch > self._begins and run.progress >= self._rest_until:
            yield from self._reconfigure(run)
            if self._channels is not run.anatomy.channels:
                self._learn(run)
        self._penalty, self._connections = self._lasso.penalty(), _connections(run.model)

    def _reconfigure(self, run: Run) -> Iterable[Surgery]:
        zero_dead_groups(run.model, run.anatomy.channels, self.threshold)
        dead = [RemoveBranch(branch.block) for branch in dead_branches(run.model, run.anatomy.channels)]
        if dead:
            yield Surgery("remove", tuple(dead), {"branches": len(dead)})
        plan, figures = self._plan(run)
        yield Surgery("prune", (Remap(plan),) if plan else (), figures)

    def _plan(self, run: Run) -> tuple[dict[str, Tensor], dict[str, float]]:
        """Choose the channels to keep in every space that becomes smaller."""
        strengths = channel_strengths(run.model, run.anatomy.channels)
        free = {space.name: space for space in run.anatomy.channels.free}
        kept = {name: round_up(strengths[name] > 0, strengths[name], run.recipe.channel_multiple) for name in free}
        plan = {name: index for name, index in kept.items() if len(index) < free[name].size}
        every = torch.cat([torch.zeros(0), *(strengths[name] for name in free)])
        alive = every[every > 0]
        weakest = alive.min().item() if len(alive) else 0.0
        return plan, {"dead": len(every) - len(alive), "weakest": weakest, **copies.figures(run, plan)}

    def state_dict(self) -> dict[str, Any]:
        """Give the coefficient, which must not be found anew, and what tells that the network grew."""
        tensors = {"strength": self._strength, "penalty": self._penalty}
        return {**tensors, "parameters": self._connections, "rest_until": self._rest_until}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._strength, self._penalty = state["strength"], state["penalty"]
        self._connections, self._rest_until = state["parameters"], state["rest_until"]


def _nothing_to_do(method: PruneTrain, epochs: int, start: float, acts: bool) -> str:
    """Say why no channel is ever cut."""
    off = "or turn pruning off with prunetrain.penalty_ratio = 0"
    after = f" in which pruning begins after {start:.3g} of them" if start else ""
    if not acts:
        return f"prunetrain.until = {method.until:g} is over in a training of {epochs} epochs{after}; raise it, {off}"
    return (
        f"prunetrain.interval = {method.interval} is too long for a training of {epochs} epochs{after}: nothing would "
        f"be pruned before the last one; lower it, {off}"
    )


def _connections(model: nn.Module) -> int:
    """Count the weights, those of a kernel as one: they tell a growth from kernels that follow larger images."""
    return sum(parameter.numel() // math.prod(parameter.shape[2:]) for parameter in model.parameters())


def channel_strengths(model: nn.Module, channel_map: ChannelMap) -> dict[str, Tensor]:
    """Give the largest absolute weight that writes or reads each channel, (C,) for every space."""
    strengths = {name: torch.zeros(space.size) for name, space in channel_map.spaces.items()}
    for place, weight in weights(model, channel_map):
        for name in dict.fromkeys(segment.space for segment in place.segments):
            for own in channel_map.slices(place, name, weight.detach()):
                strengths[name] = torch.maximum(strengths[name], own.flatten(1).abs().amax(1).float().cpu())
    return strengths


@torch.no_grad()
def zero_dead_groups(model: nn.Module, channel_map: ChannelMap, threshold: float) -> None:
    """Write zeros where all weights of a group are below a threshold in absolute value."""
    free = {space.name for space in channel_map.free}
    for place, weight in weights(model, channel_map):
        for name in {segment.space for segment in place.segments} & free:
            for own in channel_map.slices(place, name, weight):
                own.mul_((own.flatten(1).abs().amax(1) >= threshold).view([-1] + [1] * (own.ndim - 1)))


def dead_branches(model: nn.Module, channel_map: ChannelMap) -> list[Branch]:
    """List the residual branches that add the same to every image.

    These are the branches whose last layer with weights has nothing but zeros, or inside which a space has no channel
    left. One layer of zeros at the start is not enough: batch norm makes a constant of its output, which others use.
    """
    strengths = channel_strengths(model, channel_map)
    extinct = [space for space in channel_map.free if not strengths[space.name].any()]
    return [branch for branch in channel_map.branches if _is_silent(model, branch) or _has(branch, extinct)]


def _is_silent(model: nn.Module, branch: Branch) -> bool:
    layers = (getattr(model.get_submodule(name), "weight", None) for name in branch.modules)
    return not [weight for weight in layers if weight is not None and weight.ndim > 1][-1].any()


def _has(branch: Branch, spaces: list[ChannelSpace]) -> bool:
    owners = [{place.module for place in (*space.producers, *space.consumers)} for space in spaces]
    return any(modules <= set(branch.modules) for modules in owners)
