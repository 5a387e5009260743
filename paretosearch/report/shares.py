"""How accuracy follows the share of the training images, for Recipes that differ in nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from paretosearch.report.replicates import Replicates, Spread
from paretosearch.report.words import axis_value, words

#: The sampler whose studies have every share with everything else.
SAMPLER = "grid"

#: The axis of the shares, and that of how long a training with fewer images is.
SHARE, RULE = "train_share", "epochs_rule"

#: What a way of training does with fewer images, beside the plain one.
Verdict = Literal["needs less data", "needs more data", "unclear"]


@dataclass(frozen=True)
class Line:
    """Recipes that differ in their share of the images, and in nothing else.

    Args:
        rule: ``fixed`` where they were trained for as many epochs, ``updates`` for as many updates.
        name: What sets them apart from other lines, in words.
        groups: Their trainings, the smallest share first.
    """

    rule: str
    name: str
    groups: tuple[Replicates, ...]

    def at(self, share: float) -> Mapping[int, float]:
        """Give the accuracy of each training with a share, by its seed; none where that was not trained."""
        found = [group for group in self.groups if group.recipe.train_share == share]
        return {point.recipe.seed: point.accuracy for group in found for point in group.points}


@dataclass(frozen=True)
class Claim:
    """Whether a way of training needs less data than the plain one: whether it gains more where images are few.

    Args:
        line: What was trained.
        few: Its gain of accuracy over the plain line with the smallest share, over pairs of trainings with one seed.
        many: The same with the largest share.
        more: How much larger the first gain is, over the seeds that both have.
    """

    line: Line
    few: Spread
    many: Spread
    more: Spread

    @property
    def verdict(self) -> Verdict:
        """What the difference of gains says, beyond what chance does; a single seed tells nothing."""
        if self.more.half_width is None or abs(self.more.mean) <= self.more.half_width:
            return "unclear"
        return "needs less data" if self.more.mean > 0 else "needs more data"


def lines(groups: Sequence[Replicates], axes: Collection[str]) -> tuple[Line, ...]:
    """Sort the Recipes of a study into lines; where the rule of the epochs says nothing, a Recipe is in those of all.

    Args:
        groups: Recipes, each with its trainings.
        axes: The searched fields and ``method.parameter`` names.

    Returns:
        Lines of at least two shares, those of one rule together; the first of each rule is the plain one.
    """
    searched = [axis for axis in axes if axis not in (SHARE, RULE, "seed")]
    found: dict[tuple[object, ...], list[Replicates]] = {}
    for rule in _rules(groups):
        for group in groups:
            if group.recipe.epochs_rule == rule or RULE in group.recipe.inert:
                key = (rule, *(axis_value(group.recipe, axis) for axis in searched))
                found.setdefault(key, []).append(group)
    made = (_line(str(key[0]), members, searched) for key, members in found.items())
    return tuple(line for line in made if len(line.groups) > 1)


def _rules(groups: Sequence[Replicates]) -> list[str]:
    """List the rules by which trainings differ, or the one that all have."""
    told = [group.recipe.epochs_rule for group in groups if RULE not in group.recipe.inert]
    return sorted(set(told)) or sorted({group.recipe.epochs_rule for group in groups})[:1]


def _line(rule: str, groups: Sequence[Replicates], searched: Sequence[str]) -> Line:
    rising = tuple(sorted(groups, key=lambda group: group.recipe.train_share))
    return Line(rule, words(rising[0].recipe, searched), rising)


def gain(line: Line, plain: Line, share: float) -> Spread | None:
    """Give the accuracy beyond the plain line's with the same images, over pairs of one seed; None without a pair."""
    differences = list(_gains(line, plain, share).values())
    return Spread.of(differences) if differences and line is not plain else None


def _gains(line: Line, plain: Line, share: float) -> dict[int, float]:
    ours, theirs = line.at(share), plain.at(share)
    return {seed: ours[seed] - theirs[seed] for seed in ours if seed in theirs}


def claims(found: Sequence[Line]) -> Iterator[Claim]:
    """Compare every line with the plain one of its rule, as far as both have the same shares and seeds."""
    for line in found:
        plain = plain_of(line, found)
        shares = [group.recipe.train_share for group in line.groups if plain.at(group.recipe.train_share)]
        if line is plain or len(shares) < 2:
            continue
        few, many = _gains(line, plain, shares[0]), _gains(line, plain, shares[-1])
        both = [few[seed] - many[seed] for seed in few if seed in many]
        if both:
            yield Claim(line, Spread.of(list(few.values())), Spread.of(list(many.values())), Spread.of(both))


def plain_of(line: Line, found: Sequence[Line]) -> Line:
    """Give the line that others of the same rule are compared with."""
    return next(other for other in found if other.rule == line.rule)


def shares_rows(found: Sequence[Line]) -> Iterator[dict[str, Any]]:
    """Make the rows of a table: one for every share of every line."""
    for line in found:
        for group in line.groups:
            gained = gain(line, plain_of(line, found), group.recipe.train_share)
            yield {
                "epochs_rule": line.rule,
                "recipe": line.name,
                "train_share_percent": 100 * group.recipe.train_share,
                "epochs": group.recipe.total_epochs,
                "trainings": len(group.points),
                "accuracy_percent": 100 * group.accuracy.mean,
                "accuracy_half_width_95": _percent(group.accuracy.half_width),
                "train_seconds": group.seconds.mean,
                "train_seconds_half_width_95": group.seconds.half_width,
                "gain_points": None if gained is None else 100 * gained.mean,
                "gain_half_width_95": None if gained is None else _percent(gained.half_width),
            }


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share
