"""The training of one Recipe, from images to Outcome."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import chain

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import methods, nets
from paretosearch.channels import Shadow
from paretosearch.data import Batches, ImageSet, Split, subset
from paretosearch.errors import DivergedError
from paretosearch.method import Method
from paretosearch.outcome import EpochResult, Outcome
from paretosearch.recipe import Recipe
from paretosearch.run import Loss, Run, Step, StepCost
from paretosearch.training.checkpoint import Checkpoint, restore, taken
from paretosearch.training.clock import Clock
from paretosearch.training.meters import Effort, PeakMemory, count_parameters, energy_joules
from paretosearch.training.precision import Precision
from paretosearch.training.shape import Shape
from paretosearch.training.stepcost import step_cost
from paretosearch.training.surgery import Surgeon

#: Large enough to fill a GPU with small images, small enough for the memory of a small one with large images.
EVALUATION_BATCH = 500

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
        DivergedError: If the loss is not finite at the end of an epoch.
    """
    training = Training(recipe, images, device, on_epoch)
    if checkpoint is not None:
        restore(training, checkpoint)
    return training.go(with_test, keep)


def build_model(recipe: Recipe, images: ImageSet, active: Sequence[Method]) -> nn.Module:
    """Build a Recipe's network for a data set, with what the Methods make of it, on the CPU.

    Raises:
        RecipeError: If the network does not fit the images, or a Method does not fit the network.
    """
    shape = {"channels": images.channels, "image_size": images.image_size}
    model = nets.build(recipe.network, classes=len(images.classes), width=recipe.width, **shape)
    return reduce(lambda net, method: method.edit_model(net), active, model)


