"""The suite that every Method of the catalogue passes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import replace
from functools import cache, reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.axis import Axis, Choice, Text, Value
from paretosearch.errors import RecipeError
from paretosearch.method import NAMED_SLOTS, Method
from paretosearch.recipe import Recipe
from paretosearch.run import Loss, Run, Sight, Step, StepCost
from paretosearch.testing.acting import (
    BATCH,
    EPOCHS,
    SIGNS,
    STEPS,
    Setting,
    is_idle,
    suited,
)
from paretosearch.training.surgery import Surgeon

__all__ = ["BATCH", "NETWORKS", "STEPS", "TinyTraining", "suited"]

CLASSES = 4

#: A small one of each kind of network, with the edge of the images for it.
NETWORKS = {
    "convnet": 16,
    "convnet5": 32,
    "resnet8": 16,
    "vgg11": 16,
    "resnet18": 16,
    "torchvision:squeezenet1_1": 40,
}


#: Methods that find nothing to do in a network, and refuse it.
NOTHING_TO_DO = {
    ("early_bird", "torchvision:squeezenet1_1"),  # no batch norm
    ("ghost_norm", "torchvision:squeezenet1_1"),  # nor here
    ("haar_stem", "torchvision:squeezenet1_1"),  # a stride in the first convolution
    ("progressive_resolution", "vgg11"),  # a total stride of 16
    *(("kernel_rescaling", network) for network in NETWORKS if network != "convnet5"),  # 3x3 kernels
}

#: Learning rate, and the one for networks without batch norm, which bear no more.
RATE, BARE_RATE = 0.05, 0.002


class TinyTraining:
    """The training loop on random images, without what only real ones need: number formats, a clock, surgery.

    Args:
        methods: The Methods, in the order of the catalogue.
        network: One of `NETWORKS`, or another for images of 16 pixels.
        width: Factor on its channel counts, where these are not fixed; None makes it small.
        epochs: How many `to_the_end` trains.
    """

    def __init__(
        self, methods: Sequence[Method], network: str = "convnet", width: float | None = None, epochs: int = EPOCHS
    ) -> None:
        torch.manual_seed(0)
        self.methods = methods
        width = 1.0 if network.startswith("torchvision:") else width or 0.125
        size = NETWORKS.get(network, 16)
        images, labels = _images(size)
        channels, edge = 1, size
        for method in methods:
            method.beside([other for other in methods if other is not method])
            channels, edge = method.edit_input(channels, edge)
        model = nets.build(network, classes=CLASSES, channels=channels, image_size=edge, width=width)
        for method in methods:
            method.see(Sight((0.0,), (1.0,), mirrored=True))
            images, labels = method.edit_data(images, labels)
            model = method.edit_model(model)
        self._images, self._labels = images.float() / 255, labels
        self.batch = self._images[:BATCH], labels[:BATCH]
        self._told: set[str] = set()
        rate = RATE if any(isinstance(module, nn.BatchNorm2d) for module in model.modules()) else BARE_RATE
        self.loss: Loss = F.cross_entropy
        self.step: Step = self._ordinary_step
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), lr=0.0, momentum=0.9, nesterov=True)
        for method in methods:
            self.loss, self.step = method.edit_loss(self.loss), method.edit_step(self.step)
            optimizer = method.wrap_optimizer(optimizer)
        recipe = Recipe("random", network, width=width, epochs=epochs, batch_size=BATCH, learning_rate=rate)
        on = {method.name: {key: getattr(method, key) for key in method.space} for method in methods if method.switch}
        recipe = replace(recipe, reference_batch_size=BATCH, channel_multiple=1, methods=on)
        generator = torch.Generator().manual_seed(0)
        self.surgeon = Surgeon(model, self.batch[0], optimizer)
        given = recipe, torch.device("cpu"), model, optimizer, generator, self.surgeon, _step_cost, BATCH, STEPS
        self.run = Run(*given, learning_rate=rate)
        self.run.logits, self.run.gradients, self.run.layer_cost = model, self._gradients, _layer_cost
        self.run.image_size = size

    def epoch(self) -> TinyTraining:
        """Train two steps, on other images each if the batch is not all of them."""
        self.run.model.train()
        self._change("on_epoch_start")
        for step in range(STEPS):
            rows = torch.arange(step * self.run.batch_size, (step + 1) * self.run.batch_size) % len(self._images)
            self._batch(self._images[rows], self._labels[rows])
        self.run.epoch, self.run.epoch_step = self.run.epoch + 1, 0
        self._change("on_epoch_end")
        return self

    def to_the_end(self) -> TinyTraining:
        """Train the epochs that are left."""
        while self.run.epoch < self.run.recipe.epochs:
            self.epoch()
        return self

    def _change(self, verb: str) -> None:
        for method in self.methods:
            for surgery in getattr(method, verb)(self.run):
                self._told.add(surgery.kind if surgery.operations else f"note of {surgery.kind}")
                self.surgeon.operate(surgery, [shadow for other in self.methods for shadow in other.shadows()])

    def logits(self) -> Tensor:
        """Evaluate what the Methods want evaluated; gives (N, K)."""
        model = reduce(lambda net, method: method.eval_model(net), self.methods, self.run.model).eval()
        with torch.no_grad():
            logits: Tensor = model(self.batch[0])
        return logits

    def signs(self) -> set[str]:
        """Tell which changes and notes there were, and which Methods have put another network in its place now."""
        model = self.run.model
        return self._told | {f"{m.name} answers" for m in self.methods if m.eval_model(model) is not model}

    def checkpoint(self) -> bytes:
        """Write all that is needed to continue."""
        file = io.BytesIO()
        states = [method.state_dict() for method in self.methods]
        model, optimizer = self.run.model.state_dict(), self.run.optimizer.state_dict()
        counters = {name: getattr(self.run, name) for name in ("epoch", "step", "batch_size", "learning_rate")}
        plain = {"counters": counters, "history": self.surgeon.history, "random": torch.get_rng_state()}
        torch.save({"model": model, "optimizer": optimizer, "methods": states, **plain}, file)
        return file.getvalue()

    def resume(self, checkpoint: bytes) -> TinyTraining:
        """Continue from a checkpoint."""
        state: dict[str, Any] = torch.load(io.BytesIO(checkpoint), weights_only=True)
        self.surgeon.replay(state["history"])
        self.run.model.load_state_dict(state["model"])
        self.run.optimizer.load_state_dict(state["optimizer"])
        for method, its_state in zip(self.methods, state["methods"], strict=True):
            method.load_state_dict(its_state)
        for name, value in state["counters"].items():
            setattr(self.run, name, value)
        torch.set_rng_state(state["random"])
        return self

    def _batch(self, x: Tensor, y: Tensor) -> None:
        run = self.run
        torch.manual_seed(run.step)  # a training that is continued draws what an unbroken one does
        for method in self.methods:
            x, y = method.on_batch(run, x, y)
        run.rate.fill_(run.learning_rate)
        for group in run.optimizer.param_groups:
            group["lr"] = run.learning_rate
        self.step(run, x, y)
        run.step, run.epoch_step = run.step + 1, run.epoch_step + 1

    def _ordinary_step(self, run: Run, x: Tensor, y: Tensor) -> Tensor:
        loss = self.loss(run.model(x), y)
        run.loss = loss.detach()
        terms = [term for method in self.methods if (term := method.add_loss(run)) is not None]
        torch.autograd.backward(sum(terms, start=loss))
        for method in self.methods:
            method.after_backward(run)
        run.optimizer.step()
        run.stepped = torch.ones(())
        run.optimizer.zero_grad()
        for method in self.methods:
            method.after_step(run)
        return run.loss

    def _gradients(self, x: Tensor, y: Tensor) -> tuple[Tensor, tuple[Tensor | None, ...]]:
        loss = self.loss(self.run.model(x), y)
        torch.autograd.backward(loss)
        found = tuple(parameter.grad for parameter in self.run.model.parameters())
        self.run.optimizer.zero_grad()
        return loss.detach(), found


def _step_cost(batch_size: int) -> StepCost:
    """Say that a step takes a second whatever its batch size."""
    return StepCost(1.0, batch_size, None)


def _layer_cost(layer: nn.Module, _: Tensor) -> float:
    """Say that a layer takes a microsecond for each of its weights."""
    return 1e-6 * sum(parameter.numel() for parameter in layer.parameters())


def check_description(method: type[Method]) -> None:
    """Check that a table and a study file can show the Method, and that something turns it on or off."""
    assert method.name.isidentifier()
    assert method.name == method.name.lower()
    assert 0 < len(method.summary) <= 60
    assert "\n" not in method.summary + method.paper
    assert all(f"{key}:" in (method.__doc__ or "") for key in method.space), "the docstring misses a parameter"
    assert (method.switch is None) == (method.slot in NAMED_SLOTS), "a named slot or a switch decides, never both"


def check_parameters(method: type[Method]) -> None:
    """Check that the defaults are allowed, and that what is not allowed is refused."""
    made = method()
    assert all(getattr(made, key) == axis.default for key, axis in method.space.items())
    assert _refuses(method, "no_such_parameter", 1)
    assert all(_refuses(method, key, value) for key, axis in method.space.items() for value in _outside(axis))


def check_training(method: type[Method], network: str) -> None:
    """Check that a network trains and evaluates with the Method, or is refused if there is nothing to do in it."""
    if (method.name, network) in NOTHING_TO_DO:
        assert _refuses_network(method, network)
        return
    setting = replace(suited(method), network=network)
    training = _begun((method,), setting)
    before = [p.detach().clone() for p in training.run.model.parameters()]
    logits = training.to_the_end().logits()
    assert logits.shape == (BATCH, CLASSES)
    assert logits.isfinite().all()
    assert all(p.isfinite().all() for p in training.run.model.parameters())
    assert not _are_equal(before, list(training.run.model.parameters())), "nothing was trained"
    _check_acts(method, training, _result((), setting), network)


def check_off(method: type[Method]) -> None:
    """Check that a Method with a switch is off by default, and then changes no bit of a training."""
    if method.switch is None:
        return
    assert method.space[method.switch].default == method.off
    assert _same_weights(TinyTraining((method(),)).epoch(), TinyTraining(()).epoch())


def check_checkpoint(method: type[Method]) -> None:
    """Check that a training continued from any checkpoint goes on as one that was never stopped."""
    setting = suited(method)
    training = _stopped_and_continued((method,), setting, range(1, setting.epochs))
    _check_acts(method, training, _result((), setting))


def check_pair(first: type[Method], second: type[Method]) -> None:
    """Check that a network trains with two Methods at once, in the order of the catalogue, and goes on after a stop.

    Each of them must act beside the other: without it the result is another one.
    """
    setting = suited(first, second)
    training = _stopped_and_continued((first, second), setting, [setting.epochs // 2])
    assert training.logits().isfinite().all()
    for method, other in ((first, second), (second, first)):
        _check_acts(method, training, _result((other,), setting), other.name)


def _begun(methods: Sequence[type[Method]], setting: Setting) -> TinyTraining:
    made = [setting.turned_on(method) for method in methods]
    return TinyTraining(made, setting.network, setting.width, setting.epochs)


def _stopped_and_continued(methods: Sequence[type[Method]], setting: Setting, stops: Sequence[int]) -> TinyTraining:
    """Compare a training with those that continue from its checkpoints after some epochs; gives it as it ends."""
    unbroken, checkpoints = _begun(methods, setting), []
    for epoch in range(1, setting.epochs + 1):
        unbroken.epoch().logits()  # to look at it must leave no trace
        checkpoints += [unbroken.checkpoint()] if epoch in stops else []
    for checkpoint in checkpoints:
        resumed = _begun(methods, setting).resume(checkpoint).to_the_end()
        assert _same_weights(resumed, unbroken)
        assert torch.equal(resumed.logits(), unbroken.logits())
    return unbroken


@cache
def _result(methods: tuple[type[Method], ...], setting: Setting) -> list[Tensor]:
    """Give what a whole training ends with: the state of the network, and what it answers."""
    return _found(_begun(methods, setting).to_the_end())


def _found(training: TinyTraining) -> list[Tensor]:
    return [*training.run.model.state_dict().values(), training.logits()]


def _check_acts(method: type[Method], training: TinyTraining, without: list[Tensor], beside: str = "") -> None:
    """Check that the result is not the one without a Method, and that there is the sign of it, if it has one."""
    is_told = method.name not in SIGNS or SIGNS[method.name] in training.signs()
    acted = is_told and not _are_equal(_found(training), without)
    said = {True: "acts, and is said to be idle", False: "does not act"}[acted]
    assert is_idle(method, beside) in (None, not acted), f"{method.name} {said}, beside {beside or 'nothing'}"


def _are_equal(ours: Sequence[Tensor], theirs: Sequence[Tensor]) -> bool:
    return len(ours) == len(theirs) and all(map(_is_equal, ours, theirs))


def _is_equal(one: Tensor, other: Tensor) -> bool:
    return one.dtype == other.dtype and torch.equal(one, other)


def _images(size: int) -> tuple[Tensor, Tensor]:
    """Draw two batches: a hard one, and one of a class of its own, which makes the loss of the other rise."""
    images = torch.randint(0, 256, (2 * BATCH, 1, size, size), dtype=torch.uint8)
    hard = torch.randint(1, CLASSES, (BATCH,))
    return images, torch.cat([hard, torch.zeros_like(hard)])


def _outside(axis: Axis) -> tuple[Value, ...]:
    strange = ("no such value", float("nan"))
    return strange if isinstance(axis, Choice | Text) else (*strange, axis.low - 1, axis.high + 1)


def _refuses(method: type[Method], key: str, value: Value) -> bool:
    try:
        method(**{key: value})
    except RecipeError as error:
        return method.name in str(error) and key in str(error) and "\n" not in str(error)
    return False


def _refuses_network(method: type[Method], network: str) -> bool:
    try:
        training = _begun((method,), Setting(network, None))
        training.methods[0].check_anatomy(training.surgeon, network)
    except RecipeError as error:
        return method.name in str(error) and "\n" not in str(error)
    return False


def _same_weights(a: TinyTraining, b: TinyTraining) -> bool:
    ours, theirs = a.run.model.state_dict(), b.run.model.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)
