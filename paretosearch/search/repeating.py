"""Chooses which result to look at again: the one of which it is least known whether it is on the front."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from paretosearch.recipe import Recipe
from paretosearch.search.seeds import trial_seed
from paretosearch.store.estimates import Estimate


def most_uncertain(
    estimates: Sequence[Estimate], wanted: int, tries: Mapping[int, int], last: int | None = None
) -> int | None:
    """Choose the trial to repeat next.

    Every candidate is repeated once before any is repeated twice: a first result that was chosen for being good says
    little about its chances. Then it is the turn of the one whose membership is nearest to one half.

    Args:
        estimates: What is known of all results.
        wanted: Repeats after which a result has had enough.
        tries: Repeats of each trial so far, those that run or failed among them.
        last: The trial that was repeated last: what disturbs a machine lasts a while, so another one comes between
            two repeats wherever there is another one.

    Returns:
        Its number; None if all that may be on the front have had enough.
    """
    candidates = [e for e in estimates if e.may_be_on_front and tries.get(e.point.trial, 0) < wanted]
    others = [e for e in candidates if e.point.trial != last] or candidates
    due = [e for e in others if not tries.get(e.point.trial)] or others
    if not due:
        return None
    return max(due, key=lambda e: (e.membership * (1 - e.membership), -e.point.trial)).point.trial


def repeated(recipe: Recipe, number: int) -> Recipe:
    """Give a Recipe the seed of its repeat of a number, from 1: never its own."""
    seed = trial_seed(recipe.seed, number) >> 1  # a seed has 31 bits
    return replace(recipe, seed=seed if seed != recipe.seed else seed ^ 1)
