"""What of a training is simulated: its seconds do not show what it promises to save."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Protocol

from paretosearch.outcome import Outcome, SurgeryResult
from paretosearch.recipe import SIMULATED_FORMATS, SIMULATED_METHODS, Recipe
from paretosearch.report.words import listed
from paretosearch.store import Point

#: Stands behind the seconds of a training with something simulated, in every table the same.
MARK = "†"

#: What it means.
MEANING = "the seconds are of hardware that is not made for it, and do not show what such hardware would save"

#: What is projected.
SKIPPED = "share of the backward passes' multiplications that hardware could leave out by skipping zeros"

#: What Methods noticed, by trial.
Noticed = Mapping[int, Sequence[SurgeryResult]]
NOTHING: Noticed = MappingProxyType({})

#: The Method that tells what could be saved, and the figure in which it does.
_TELLS, _FIGURE = "gradient_pruning", "backward_macs_saved"


class Result(Protocol):
    """What was trained, and how the device did it."""

    @property
    def recipe(self) -> Recipe: ...
    @property
    def by_integers(self) -> bool: ...


def simulated(result: Result) -> tuple[str, ...]:
    """Name what was simulated in a training: its number format, unless by integers, and Methods that are on."""
    return _simulated(result.recipe, result.by_integers)


def _simulated(recipe: Recipe, by_integers: bool) -> tuple[str, ...]:
    formats = (recipe.number_format,) if recipe.number_format in SIMULATED_FORMATS and not by_integers else ()
    return *formats, *(name for name in SIMULATED_METHODS if _is_on(name, recipe))


def _is_on(name: str, recipe: Recipe) -> bool:
    switch, off = SIMULATED_METHODS[name]
    return name in recipe.methods and recipe.methods[name].get(switch, off) != off


def mark(result: Result) -> str:
    """Give `MARK` for a training with something simulated, nothing for others."""
    return MARK if simulated(result) else ""


def names_of(points: Iterable[Point]) -> tuple[str, ...]:
    """Name what is simulated in any of some results."""
    return tuple(_trials(points))


def _trials(points: Iterable[Point]) -> dict[str, list[int]]:
    """List the trials in which something is simulated, by what it is."""
    found: dict[str, list[int]] = {}
    for point in points:
        for name in simulated(point):
            found.setdefault(name, []).append(point.trial)
    return found


def projected_saving(recipe: Recipe, noticed: Sequence[SurgeryResult]) -> float | None:
    """Say what hardware that leaves out products with zeros could save of the backward pass of a training.

    Args:
        recipe: What was trained.
        noticed: What its Methods noticed.

    Returns:
        Share of the multiplications of all convolutions' backward passes, in [0, 1], over all epochs, those among them
        in which nothing was pruned counting as without saving; None where nobody counted.
    """
    shares = [surgery.figures[_FIGURE] for surgery in noticed if surgery.kind == _TELLS and _FIGURE in surgery.figures]
    return min(1.0, sum(shares) / recipe.total_epochs) if shares else None


def simulated_lines(points: Sequence[Point], noticed: Noticed = NOTHING) -> Iterator[str]:
    """Say which of some results are simulated, what that means, and what is projected for them.

    Args:
        points: The results.
        noticed: What their Methods noticed, by trial.
    """
    trials = _trials(points)
    if not trials:
        return
    which = "; ".join(f"{name} in {_named(of)}" for name, of in trials.items())
    yield f"{MARK} simulated: {which}; {MEANING}"
    savings = [(p, projected_saving(p.recipe, noticed.get(p.trial, ()))) for p in points]
    known = [f"{100 * share:.0f} % in {_seconds(point)}" for point, share in savings if share is not None]
    if known:
        yield f"projected, not measured: {SKIPPED}: {', '.join(known)}"


def training_lines(recipe: Recipe, outcome: Outcome) -> Iterator[str]:
    """Say of one training what `simulated_lines` says of several."""
    if names := _simulated(recipe, outcome.by_integers):
        yield f"simulated: {', '.join(names)}; {MEANING}"
    share = projected_saving(recipe, outcome.surgeries)
    if share is not None:
        yield f"projected, not measured: {100 * share:.0f} %, {SKIPPED}"


def _named(trials: Sequence[int]) -> str:
    return f"trial{'s' * (len(trials) > 1)} {listed(trials)}"


def _seconds(point: Point) -> str:
    return f"trial {point.trial} ({point.train_seconds:.1f} s measured)"