class Training:
    """The parts of one training, and the loop over them.

    Args:
        recipe: What to train.
        images: Its data set.
        device: Where.
        on_epoch: Called after every epoch.
    """

    def __init__(
        self, recipe: Recipe, images: ImageSet, device: torch.device, on_epoch: Callable[[EpochResult], None]
    ) -> None:
        torch.manual_seed(recipe.seed)
        self.images, self.device, self.on_epoch = images, device, on_epoch
        self.methods = methods.active(recipe)
        self.precision = Precision(recipe.number_format, device)
        self.precision.set_flags()
        self.clock, self.memory = Clock(device), PeakMemory(device)
        self.joules, self.joules_before = energy_joules(device), 0.0
        generator = torch.Generator().manual_seed(recipe.seed)
        self.batches = self._batches(recipe, generator)
        self.validation = self._in_order(images.validation)
        model = build_model(recipe, images, self.methods)
        model = model.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
        plain_loss: Loss = F.cross_entropy
        self.loss = reduce(lambda loss, method: method.edit_loss(loss), self.methods, plain_loss)
        optimizer = reduce(lambda opt, method: method.wrap_optimizer(opt), self.methods, _sgd(model, recipe))
        plain_step: Step = self._ordinary_step
        self.step = reduce(lambda step, method: method.edit_step(step), self.methods, plain_step)
        surgeon = Surgeon(model, self.batches.sample(SAMPLE_IMAGES), optimizer)
        sizes = recipe.batch_size, len(self.batches)
        self.run = Run(recipe, device, model, optimizer, generator, surgeon, self._step_cost, *sizes)
        image_shape = images.channels, images.image_size, images.image_size
        self.shape = Shape(self.run, surgeon, self.clock, image_shape, self._shadows)
        self.effort = Effort()
        self.results: list[EpochResult] = []

    def _batches(self, recipe: Recipe, generator: torch.Generator) -> Batches:
        split = self.images.train
        if recipe.train_images:
            split = subset(split, recipe.train_images, recipe.seed)
        pixels, labels = split.images, split.labels
        with self.clock.event():
            for method in self.methods:
                pixels, labels = method.edit_data(pixels, labels)
        augment = recipe.augmentation == "standard"
        return Batches(Split(pixels, labels), self.images, self.device, recipe.batch_size, augment, generator)

    def go(self, with_test: bool, keep: Callable[[Checkpoint], None] | None = None) -> Trained:
        """Train what is left of the epochs."""
        while self.run.epoch < self.run.recipe.epochs:
            loss = self._epoch()
            self.results.append(self._result(loss))
            if keep is not None and self.run.epoch < self.run.recipe.epochs:
                keep(taken(self))
            self.on_epoch(self.results[-1])
        return Trained(self._outcome(tuple(self.results), with_test), self._eval_model())

    def spent_joules(self) -> float | None:
        """Energy of the device since the training began; None where it cannot be read."""
        joules = energy_joules(self.device)
        return None if joules is None or self.joules is None else self.joules_before + joules - self.joules

    def _epoch(self) -> float:
        """Train one epoch; gives the mean loss, read once at its end."""
        run = self.run
        run.model.train()
        self.shape.change(chain.from_iterable(method.on_epoch_start(run) for method in self.methods))
        self._follow_batch_size()
        total = torch.zeros((), device=self.device)
        with self.clock.steps() as step_done:
            for x, y in self.batches:
                total += self._batch(x, y)
                step_done()
        self.effort.add(run.steps_per_epoch * run.batch_size, self.shape.flops_per_image)
        run.epoch, run.epoch_step = run.epoch + 1, 0
        loss = total.item() / run.steps_per_epoch
        if not math.isfinite(loss):
            raise DivergedError(f"the training loss is {loss} in epoch {run.epoch}")
        self.shape.change(chain.from_iterable(method.on_epoch_end(run) for method in self.methods))
        return loss

    def _follow_batch_size(self) -> None:
        """Give batches of the size that a Method may have set."""
        run = self.run
        if run.batch_size != self.batches.batch_size:
            self.batches.resize(run.batch_size)
            run.steps_per_epoch = len(self.batches)
            self.clock.new_phase()

    def _batch(self, x: Tensor, y: Tensor) -> Tensor:
        run = self.run
        for method in self.methods:
            x, y = method.on_batch(run, x, y)
        for group in run.optimizer.param_groups:
            group["lr"] = run.learning_rate
        loss = self.step(run, x, y)
        run.step, run.epoch_step = run.step + 1, run.epoch_step + 1
        return loss

    def _ordinary_step(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        with self.precision.autocast():
            loss = self.loss(run.model(x), y)
        run.loss = loss.detach()
        terms = [term for method in self.methods if (term := method.add_loss(run)) is not None]
        self.precision.backward(sum(terms, start=loss), run.optimizer)
        for method in self.methods:
            method.after_backward(run)
        run.stepped = self.precision.step(run.optimizer)
        run.optimizer.zero_grad(set_to_none=True)
        for method in self.methods:
            method.after_step(run)
        return run.loss

    def _step_cost(self, batch_size: int) -> StepCost:
        self.memory.sample()  # the measurement resets a GPU's own maximum
        return step_cost(self.run, self.batches, self.loss, self.precision, batch_size)

    def _shadows(self) -> Iterator[Shadow]:
        return chain.from_iterable(method.shadows() for method in self.methods)

    def _eval_model(self) -> nn.Module:
        return reduce(lambda net, method: method.eval_model(net), self.methods, self.run.model)

    def _in_order(self, split: Split) -> Batches:
        return Batches.in_order(split, self.images, self.device, EVALUATION_BATCH)

    def _accuracy(self, batches: Batches, count: int) -> float:
        """Share of ``count`` images that is classified correctly, in the Recipe's own number format."""
        model = self._eval_model().eval()
        correct = torch.zeros((), dtype=torch.int64, device=self.device)
        with torch.no_grad(), self.precision.autocast():
            for x, y in batches:
                correct += (model(x).argmax(1) == y).sum()
        return correct.item() / count

    def _result(self, loss: float) -> EpochResult:
        run = self.run
        self.memory.sample()
        median, iqr = self.clock.latest(run.steps_per_epoch)
        return EpochResult(
            epoch=run.epoch,
            train_seconds=self.clock.train_seconds,
            accuracy=self._accuracy(self.validation, len(self.images.validation)),
            loss=loss,
            learning_rate=run.learning_rate,
            batch_size=run.batch_size,
            parameters=count_parameters(run.model),
            flops_per_image=self.shape.flops_per_image,
            step_seconds=median,
            step_seconds_iqr=iqr,
            skipped_steps=self.precision.take_skipped(),
        )

    def _outcome(self, results: tuple[EpochResult, ...], with_test: bool) -> Outcome:
        last = results[-1]
        outcome = Outcome(
            "complete",
            train_seconds=self.clock.train_seconds,
            wall_seconds=self.clock.wall_seconds,
            accuracy=last.accuracy,
            training_flops=self.effort.flops,
            inference_flops=last.flops_per_image,
            parameters=last.parameters,
            peak_memory_bytes=self.memory.sample(),
            images_per_second=self.effort.images / self.clock.train_seconds,
            energy_joules=self.spent_joules(),
            noisy=self.clock.noisy,
            epochs=results,
            surgeries=tuple(self.shape.results),
        )
        if not with_test:
            return outcome
        test = self.images.test
        return replace(outcome, test_accuracy=self._accuracy(self._in_order(test), len(test)))


def _sgd(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Make SGD whose decay leaves biases and normalisation alone (He et al. 2019, arXiv:1812.01187, section 3.1)."""
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": plain, "weight_decay": 0.0}]
    nesterov = recipe.momentum > 0
    optimizer = torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=nesterov, fused=True)
    if recipe.momentum > 0:
        # Left to itself the fused step makes the buffers without filling them, and an overflow in the first step of a
        # scaled training would then keep whatever was in that memory.
        for p in model.parameters():
            optimizer.state[p]["momentum_buffer"] = torch.zeros_like(p)
    return optimizer
