"""Gradient approximation: in every other step most convolutions get a cheaper gradient of their weight, or none."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from paretosearch import weight_gradients
from paretosearch.axis import Choice, Real, Value
from paretosearch.errors import RecipeError
from paretosearch.geometry import Geometry
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe
from paretosearch.run import Run, Step, Work
from paretosearch.surgery import Surgery
from paretosearch.weight_gradients import Rule, convolve
from paretosearch.weightnorm import WeightNormConv2d

#: Where nn.Conv2d does its work, which is replaced during an epoch.
_WORK = "_conv_forward"

#: What each kind needs to know beside the rest.
_OWN = {"zero": {"momentum_on_skip", "rescale"}, "random": {"rescale"}, "channels": {"keep"}, "samples": {"keep"}}


class GradientApproximation(Method):
    """Compute the weight gradients of most convolutions in some steps only; what is left out is real time.

    The gradients of activations, biases, normalisation and all other layers are exact in every step. About a third of
    a convolution's time is for its weight's gradient, so that leaving it out in every other step saves a sixth: steps
    of resnet20 took 0.86 of their time on a CPU core, 0.79 with one exact step of four, 0.95 with half of the channels;
    to draw half of the images saved nothing there, where layers are narrow (benchmarks/results/backward-cpu.txt). The
    penalty of prunetrain acts in every step, and moves weights that have no other gradient.

    The kinds and their schedule are ours: of Wang, Nelaturu & Amarasinghe 2019, arXiv:1908.05460, which this follows in
    spirit, the abstract alone could be read, and which three approximations it has, where and when, could not be
    verified. To keep channels is what ssProp does, arXiv:2408.12561, for the gradients of activations as well.

    Args:
        kind: ``zero`` leaves the gradient out, ``random`` puts noise of the last exact one's size in its place,
            ``channels`` computes it for the output channels with the largest sum of absolute gradients, ``samples``
            estimates it from some of the images, without bias; ``none`` is off.
        every: Of so many steps one is exact, counted from the first of an epoch. The training clock takes the mean of
            steps by fours, in which all of this must be.
        keep: Share of the channels or images that are used, below 1; of several one at least is left out.
        layers: ``inner`` are all 3x3 convolutions but the first one and those of the last block; ``all`` are the
            convolutions of any size but the first one, which reads the images.
        momentum_on_skip: Whether a weight without a gradient goes on by its momentum and decay; else it stays as it is.
        rescale: Whether exact gradients count for the steps without one too, which makes their mean over steps exact.
    """

    name = "gradient_approximation"
    summary = "most weight gradients left out of every other step"
    paper = "after Wang et al. 2019, arXiv:1908.05460"
    slot = Slot.BACKWARD
    space = {
        "kind": Choice(("none", "zero", "random", "channels", "samples"), default="none"),
        "every": Choice((2, 4), default=2),
        "keep": Real(0.05, 1.0, default=0.5),
        "layers": Choice(("inner", "all"), default="inner"),
        "momentum_on_skip": Choice((False, True), default=False),
        "rescale": Choice((False, True), default=False),
    }
    switch = "kind"
    off = "none"

    kind: str
    every: int
    keep: float
    layers: str
    momentum_on_skip: bool
    rescale: bool

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._attached: list[nn.Conv2d] = []
        # Of the last exact gradients; the first step of an epoch is one, so that no checkpoint must hold them, and the
        # memory stays the same, which recorded steps write to.
        self._spreads: dict[nn.Conv2d, Tensor] = {}
        self._is_approximate: bool | None = None  # of the step in progress; None outside of one

    def check(self, recipe: Recipe) -> None:
        """Refuse to keep everything, which is a plain training."""
        if self.keep == 1 and "keep" in _OWN.get(self.kind, ()):
            raise RecipeError(
                f'gradient_approximation.keep = 1 leaves nothing out where kind = "{self.kind}"; lower it, or set '
                'kind = "none"'
            )

    def canonical(self, recipe: Recipe) -> Mapping[str, Value] | None:
        """Leave out what the kind has no use for."""
        if not self.acts(recipe):
            return None
        given = recipe.methods[self.name]
        own = {"kind", "every", "layers"} | _OWN[self.kind]
        return {key: value if key in own else self.default(key) for key, value in given.items()}

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Refuse a network without a convolution to approximate."""
        if self.kind != self.off and not self._chosen(model):
            raise RecipeError(
                f'gradient_approximation.layers = "{self.layers}" finds no convolution to approximate in this network; '
                f'{"use layers = all" if self.layers == "inner" else "use another network"}, or set kind = "none"'
            )
        return model

    def _chosen(self, model: nn.Module) -> list[nn.Conv2d]:
        found = inner(model) if self.layers == "inner" else behind_first(model)
        return [conv for conv in found if conv.groups == 1 or self.kind != "channels"]

    def variant(self, run: Run) -> str:
        """Say which steps are not exact."""
        return "approximate" if self.kind != self.off and run.epoch_step % self.every else ""

    def work(self, run: Run, variant: str) -> Work:
        """Say of which convolutions the gradient of the weight was left out, or a part of it."""
        return Work(weights={conv: self._computed(conv, run) for conv in self._attached}) if variant else Work()

    def _computed(self, conv: nn.Conv2d, run: Run) -> float:
        of = {"channels": len(conv.weight), "samples": run.batch_size}.get(self.kind)
        return 0.0 if of is None else weight_gradients.kept(self.keep, of) / of

    def quiet_until(self, run: Run) -> int:
        """Say that it asks for no change of shape."""
        return run.recipe.total_epochs

    def edit_step(self, step: Step) -> Step:
        """Tell the convolutions what the step is."""

        def told(run: Run, x: Tensor, y: Tensor) -> Tensor:
            self._is_approximate = bool(self.variant(run))
            return step(run, x, y)

        return told

    def after_step(self, run: Run) -> None:
        """Be exact in what other Methods do with the network behind the optimizer's step."""
        self._is_approximate = None

    # Between epochs the network must be what it is: copies are made of it, and layers are inserted.
    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Take over the convolutions before the first step of an epoch."""
        if not self._attached and self.kind != self.off:
            self._attached = self._chosen(run.model)
            known = self._spreads
            self._spreads = {c: known.get(c, torch.zeros((), device=run.device)).zero_() for c in self._attached}
            for conv in self._attached:
                setattr(conv, _WORK, self._work(conv))
        return x, y

    def on_epoch_end(self, run: Run) -> Iterable[Surgery]:
        """Give them back."""
        for conv in self._attached:
            delattr(conv, _WORK)
        self._attached = []
        return ()

    def _work(self, conv: nn.Conv2d) -> object:
        """Make what a convolution does in place of its own work."""
        plain, rules, geometry = getattr(conv, _WORK), self._rules(self._spreads[conv]), Geometry.of(conv)

        def work(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
            rule = rules[self._is_approximate] if self._is_approximate is not None and conv.training else None
            y: Tensor = plain(x, weight, bias) if rule is None else convolve(x, weight, bias, geometry, rule)
            return y

        return work

    def _rules(self, spread: Tensor) -> tuple[Rule | None, Rule]:
        """Give what to do in exact steps, None where that is nothing of ours, and in the others."""
        factor = float(self.every) if self.rescale else 1.0
        in_exact = partial(weight_gradients.measured, factor=factor, spread=spread)
        skipped = weight_gradients.zero if self.momentum_on_skip else weight_gradients.none
        rules: dict[str, tuple[Rule | None, Rule]] = {
            "zero": (in_exact if self.rescale else None, skipped),
            "random": (in_exact, partial(weight_gradients.random, spread=spread)),
            "channels": (None, partial(weight_gradients.of_channels, keep=self.keep)),
            "samples": (None, partial(weight_gradients.of_samples, keep=self.keep)),
        }
        return rules[self.kind]


def behind_first(model: nn.Module) -> list[nn.Conv2d]:
    """List the convolutions of a network but the first one, and those that do more than `nn.Conv2d` does."""
    return list(_plain(model).values())


def _plain(model: nn.Module) -> dict[str, nn.Conv2d]:
    found = {name: module for name, module in model.named_modules() if isinstance(module, nn.Conv2d)}
    return {name: conv for name, conv in list(found.items())[1:] if _is_plain(conv)}


def _is_plain(conv: nn.Conv2d) -> bool:
    # Weight-normalised ones convolve as others do, with filters that they have made before.
    own_work = type(conv).forward is not nn.Conv2d.forward and not isinstance(conv, WeightNormConv2d)
    return not own_work and conv.padding_mode == "zeros" and not isinstance(conv.padding, str)


def inner(model: nn.Module) -> list[nn.Conv2d]:
    """List the 3x3 convolutions of a network but the first one and those of the last block.

    The last block is the module that the last one of them is in; where all of them are in it, that last one alone.
    """
    found = {name: conv for name, conv in _plain(model).items() if conv.kernel_size == (3, 3)}
    if not found:
        return []
    last = list(found)[-1]
    block = {name for name in found if name.startswith(last.rpartition(".")[0] + ".")}
    left_out = block if block and block != found.keys() else {last}
    return [conv for name, conv in found.items() if name not in left_out]
