"""The notation in which a training says when its network grows."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Literal, cast, get_args

from paretosearch.errors import RecipeError, suggest
from paretosearch.recipe import Recipe

Kind = Literal["widen", "deepen", "prune"]
KINDS: tuple[Kind, ...] = get_args(Kind)

#: No growth.
NONE = "none"

#: Schedules that a search does well to choose from.
PRESETS = (NONE, "widen", "deepen", "widen+deepen", "widen+prune")

#: Schedules to show to those who are to write one.
EXAMPLES = (*PRESETS, "widen@0.2x2+deepen@0.4")

#: What an event means that says no more than its kind: when, and how much. Pruning begins with the event before it.
DEFAULTS: Mapping[Kind, tuple[float, float]] = MappingProxyType({"widen": (0.3, 1.5), "deepen": (0.5, 1)})

#: Largest factor of one widening, most layers that one deepening adds to a stage.
LARGEST = 8

#: Every change of shape costs the building of new kernels.
MOST_EVENTS = 5

_NUMBER = r"\d+(?:\.\d*)?|\.\d+"
_EVENT = re.compile(rf"(?P<kind>[a-z]+)(?:@(?P<at>{_NUMBER}))?(?:x(?P<amount>{_NUMBER}))?")


@dataclass(frozen=True)
class Event:
    """One thing that happens at a share of the training.

    Args:
        kind: ``widen`` all channel spaces, ``deepen`` every stage, or let PruneTrain begin to ``prune``.
        at: Share of the training that is done then, in (0, 1).
        amount: Factor on the channels (``widen``) or new layers in each stage (``deepen``); 1 for ``prune``.
    """

    kind: Kind
    at: float
    amount: float

    def epoch(self, epochs: int) -> int:
        """Give the number of epochs that are done when it happens: it waits for the nearest end of an epoch."""
        return math.floor(self.at * epochs + 0.5)

    def is_inside(self, epochs: int) -> bool:
        """Whether it happens after the first and before the last of so many epochs."""
        return 0 < self.epoch(epochs) < epochs


def parse(text: str) -> tuple[Event, ...]:
    """Read a schedule such as ``widen@0.3x1.5+deepen@0.5``.

    Args:
        text: Events joined by ``+``: ``widen@AT`` ``xFACTOR``, ``deepen@AT`` ``xLAYERS`` (of each stage) or
            ``prune@AT``, where AT is a share of the training. What is left out is in `DEFAULTS`; ``prune`` without a
            time follows the event before it. ``none`` is no event.

    Returns:
        The events in the order in which they happen.

    Raises:
        RecipeError: If the text is not in the notation, or no training could do what it says.
    """
    if text == NONE:
        return ()
    events: list[Event] = []
    for part in text.split("+"):
        events.append(_event(part.strip(), events))
    _check(events)
    return tuple(sorted(events, key=lambda event: (event.at, KINDS.index(event.kind))))


def problem(text: str) -> str | None:
    """Say what is wrong with a schedule; None if nothing is."""
    try:
        parse(text)
    except RecipeError as error:
        return str(error)
    return None


def settled(events: tuple[Event, ...], epochs: int) -> tuple[Event, ...]:
    """Give the events that a training has room for, at the same time if they happen after the same epoch.

    Args:
        events: A schedule.
        epochs: Length of the training.

    Returns:
        The events inside, each at the default of its kind or else at the share with the fewest digits that is the
        nearest to its epoch's.
    """
    return tuple(replace(event, at=_one_share(event, epochs)) for event in events if event.is_inside(epochs))


def _one_share(event: Event, epochs: int) -> float:
    near = [round(event.epoch(epochs) / epochs, digits) for digits in range(1, 7)]
    wishes = [DEFAULTS[event.kind][0], *near] if event.kind in DEFAULTS else near
    return next(at for at in wishes if replace(event, at=at).epoch(epochs) == event.epoch(epochs))


def spell(events: tuple[Event, ...]) -> str:
    """Write events in the one way in which a Recipe has them: in order, without what is a default."""
    written: list[str] = []
    for i, event in enumerate(events):
        at, amount = _default(event.kind, list(events[:i]))
        when = "" if event.at == at else f"@{_decimal(event.at)}"
        much = "" if event.amount == amount else f"x{_decimal(event.amount)}"
        written.append(f"{event.kind}{when}{much}")
    return "+".join(written) or NONE


def _decimal(number: float) -> str:
    """Write a number so that it reads back equal, without an exponent."""
    text = f"{Decimal(repr(float(number))):f}"
    return text.rstrip("0").rstrip(".")


def shares(epochs: int) -> tuple[float, float]:
    """Give the first and the last share, in hundredths, that lies inside a training of at least 2 epochs."""
    return math.ceil(50 / epochs) / 100, (math.ceil(100 - 50 / epochs) - 1) / 100


def schedule_of(recipe: Recipe) -> tuple[Event, ...]:
    """Give the schedule of a Recipe; no event if its network does not grow."""
    return parse(str(recipe.methods.get("net2net", {}).get("schedule", NONE)))


def growth_epochs(events: tuple[Event, ...], epochs: int) -> tuple[int, ...]:
    """List the numbers of epochs that are done when a network grows, in order, in a training of so many epochs."""
    return tuple(sorted({event.epoch(epochs) for event in events if event.kind != "prune"}))


def pruning_begins(recipe: Recipe) -> int:
    """Give the number of epochs that are done when pruning may begin."""
    return max((event.epoch(recipe.total_epochs) for event in schedule_of(recipe) if event.kind == "prune"), default=0)


def _event(part: str, before: list[Event]) -> Event:
    match = _EVENT.fullmatch(part)
    if match is None:
        raise RecipeError(
            f"{part!r} is not written like widen@0.3x1.5, deepen@0.5 or prune@0.4, in small letters and without signs"
        )
    if match["kind"] not in KINDS:
        none = f'; for no growth write "{NONE}" alone' if match["kind"] in ("off", NONE) else ""
        raise RecipeError(f"there is no event {match['kind']!r}{suggest(match['kind'], KINDS)}{none}")
    kind = cast(Kind, match["kind"])
    at, amount = _default(kind, before)
    return Event(kind, float(match["at"] or at), float(match["amount"] or amount))


def _default(kind: Kind, before: list[Event]) -> tuple[float, float]:
    """Give time and amount of an event that names neither."""
    if kind == "prune":
        return max((event.at for event in before), default=0.0), 1
    return DEFAULTS[kind]


def _check(events: list[Event]) -> None:
    for event in events:
        _check_event(event)
    kinds = [event.kind for event in events]
    if set(kinds) == {"prune"}:
        raise RecipeError("it grows nothing; add a widen or deepen, or leave the schedule at none")
    if kinds.count("prune") > 1:
        raise RecipeError("prune stands twice; pruning begins once")
    if len(events) > MOST_EVENTS:
        raise RecipeError(f"{len(events)} events are too many; at most {MOST_EVENTS} pay for the kernels they build")


def _check_event(event: Event) -> None:
    if not 0 < event.at < 1:
        raise RecipeError(f"{event.kind}@{event.at:g} is not inside the training; write a share between 0 and 1")
    if event.kind == "widen" and not 1 < event.amount <= LARGEST:
        why = "no growth" if event.amount <= 1 else "too much"
        raise RecipeError(f"widen by x{event.amount:g} is {why}; write a factor above 1 and at most {LARGEST}")
    if event.kind == "deepen" and event.amount not in range(1, LARGEST + 1):
        raise RecipeError(f"deepen by x{event.amount:g} is no number of layers; write 1 to {LARGEST}")
    if event.kind == "prune" and event.amount != 1:
        raise RecipeError(f"prune x{event.amount:g} means nothing; how much is cut is for prunetrain.penalty_ratio")
