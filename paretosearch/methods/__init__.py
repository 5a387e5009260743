"""The catalogue of Methods."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from functools import partial

from paretosearch.axis import Axis, Value
from paretosearch.errors import RecipeError, about, suggest
from paretosearch.method import NAMED_SLOTS, Method, Slot
from paretosearch.methods import compatibility
from paretosearch.methods.avg import AveragePooling
from paretosearch.methods.constant import Constant
from paretosearch.methods.dynamic_batch import DynamicBatch
from paretosearch.methods.early_bird import EarlyBird
from paretosearch.methods.ema import EMA
from paretosearch.methods.ghost_norm import GhostNorm
from paretosearch.methods.gradient_approximation import GradientApproximation
from paretosearch.methods.gradient_clipping import GradientClipping
from paretosearch.methods.gradient_pruning import GradientPruning
from paretosearch.methods.haar_stem import HaarStem
from paretosearch.methods.isgd import ISGD
from paretosearch.methods.kernel_rescaling import KernelRescaling
from paretosearch.methods.label_smoothing import LabelSmoothing
from paretosearch.methods.layer_replacement import LayerReplacement
from paretosearch.methods.ll import LowBandPooling
from paretosearch.methods.lottery_ticket import LotteryTicket
from paretosearch.methods.max import MaxPooling
from paretosearch.methods.muon import Muon
from paretosearch.methods.native import NativePooling
from paretosearch.methods.net2net import Net2Net
from paretosearch.methods.one_cycle import OneCycle
from paretosearch.methods.progressive_resolution import ProgressiveResolution
from paretosearch.methods.prunetrain import PruneTrain
from paretosearch.methods.s3 import S3Pooling
from paretosearch.methods.schedule_free import ScheduleFree
from paretosearch.methods.selective_backprop import SelectiveBackprop
from paretosearch.methods.ssf import SSF
from paretosearch.methods.standardization_loss import StandardizationLoss
from paretosearch.methods.stochastic import StochasticPooling
from paretosearch.methods.swa import SWA
from paretosearch.methods.test_views import ViewAveraging
from paretosearch.methods.weight_norm import WeightNorm
from paretosearch.methods.whitening import Whitening
from paretosearch.recipe import Recipe
from paretosearch.space import Activation

__all__ = ["CATALOGUE", "activations", "active", "by_name", "parameters", "without_switch"]

#: Every Method, in the order in which the loop calls them: what sets the learning rate stands before what scales it,
#: what changes the shape before what must follow, what changes gradients before what limits them, and what chooses the
#: weights to evaluate before what evaluates them. Those of the backward pass let go of the network at the end of an
#: epoch, before others operate on it.
CATALOGUE: tuple[type[Method], ...] = (
    NativePooling,
    MaxPooling,
    AveragePooling,
    LowBandPooling,
    StochasticPooling,
    S3Pooling,
    HaarStem,
    Whitening,
    WeightNorm,
    SSF,
    OneCycle,
    Constant,
    SelectiveBackprop,
    ISGD,
    LotteryTicket,
    SWA,
    EMA,
    Muon,
    ScheduleFree,
    LabelSmoothing,
    GradientApproximation,
    GradientPruning,
    ProgressiveResolution,
    KernelRescaling,
    Net2Net,
    PruneTrain,
    EarlyBird,
    LayerReplacement,
    GradientClipping,
    DynamicBatch,
    GhostNorm,
    StandardizationLoss,
    ViewAveraging,
)


def by_name(name: str) -> type[Method]:
    """Find a Method.

    Raises:
        RecipeError: If there is none of this name.
    """
    for method in CATALOGUE:
        if method.name == name:
            return method
    raise RecipeError(f"there is no method {name!r}{suggest(name, [method.name for method in CATALOGUE])}")


def active(recipe: Recipe) -> tuple[Method, ...]:
    """Make the Methods of a Recipe, without those that their switch turns off.

    Args:
        recipe: Names a Method for each named slot, and any others with their parameters.

    Returns:
        The Methods in the order of the catalogue.

    Raises:
        RecipeError: If a Method or a parameter is unknown, a parameter is outside its range, two Methods take
            the same slot or do not go together, or a Method could never act.
    """
    parameters: dict[str, Mapping[str, Value]] = {_of_slot(recipe, slot).name: {} for slot in NAMED_SLOTS}
    parameters |= {by_name(name).name: values for name, values in recipe.methods.items()}
    on = _on(parameters)
    _check_slots(on)
    compatibility.check(recipe, [method.name for method in on])
    for method in on:
        with about(method.key()):
            method.check(recipe)
    return on


def _on(parameters: Mapping[str, Mapping[str, Value]]) -> tuple[Method, ...]:
    """Make Methods by their parameters, which know of each other, without those that are off."""
    made = (method(**parameters[method.name]) for method in CATALOGUE if method.name in parameters)
    on = tuple(method for method in made if method.is_on)
    for method in on:
        method.beside([other for other in on if other is not method])
    return on


def settled_at(recipe: Recipe) -> int:
    """Say after how many epochs every change that a Recipe plans is made; see `Method.settled_at`."""
    # Not by max(): that is the name of a module here, a pooling.
    return sorted((0, *(method.settled_at(recipe) for method in active(recipe))))[-1]


def activations() -> tuple[Activation, ...]:
    """Tell when each Method is part of a Recipe."""
    return tuple(_activation(method) for method in CATALOGUE)


def parameters() -> dict[str, Axis]:
    """Give the allowed range and default of every ``method.parameter``."""
    return {f"{method.name}.{key}": axis for method in CATALOGUE for key, axis in method.space.items()}


def without_switch(named: Mapping[str, Collection[str]]) -> dict[str, str]:
    """Say what is wrong with Methods that a file names, but for their switch, which leaves them off.

    Args:
        named: The parameters that the file names of every Method; a name that is in no catalogue is passed over.

    Returns:
        By name of the Method, such as ``does nothing while haar_stem.kind is "off"; set haar_stem.kind, or take it
        out``.
    """
    silent = (
        method
        for method in CATALOGUE
        if method.switch and method.switch not in named.get(method.name, (method.switch,))
        if method.default(method.switch) == method.off
    )
    return {method.name: f"{_idle(method)}; set {method.key()}, or take it out" for method in silent}


def _idle(method: type[Method]) -> str:
    return f"does nothing while {method.key()} is {json.dumps(method.off)}"


def _of_slot(recipe: Recipe, slot: Slot) -> type[Method]:
    name: str = getattr(recipe, slot.value)
    candidates = {method.name: method for method in CATALOGUE if method.slot is slot}
    if name not in candidates:
        raise RecipeError(f'{slot.value} = "{name}" is no {slot.value} method{suggest(name, candidates)}')
    return candidates[name]


def _check_slots(methods: tuple[Method, ...]) -> None:
    taken: dict[Slot, str] = {}
    for method in methods:
        if method.slot in taken:
            both = f"{taken[method.slot]} and {method.name}"
            raise RecipeError(f"{both} both take the {method.slot.value} slot; keep one of them")
        if method.slot is not None:
            taken[method.slot] = method.name


def _activation(method: type[Method]) -> Activation:
    keys = tuple(method.space)
    if method.slot in NAMED_SLOTS:
        return Activation(method.name, method.key(), method.name, on=True, parameters=keys)
    assert method.off is not None
    canonical = partial(_canonical, method)
    return Activation(method.name, method.key(), method.off, on=False, parameters=keys, canonical=canonical)


def _canonical(method: type[Method], recipe: Recipe) -> Mapping[str, Value] | None:
    if _gives_way(method, recipe):
        return None
    made = method(**recipe.methods[method.name])
    if method.beside is not Method.beside:
        others = [by_name(name) for name in recipe.methods if name != method.name]
        made.beside([other(**recipe.methods[other.name]) for other in others if not _gives_way(other, recipe)])
    return made.canonical(recipe)


def _gives_way(method: type[Method], recipe: Recipe) -> bool:
    """Whether a Recipe that a search made has a Method before this one that it does not go with."""
    before = [m for m in CATALOGUE[: CATALOGUE.index(method)] if m.name in recipe.methods]
    same_slot = any(m.slot is method.slot for m in before if m.slot is not None)
    return same_slot or compatibility.gives_way(method.name, recipe, [m.name for m in before])
