"""The training of one Recipe, from images to Outcome."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain, islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import methods
from paretosearch.channels import Shadow
from paretosearch.data import ImageSet
from paretosearch.errors import DivergedError
from paretosearch.outcome import EpochResult, Outcome
from paretosearch.recipe import Recipe
from paretosearch.run import Loss, Run, Step, StepCost
from paretosearch.training.build import build_batches, build_model, build_optimizer, edited_split, training_split
from paretosearch.training.checkpoint import Checkpoint, restore, taken
from paretosearch.training.clock import Clock
from paretosearch.training.evaluation import Evaluator
from paretosearch.training.forward import Forward
from paretosearch.training.meters import Effort, PeakMemory, energy_joules
from paretosearch.training.phases import Setting
from paretosearch.training.precision import Precision
from paretosearch.training.reestimate import reestimate
from paretosearch.training.results import epoch_result, outcome_of
from paretosearch.training.shape import Shape
from paretosearch.training.stepcost import layer_cost, step_cost
from paretosearch.training.surgery import Surgeon
from paretosearch.training.tiers import SEARCH_PAYS_FROM, Recorder, Stepper, fit_to_shape, recorder_for
from paretosearch.training.worth import QUEUED_STEPS, TRIAL_STEPS, queued_seconds
from paretosearch.views import single

#: Enough images for the statistics of an inserted layer.
SAMPLE_IMAGES = 128


@dataclass(frozen=True)
class Trained:
    """What a training leaves: how it went, and the network on its device."""

    outcome: Outcome
    model: nn.Module


def train(
    recipe: Recipe,
    images: ImageSet,
    device: torch.device,
    on_epoch: Callable[[EpochResult], None] = lambda _: None,
    with_test: bool = False,
    checkpoint: Checkpoint | None = None,
    keep: Callable[[Checkpoint], None] | None = None,
) -> Trained:
    """Train a Recipe.

    Args:
        recipe: What to train.
        images: Its data set, at its image size.
        device: Where.
        on_epoch: Called after every epoch, off the clock; what it raises ends the training.
        with_test: Look at the test split at the end. A search must not.
        checkpoint: Where to go on; None begins anew. On a CPU the result is that of a training without a stop, bit by
            bit, but for the seconds.
        keep: Called after every epoch but the last with the state then, off the clock; it must write it, or copy it.

    Returns:
        The Outcome with `train_seconds` by the training clock, and the trained network.

    Raises:
        RecipeError: If the network, a Method or the batch size does not fit the images, or the checkpoint is of another
            Recipe.
        DeviceError: If the device cannot do the number format.
        DivergedError: If the loss is not finite at the end of an epoch whose training no Method takes back.
    """
    training = Training(recipe, images, device, on_epoch)
    if checkpoint is not None:
        restore(training, checkpoint)
    return training.go(with_test, keep)


class Training:
    """The parts of one training, and the loop over them.

    Args:
        recipe: What to train.
        images: Its data set.
        device: Where.
        on_epoch: Called after every epoch.
        recorder: Records steps as graphs; None is the device's own, which a CPU does not have.
    """

    def __init__(
        self,
        recipe: Recipe,
        images: ImageSet,
        device: torch.device,
        on_epoch: Callable[[EpochResult], None] = lambda _: None,
        recorder: Recorder | None = None,
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.images, self.device, self.on_epoch = images, device, on_epoch
        self.methods = methods.active(recipe)
        self.precision = Precision(recipe.number_format, device, recipe.headroom, recipe.seed)
        self.precision.set_flags()
        self.clock, self.memory = Clock(device), PeakMemory(device)
        self.joules, self.joules_before = energy_joules(device), 0.0
        generator = torch.Generator().manual_seed(recipe.seed)
        split = training_split(recipe, images)
        with self.clock.event(), self.clock.rebuild():
            split = edited_split(recipe, images, split, self.methods)
        self.batches = build_batches(recipe, images, split, device, generator)
        model = build_model(recipe, images, self.methods)
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
        model = self.precision.convert(model)
        self.evaluator = Evaluator(model, self.methods, images, device, self.precision, self.clock)
        plain_loss: Loss = F.cross_entropy
        self.loss = reduce(lambda loss, method: method.edit_loss(loss), self.methods, plain_loss)
        optimizer = reduce(lambda opt, method: method.wrap_optimizer(opt), self.methods, build_optimizer(model, recipe))
        plain_step: Step = self._ordinary_step
        step = reduce(lambda step, method: method.edit_step(step), self.methods, plain_step)
        as_it_was = recipe.compile == "off" and all(method.is_recordable for method in self.methods)
        recorder = recorder or recorder_for(device, self.precision.generators) if as_it_was else None
        self.stepper = Stepper(step, recorder, undo=lambda: self.precision.forget_step(optimizer))
        self.forward = Forward(
            model,
            recipe.compile,
            fuse=device.type == "cpu" and recorder is None and self.precision.has_plain_operations,
        )
        surgeon = Surgeon(model, self.batches.sample(SAMPLE_IMAGES), optimizer)
        sizes = recipe.batch_size, len(self.batches)
        self.run = Run(recipe, device, model, optimizer, generator, surgeon, self._step_cost, *sizes)
        self.run.image_size = images.image_size
        self.run.logits, self.run.gradients, self.run.apart = self._logits, self._gradients, self.clock.apart
        self.run.layer_cost, self.run.scaling = self._layer_cost, self.precision
        self.shape = Shape(self.run, surgeon, self.clock, images.channels, self._shadows)
        self.effort = Effort()
        # Of the epoch in progress: steps by their variants, and backward passes that Methods asked for beside them.
        self.variants: Counter[tuple[str, ...]] = Counter()
        self.asides = 0
        # What this process has prepared for, whatever the clock has been told.
        self._followed: Setting | None = None
        self._made_for: tuple[int, int, int] | None = None
        self.results: list[EpochResult] = []

    def go(self, with_test: bool, keep: Callable[[Checkpoint], None] | None = None) -> Trained:
        """Train what is left of the epochs."""
        while self.run.epoch < self.run.recipe.total_epochs:
            loss = self.epoch()
            self.results.append(epoch_result(self, loss))
            if keep is not None and self.run.epoch < self.run.recipe.total_epochs:
                keep(taken(self))
            self.on_epoch(self.results[-1])
        return Trained(outcome_of(self, with_test), self.evaluator.network)

    def spent_joules(self) -> float | None:
        """Energy of the device since the training began; None where it cannot be read."""
        joules = energy_joules(self.device)
        return None if joules is None or self.joules is None else self.joules_before + joules - self.joules

    def epoch(self) -> float:
        """Train one epoch; gives the mean loss, read once at its end."""
        run = self.run
        run.model.train()
        self.shape.change(chain.from_iterable(method.on_epoch_start(run) for method in self.methods))
        self.follow()
        total = torch.zeros((), device=self.device)
        self.batches.epoch = run.epoch
        batches = iter(self.batches)
        if self.stepper.is_on_trial:
            self.steps(islice(batches, max(0, min(TRIAL_STEPS, run.steps_per_epoch - QUEUED_STEPS))), total)
            self.choose_tier(batches, total, self._steps_alike())
        self.steps(batches, total)
        self._count_work()
        run.epoch, run.epoch_step = run.epoch + 1, 0
        run.epoch_loss = total.item() / run.steps_per_epoch
        loss = self._finite(run.epoch_loss)
        self.shape.change(chain.from_iterable(method.on_epoch_end(run) for method in self.methods))
        if run.epoch == run.recipe.total_epochs:
            with self.clock.event():
                reestimate(single(self.evaluator.network), self.batches, run.recipe.norm_batches, self.precision)
        return loss

    def _finite(self, loss: float) -> float:
        """Give the loss of an epoch, or that of the network that a Method puts back."""
        if math.isfinite(loss):
            return loss
        for method in self.methods:
            if (before := method.loss_put_back(self.run)) is not None:
                return before
        raise DivergedError(f"the training loss is {loss} in epoch {self.run.epoch}")

    def _count_work(self) -> None:
        """Count what was computed in the steps of an epoch, and beside them, off the clock."""
        run, flops = self.run, self.shape.flops
        for variant, steps in self.variants.items():
            works = [method.work(run, said) for method, said in zip(self.methods, variant, strict=True)]
            self.effort.add(steps * run.batch_size, steps * round(run.batch_size * flops.of_step(works)))
        self.effort.add(0, self.asides * round(run.batch_size * flops.of_step()))
        self.variants.clear()
        self.asides = 0

    def follow(self) -> None:
        """Take over what Methods have changed between epochs: sizes of batch or images, shape, what a step does."""
        run = self.run
        if run.batch_size != self.batches.batch_size:
            self.batches.resize(run.batch_size)
            run.steps_per_epoch = len(self.batches)
        before, setting = self._followed, replace(self._setting(), tier="eager")
        self._followed = setting
        if before != setting:
            self.stepper.forget()
        made_for = setting.changes, run.batch_size, run.image_size
        if self._made_for != made_for:
            fit_to_shape(self.device, search=before is None or self._is_long())
            with self.clock.event(), self.clock.rebuild():
                self.forward.adapt(*made_for)
                self.precision.settle(run.optimizer)
            self._made_for = made_for

    def _is_long(self) -> bool:
        """Whether steps of the coming shape, if they take what the last ones took, are worth preparing for.

        Those of the first one always are: other trainings of this process begin with it, long ones too.
        """
        phases = self.clock.phases
        return bool(phases) and self._steps_alike() * phases[-1].step_seconds >= SEARCH_PAYS_FROM

    def _setting(self) -> Setting:
        of_methods = [f"{method.name} {said}" for method in self.methods if (said := method.pattern(self.run))]
        patterns = filter(None, [self.precision.pattern, self._size_of_images(), *of_methods])
        tier = self.forward.tier if self.stepper.tier == "eager" else self.stepper.tier
        return Setting(self.run.batch_size, len(self.shape.surgeon.history), tier, ", ".join(patterns))

    def _size_of_images(self) -> str:
        edge = self.run.image_size
        return "" if edge == self.images.image_size else f"images of {edge} pixels"

    def _steps_alike(self) -> int:
        """Give how many steps will at least be like the coming one."""
        run = self.run
        quiet_until = min(method.quiet_until(run) for method in self.methods)
        return run.steps_per_epoch * (quiet_until - run.epoch) - run.epoch_step

    def steps(self, batches: Iterable[tuple[Tensor, Tensor]], total: Tensor) -> None:
        """Train on batches, adding up the loss."""
        self.clock.set(self._setting(), self.run.epoch)
        with self.clock.steps() as step_done:
            for x, y in batches:
                total += self._batch(x, y)
                step_done()
        self.clock.phases[-1].setting = self._setting()  # recording may have been refused

    def choose_tier(self, batches: Iterator[tuple[Tensor, Tensor]], total: Tensor, steps: int) -> None:
        """Find out whether steps like the last ones are better recorded.

        Args:
            batches: What to train on meanwhile.
            total: Sum of the loss, to be added to.
            steps: How many there will be.
        """
        step_seconds = self.clock.phases[-1].step_seconds
        if not self.stepper.may_pay(step_seconds, steps):
            return
        with self.clock.event():
            queued = [self._queued_seconds(batch, total) for batch in islice(batches, QUEUED_STEPS)]
        if queued:
            self.stepper.decide(step_seconds, min(queued), steps)

    def _queued_seconds(self, batch: tuple[Tensor, Tensor], total: Tensor) -> float:
        return queued_seconds(self.device, self.stepper.head_start, lambda: total.add_(self._batch(*batch)))

    def _batch(self, x: Tensor, y: Tensor) -> Tensor:
        run = self.run
        for method in self.methods:
            x, y = method.on_batch(run, x, y)
        run.rate.fill_(run.learning_rate)
        for group in run.optimizer.param_groups:
            group["lr"] = run.rate if self.stepper.records else run.learning_rate
        variant = tuple(method.variant(run) for method in self.methods)
        loss = self.stepper(run, x, y, variant)
        self.variants[variant] += 1
        run.step, run.epoch_step = run.step + 1, run.epoch_step + 1
        return loss

    def _ordinary_step(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        with self.precision.autocast():
            loss = self.loss(self.forward(x), y)
        run.loss = loss.detach()
        terms = [term for method in self.methods if (term := method.add_loss(run)) is not None]
        self.precision.backward(sum(terms, start=loss), run.optimizer)
        for method in self.methods:
            method.after_backward(run)
        run.stepped = self.precision.step(run.optimizer)
        run.optimizer.zero_grad(set_to_none=True)
        for method in self.methods:
            method.after_step(run)
        self.precision.settle(run.optimizer)
        return run.loss

    def _logits(self, x: Tensor) -> Tensor:
        with self.precision.autocast():
            return self.forward(x)

    def _gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        self.asides += 1
        with self.precision.autocast():
            loss = self.loss(self.forward(x), y)
        self.precision.backward(loss, self.run.optimizer)
        found = tuple(parameter.grad for parameter in self.run.model.parameters())
        self.precision.forget_step(self.run.optimizer)
        return loss.detach(), found

    def _step_cost(self, batch_size: int) -> StepCost:
        self.memory.sample()  # the measurement resets a GPU's own maximum
        self.forward.adapt(len(self.shape.surgeon.history), batch_size, self.images.image_size)
        return step_cost(self.run, self.forward, self.batches, self.loss, self.precision, batch_size)

    def _layer_cost(self, layer: nn.Module, x: Tensor) -> float:
        self.memory.sample()
        return layer_cost(layer, x, self.device, self.precision)

    def _shadows(self) -> Iterator[Shadow]:
        return chain.from_iterable(method.shadows() for method in self.methods)
