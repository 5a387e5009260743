"""What became of a network's shape in a training, in words."""

from __future__ import annotations

from collections import Counter

from paretosearch.outcome import Outcome, SurgeryResult
from paretosearch.recipe import Recipe

#: What readers call a change of shape, one and several.
_NAMES = {
    "prune": ("pruning", "prunings"),
    "remove": ("removal of branches", "removals of branches"),
    "widen": ("widening", "widenings"),
    "deepen": ("deepening", "deepenings"),
}


def shape_lines(recipe: Recipe, outcome: Outcome) -> list[str]:
    """Say how a network changed its shape.

    Args:
        recipe: What was trained.
        outcome: How it went.

    Returns:
        A line such as ``4 prunings, 1 widening: 459 to 411 channels, 62.0 to 54.8 MFLOPs an image``; a second one if
        something should have been pruned and nothing was. Nothing for a network that never could change.
    """
    if not outcome.surgeries:
        return []
    return [_changes(outcome), *_idle_pruning(recipe, outcome.surgeries)]


def _changes(outcome: Outcome) -> str:
    counts = Counter(surgery.kind for surgery in outcome.surgeries if _changed(surgery))
    said = [f"{count} {_NAMES[kind][count > 1]}" for kind, count in counts.items()]
    if not said:
        return "the network kept its shape"
    channels = f"{outcome.surgeries[0].channels_before} to {outcome.surgeries[-1].channels_after} channels"
    first, last = (outcome.epochs[i].flops_per_image / 1e6 for i in (0, -1))
    return f"{', '.join(said)}: {channels}, {first:.3g} to {last:.3g} MFLOPs an image"


def _changed(surgery: SurgeryResult) -> bool:
    return surgery.kind in _NAMES and (surgery.kind != "prune" or surgery.channels_before != surgery.channels_after)


def _idle_pruning(recipe: Recipe, surgeries: tuple[SurgeryResult, ...]) -> list[str]:
    prunings = [surgery for surgery in surgeries if surgery.kind == "prune"]
    if not prunings or any(_changed(surgery) for surgery in surgeries if surgery.kind in ("prune", "remove")):
        return []
    last = prunings[-1].figures
    if last["dead"]:
        why = f"{last['dead']:.0f} channels are dead, too few in one place to cut by {recipe.channel_multiple}"
    else:
        why = f"the weakest channel has a weight of {last['weakest']:.2g}"
    return [f"prunetrain cut nothing ({why}); train longer, at a higher rate, or raise prunetrain.penalty_ratio"]
