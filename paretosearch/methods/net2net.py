"""Net2Net: start with a small network, and let it grow into a large one that computes the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from paretosearch import growth
from paretosearch.axis import Real, Text, Value
from paretosearch.channels import Noise, widened
from paretosearch.errors import RecipeError
from paretosearch.growth import Event
from paretosearch.method import Method
from paretosearch.recipe import Recipe
from paretosearch.run import Anatomy, Run
from paretosearch.surgery import InsertIdentity, Operation, Remap, Surgery

#: Keeps the draws of growth apart from those of a training with the same seed.
_STREAM = 0x6E32_6E00


class Net2Net(Method):
    """Widen or deepen the network while it trains, so that the first epochs are those of a smaller one.

    A wider network has copies of channels chosen at random, whose readers share the old weights; noise that adds up to
    nothing over the copies lets them become different. A deeper one has, in every stage, a new residual block that ends
    in zeros, or a convolution that passes on what it gets. Either computes what the network did before.

    Paper: Chen et al. 2016, arXiv:1511.05641; the noise is ours (there it is on the copies
    themselves, and changes the function).

    Args:
        schedule: When it grows: events such as ``widen@0.3x1.5``, which makes layers 1.5 times as wide after three
            tenths of the training, and ``deepen@0.5``, with ``+`` between them (`growth.parse`); ``none`` turns growth
            off. The Recipe's network and width are those it begins with.
        noise: Root mean square of the noise relative to the weights that it is added to.
        learning_rate_factor: Factor on the learning rate for the rest of the training at every epoch with a growth.
        rewarm: Epochs over which the learning rate rises from zero after a growth.
    """

    name = "net2net"
    summary = "grow the network while training, keeping its function"
    paper = "Chen et al. 2016, arXiv:1511.05641"
    space = {
        "schedule": Text("growth schedule", growth.EXAMPLES, growth.NONE, growth.problem),
        "noise": Real(0.0, 1.0, default=0.3),
        "learning_rate_factor": Real(0.01, 1.0, default=1.0),
        "rewarm": Real(0.0, 10.0, default=1.0),
    }
    switch = "schedule"
    off = growth.NONE
    reshapes = True

    schedule: str
    noise: float
    learning_rate_factor: float
    rewarm: float

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._events = growth.parse(self.schedule)

    def check(self, recipe: Recipe) -> None:
        """Refuse growth before the first epoch or after the last one, and pruning without a pruner."""
        for event in self._events:
            if not event.is_inside(recipe.total_epochs):
                raise RecipeError(f"net2net.schedule: {_out_of_time(event, recipe.total_epochs)}")
            if event.kind == "prune" and "prunetrain" not in recipe.methods:
                raise RecipeError(
                    f"net2net.schedule = {self.schedule!r} says when to prune, and nothing prunes; "
                    "set prunetrain.penalty_ratio, or take prune out"
                )

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the first epoch after the last growth ends."""
        return max((epoch + 1 for epoch in growth.growth_epochs(self._events, recipe.total_epochs)), default=0)

    def canonical(self, recipe: Recipe) -> Mapping[str, Value] | None:
        """Spell what happens in one way, without what does not."""
        prunes = "prunetrain" in recipe.methods
        happen = growth.settled(self._events, recipe.total_epochs)
        events = tuple(event for event in happen if prunes or event.kind != "prune")
        kinds = {event.kind for event in events}
        if not kinds - {"prune"}:
            return None
        inert = {} if "widen" in kinds else {"noise": self.default("noise")}
        return {**recipe.methods[self.name], **inert, "schedule": growth.spell(events)}

    def check_anatomy(self, anatomy: Anatomy, network: str) -> None:
        """Refuse a network that has nothing to widen or no place for a layer, if that is asked for."""
        kinds = {event.kind for event in self._events}
        if "widen" in kinds:
            anatomy.channels.require_free(self.name, network)
        if "deepen" in kinds and not anatomy.stages:
            raise RecipeError(
                f"net2net cannot deepen {network}: behind no layer of it could another one stand that passes on what "
                "it gets; take deepen out of net2net.schedule"
            )

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Grow, if the time has come."""
        for number, event in enumerate(self._events):
            if event.kind != "prune" and event.epoch(run.recipe.total_epochs) == run.epoch:
                generator = torch.Generator().manual_seed(_STREAM + (run.recipe.seed << 4) + number)
                operations = self._widen if event.kind == "widen" else self._deepen
                yield Surgery(event.kind, tuple(operations(run, event, generator)))

    def quiet_until(self, run: Run) -> int:
        """Say when it grows next."""
        epochs = run.recipe.total_epochs
        return min((e for e in growth.growth_epochs(self._events, epochs) if e > run.epoch), default=epochs)

    def _widen(self, run: Run, event: Event, generator: torch.Generator) -> Iterable[Operation]:
        run.anatomy.channels.require_free(self.name, run.recipe.network)
        sizes = {space.name: space.size for space in run.anatomy.channels.free}
        plan = {
            name: widened(size, max(size + 1, round(event.amount * size)), generator) for name, size in sizes.items()
        }
        yield Remap(plan, Noise(self.noise, generator) if self.noise else None)

    def _deepen(self, run: Run, event: Event, generator: torch.Generator) -> Iterable[Operation]:
        self.check_anatomy(run.anatomy, run.recipe.network)
        for stage in run.anatomy.stages:
            for _ in range(int(event.amount)):
                yield InsertIdentity(stage, generator)

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Lower the learning rate after every growth, and let it rise from zero again."""
        grown = [epoch for epoch in growth.growth_epochs(self._events, run.recipe.total_epochs) if epoch <= run.epoch]
        if grown:
            since = run.epoch - grown[-1] + (run.epoch_step + 0.5) / run.steps_per_epoch
            warmth = min(1.0, since / self.rewarm) if self.rewarm else 1.0
            run.learning_rate *= self.learning_rate_factor ** len(grown) * warmth
        return x, y


def _out_of_time(event: Event, epochs: int) -> str:
    what = f"{event.kind}@{event.at:g}"
    if epochs < 2:
        return f"{what} needs a training of at least 2 epochs, not of {epochs}"
    when = "after the last" if event.epoch(epochs) else "before the first"
    first, last = growth.shares(epochs)
    return f"{what} comes {when} of {epochs} epochs, where nothing comes of it; choose a share from {first} to {last}"
