"""Layer replacement: give convolutions up for layers that are measured to be faster on this device."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from paretosearch.axis import Real, Value
from paretosearch.candidates import candidates, chosen, fitted_to
from paretosearch.errors import RecipeError
from paretosearch.kernels import large_kernels
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe
from paretosearch.replacement import is_replaceable
from paretosearch.run import Run
from paretosearch.snapshot import Snapshot
from paretosearch.surgery import ReplaceLayers, Surgery, TakeBack

#: Loss behind a trial, as a multiple of that before it, above which it is undone.
MOST_LOSS = 1.3

#: Steps whose mean loss is compared, or those of an epoch where that has fewer: the last ones before a trial, and the
#: last ones of the epoch that it takes.
JUDGED_STEPS = 20

#: Epochs that begin with a trial: each builds new kernels, and one that fails has cost its epoch.
MOST_TRIALS = 3

#: Images whose way through the network new layers are fitted to.
IMAGES = 32

#: Layers with weights, each of which reads one tensor.
_LAYERS = (nn.Conv2d, nn.Linear, _BatchNorm)


@dataclass(frozen=True)
class Trial:
    """Layers in their first epoch.

    Args:
        snapshot: What was there before them.
        loss: The last losses before them.
        since: Epochs done at the replacement before this one; negative if there was none.
        saved: Seconds of a step that those before this one save.
    """

    snapshot: Snapshot
    loss: float
    since: int
    saved: float


class LayerReplacement(Method):
    """Put cheaper layers in the place of 3x3 convolutions while training, where measured times on the device say so.

    This Method, "RLR-greedy", is this project's own; no paper describes it. At the start of an epoch, forward and
    backward of every 3x3 convolution are timed at the batch size of the training, beside those of the layers that could
    stand in its place: a 3x1 and a 1x3 convolution (by singular values), 3x3 of each channel and 1x1, 1x1 to few
    channels and 3x3 and 1x1, 3x3 in two or four groups (the latter three by least squares on what some images make of
    it). Those that save a fifth of the convolution's time are chosen by seconds saved for damage done, one for each
    size of the maps. The epoch is a trial: where its last losses are above 1.3 times those before, or a loss in it is
    not finite, the network, the optimizer and the loss scale become, bit by bit, what they were before it. The next
    epoch may try again, up to three times, until ``gain`` is reached, nothing is left or a trial has failed. All of it
    is on the clock, a failed trial's epoch, too.

    Because times are measured, two trainings of a Recipe may differ. What was done is in the history of the training:
    one that is continued or timed again does not measure what the other one has measured before.

    Layers with few multiplications are often no faster, which the measurement finds out. Nothing is replaced while
    another Method still changes the layers or the size of the images.

    Args:
        gain: Share of the time of a step to be saved, by the sum of what the layers save; the last one to be replaced
            may save more. 0 is off.
        start: Share of the training after which the first trial begins, at the nearest end of an epoch; it waits for
            ``net2net``, ``prunetrain``, ``early_bird``, ``kernel_rescaling`` and ``progressive_resolution``.
        rewarm: Epochs over which the learning rate rises from zero behind a replacement.
    """

    name = "layer_replacement"
    summary = "convolutions replaced by measured faster layers (ours)"
    space = {
        "gain": Real(0.0, 0.9, default=0.0),
        "start": Real(0.05, 0.9, default=0.2),
        "rewarm": Real(0.0, 10.0, default=1.0),
    }
    switch = "gain"
    off = 0.0

    gain: float
    start: float
    rewarm: float

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._trials, self._is_over = 0, False
        self._step_seconds, self._saved = 0.0, 0.0  # of a step before the first trial, and what was saved of them
        self._since = -1  # epochs done at the last replacement that stands
        self._losses = torch.zeros(JUDGED_STEPS)  # of the last steps, the newest last
        self._trial: Trial | None = None
        self._changing: list[Method] = []  # what must have settled: it changes the layers, or the loss that is compared
        self._counting: list[Method] = []  # what counts the steps of the optimizer

    def beside(self, others: Sequence[Method]) -> None:
        """Learn what to wait for, and what a trial that fails must not leave steps in."""
        self._changing = [other for other in others if other.reshapes]
        self._counting = [other for other in others if other.slot is Slot.OPTIMIZER]

    def _settled(self, recipe: Recipe) -> tuple[int, str]:
        """Say after how many epochs other Methods change nothing any more, and name the last one that does."""
        return max(((other.settled_at(recipe), other.name) for other in self._changing), default=(0, ""))

    def _first(self, recipe: Recipe) -> int:
        """Give the epochs that are done when the first trial begins."""
        return max(1, math.floor(self.start * recipe.total_epochs + 0.5), self._settled(recipe)[0])

    def check(self, recipe: Recipe) -> None:
        """Refuse a training in which no epoch follows a trial."""
        epochs, first = recipe.total_epochs, self._first(recipe)
        if first <= epochs - 2:
            return
        settled, changing = self._settled(recipe)
        if settled > epochs - 2:
            begins, remedy = f" waits until {changing} is done, after {settled}", f"let {changing} end sooner"
        else:
            begins, remedy = f".start = {self.start:g} lets its first trial begin after {first}", "lower it"
        sooner = f"{remedy}, " if epochs > 2 else ""  # two epochs have no room for it, whatever begins sooner
        raise RecipeError(
            f"layer_replacement{begins} of {epochs} epochs, and two more must follow; {sooner}train longer, or set "
            "layer_replacement.gain = 0"
        )

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the last trial is over."""
        return min(self._first(recipe) + MOST_TRIALS, recipe.total_epochs)

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Refuse a network that has nothing to replace."""
        if self.gain and not _replaceable(model):
            raise RecipeError(
                "layer_replacement needs a 3x3 convolution that reads and writes 2 channels or more, and this network "
                "has none; use another network, or set layer_replacement.gain = 0"
            )
        return model

    def quiet_until(self, run: Run) -> int:
        """Say when the next trial may begin or end."""
        if self._is_over and self._trial is None:
            return run.recipe.total_epochs
        return max(run.epoch + 1, min(self._first(run.recipe), run.recipe.total_epochs))

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Measure, and replace what is worth it."""
        if not self.gain:
            return
        self._losses = self._losses.to(run.device)
        due = self._first(run.recipe) <= run.epoch <= run.recipe.total_epochs - 2
        if due and not self._is_over:
            yield from self._try(run)

    def _try(self, run: Run) -> Iterator[Surgery]:
        self._step_seconds = self._step_seconds or run.step_cost(run.batch_size).seconds
        convolutions, goal = _replaceable(run.model), self.gain * self._step_seconds
        inputs = _inputs(run, convolutions)
        found = candidates(convolutions, inputs, run.batch_size, run.layer_cost, run.recipe.seed)
        plan = chosen(found, goal - self._saved)
        saved = sum(candidate.saved for candidate in plan)
        self._trials += 1
        self._is_over = not plan or self._trials == MOST_TRIALS or self._saved + saved >= goal
        figures: dict[str, float] = {"candidates": len(found), "layers": len(plan)}
        if not plan:
            yield Surgery("replace", (), figures)
            return
        figures |= {"saving": saved / self._step_seconds, "damage": max(candidate.damage for candidate in plan)}
        beside = [*self._counting, *([] if run.scaling is None else [run.scaling])]
        snapshot = Snapshot.of(run.model, run.optimizer, [candidate.layer for candidate in plan], beside=beside)
        made = {c.layer: fitted_to(convolutions[c.layer], c.form, inputs[c.layer], run.recipe.seed) for c in plan}
        yield Surgery("replace", (ReplaceLayers(made, {c.layer: c.form for c in plan}),), figures)
        self._trial = Trial(snapshot, self._recent_loss(run), self._since, self._saved)
        self._since, self._saved = run.epoch, self._saved + saved

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Let the learning rate rise from zero behind a replacement."""
        if self._since >= 0 and self.rewarm:
            since = run.epoch - self._since + (run.epoch_step + 0.5) / run.steps_per_epoch
            run.learning_rate *= min(1.0, since / self.rewarm)
        return x, y

    def after_step(self, run: Run) -> None:
        """Remember the loss."""
        if self.gain:
            assert run.loss is not None
            self._losses.copy_(torch.cat([self._losses[1:], run.loss.reshape(1).to(self._losses)]))

    def _recent_loss(self, run: Run) -> float:
        return self._losses[-min(JUDGED_STEPS, run.steps_per_epoch) :].mean().item()

    def loss_put_back(self, run: Run) -> float | None:
        """Give the loss before a trial that `on_epoch_end` undoes."""
        return self._trial.loss if self._trial is not None and not self._stands(run, self._trial) else None

    def _stands(self, run: Run, trial: Trial) -> bool:
        # One that is not a number is not below anything, and one early step without an end is in the mean alone.
        return math.isfinite(run.epoch_loss) and self._recent_loss(run) <= MOST_LOSS * trial.loss

    def on_epoch_end(self, run: Run) -> Iterable[Surgery]:
        """Undo the trial if the loss is too high."""
        trial, self._trial = self._trial, None
        if trial is None or self._stands(run, trial):
            return
        self._is_over, self._since, self._saved = True, trial.since, trial.saved
        ratio = self._recent_loss(run) / max(trial.loss, torch.finfo(torch.float32).tiny)
        known = {"loss_ratio": ratio} if math.isfinite(ratio) else {}
        yield Surgery("restore", (TakeBack(trial.snapshot),), {**known, "layers": len(trial.snapshot.layers)})

    def state_dict(self) -> dict[str, Any]:
        """Give what was tried; the shape itself is in the history of the training."""
        counts = {"trials": self._trials, "is_over": self._is_over, "since": self._since}
        return {**counts, "step_seconds": self._step_seconds, "saved": self._saved, "losses": self._losses}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._trials, self._is_over, self._since = state["trials"], state["is_over"], state["since"]
        self._step_seconds, self._saved, self._losses = state["step_seconds"], state["saved"], state["losses"].clone()


def _inputs(run: Run, convolutions: Mapping[str, nn.Conv2d]) -> dict[str, Tensor]:
    """Give what convolutions get, requiring a gradient where training needs it: not where nothing before is trained."""
    layers = ((name, module) for name, module in run.model.named_modules() if isinstance(module, _LAYERS))
    trained = [name for name, layer in layers if any(p.requires_grad for p in layer.parameters())]
    first = next(iter(run.anatomy.inputs_of(trained, 2)))  # of one image, batch norm may see one pixel
    found = run.anatomy.inputs_of(convolutions, IMAGES)
    return {name: x.requires_grad_(name != first) for name, x in found.items()}


def _replaceable(model: nn.Module) -> dict[str, nn.Conv2d]:
    """Find what can be replaced: not kernels that are 3x3 now, and will grow."""
    growing = large_kernels(model)
    named = ((name, module) for name, module in model.named_modules() if isinstance(module, nn.Conv2d))
    return {name: conv for name, conv in named if is_replaceable(conv) and name not in growing}
