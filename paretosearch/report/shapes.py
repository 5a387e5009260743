"""What became of a network's shape in a training, in words."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from paretosearch.outcome import NOTES, Outcome, SurgeryResult
from paretosearch.recipe import Recipe
from paretosearch.report.words import counted, seconds_text

#: What readers call a change of shape, one and several.
_NAMES = {
    "prune": ("pruning", "prunings"),
    "remove": ("removal of branches", "removals of branches"),
    "widen": ("widening", "widenings"),
    "deepen": ("deepening", "deepenings"),
}

#: What leaves channels as they are: other kernels, replacements of layers, and what undoes these.
_APART = ("rescale", "replace", "restore")

#: Which of them make a network smaller.
_SMALLER = ("prune", "remove")


def change_of(surgeries: Sequence[SurgeryResult]) -> str:
    """Name what a training made of its network.

    Args:
        surgeries: Its changes of shape, in order.

    Returns:
        ``grown``, ``pruned``, ``grown and pruned``, or nothing for a network that kept its shape.
    """
    kinds = {surgery.kind in _SMALLER for surgery in surgeries if _changed(surgery)}
    return " and ".join(name for smaller, name in ((False, "grown"), (True, "pruned")) if smaller in kinds)


def channels_over_epochs(surgeries: Sequence[SurgeryResult], epochs: int) -> list[tuple[int, int]]:
    """Follow the channels of a network that changed its shape.

    Args:
        surgeries: Its changes of shape, in order; one of them at least changed it.
        epochs: Epochs of the training.

    Returns:
        Epochs done and channels of all spaces from then on, from epoch 0 to the last one.
    """
    changes = [surgery for surgery in surgeries if _changed(surgery)]
    line = {0: changes[0].channels_before, **{surgery.epoch: surgery.channels_after for surgery in changes}}
    return [*line.items(), (epochs, changes[-1].channels_after)]


def shape_lines(recipe: Recipe, outcome: Outcome) -> list[str]:
    """Say how a network changed its shape.

    Args:
        recipe: What was trained.
        outcome: How it went.

    Returns:
        A line such as ``459 channels, 4 prunings to 411, 1 widening to 630: 62.0 to 104 MFLOPs an image``, in the order
        in which it happened; others for a batch size that followed, and if something should have been pruned and
        nothing was. Nothing of this for a network that never could change. Then, when kernels were scaled up, what
        became of layer_replacement, and how often isgd found a batch whose loss was out of control. Last, what became
        of tickets.
    """
    changes: list[str] = []
    if any(surgery.kind not in (*NOTES, *_APART) for surgery in outcome.surgeries):
        changes = [_changes(outcome), *_batches(outcome), *_idle_pruning(recipe, outcome.surgeries)]
    other = [*_rescalings(outcome), *_replacements(outcome), *_further_steps(outcome)]
    return [*changes, *other, *_channel_tickets(recipe, outcome), *_weight_tickets(outcome)]


def _changes(outcome: Outcome) -> str:
    changes = [surgery for surgery in outcome.surgeries if _changed(surgery)]
    if not changes:
        return "the network kept its shape"
    said = [f"{changes[0].channels_before} channels"]
    for kind, group in groupby(changes, key=lambda surgery: surgery.kind):
        alike = list(group)
        said.append(f"{len(alike)} {_NAMES.get(kind, (kind, kind))[len(alike) > 1]} to {alike[-1].channels_after}")
    first, last = (outcome.epochs[i].flops_per_image / 1e6 for i in (0, -1))
    return f"{', '.join(said)}: {first:.3g} to {last:.3g} MFLOPs an image"


def _batches(outcome: Outcome) -> list[str]:
    tries = [surgery for surgery in outcome.surgeries if surgery.kind == "batch"]
    if not tries:
        return []
    sizes = [outcome.epochs[0].batch_size, *(round(surgery.figures["batch_size"]) for surgery in tries)]
    became = f"batches of {sizes[0]} became {sizes[-1]}" if sizes[-1] != sizes[0] else f"batches stayed at {sizes[0]}"
    seconds = sum(surgery.seconds for surgery in tries)
    return [f"{became}; dynamic_batch tried {len(tries)} times, in {seconds:.2f} s"]


def _rescalings(outcome: Outcome) -> list[str]:
    done = [surgery for surgery in outcome.surgeries if surgery.kind == "rescale"]
    return [
        f"after epoch {surgery.epoch} the kernels of {surgery.figures['kernels']:.0f} convolutions were scaled up, and "
        f"the images from {surgery.figures['pixels_before']:.0f} to {surgery.figures['pixels']:.0f} pixels"
        for surgery in done
    ]


def _replacements(outcome: Outcome) -> list[str]:
    trials = [surgery for surgery in outcome.surgeries if surgery.kind == "replace"]
    undone = [surgery for surgery in outcome.surgeries if surgery.kind == "restore"]
    if not trials:
        return []
    layers, back = (round(sum(surgery.figures["layers"] for surgery in group)) for group in (trials, undone))
    taken = f"in {seconds_text(sum(surgery.seconds for surgery in trials))} s"
    if not layers:
        return [f"layer_replacement found no layer that is worth it, {taken}"]
    saving = sum(surgery.figures.get("saving", 0.0) for surgery in trials)
    said = f"layer_replacement replaced {counted(layers, 'layer')} {taken}, to save {100 * saving:.0f} % of a step"
    return [f"{said}, and took {back} back" if back else said]


def _further_steps(outcome: Outcome) -> list[str]:
    noted = [surgery.figures for surgery in outcome.surgeries if surgery.kind == "isgd"]
    if not noted:
        return []
    triggered, steps = (round(sum(figures[name] for figures in noted)) for name in ("triggered", "steps"))
    return [f"isgd found the loss of {triggered} batches out of control, and made {steps} more steps on them"]


def _channel_tickets(recipe: Recipe, outcome: Outcome) -> list[str]:
    """Say whether early_bird has drawn its ticket, if it has cut nothing."""
    noted = [surgery.figures for surgery in outcome.surgeries if surgery.kind == "early_bird"]
    drawn = [surgery for surgery in outcome.surgeries if surgery.kind == "prune"]
    if "early_bird" not in recipe.methods or any(_changed(surgery) for surgery in drawn):
        return []
    if drawn:
        by = recipe.channel_multiple
        return [f"early_bird drew a ticket and cut nothing: it leaves out too few channels in one place to cut by {by}"]
    differed = [figures["distance"] for figures in noted if "distance" in figures]
    last = f": its last mask differed from others in {100 * differed[-1]:.0f} % of the channels" if differed else ""
    return [f"early_bird found no ticket in {counted(len(noted), 'mask')}, and cut nothing{last}"]


def _weight_tickets(outcome: Outcome) -> list[str]:
    noted = [surgery for surgery in outcome.surgeries if surgery.kind == "lottery_ticket"]
    return [
        f"lottery_ticket left {ticket.figures['left']:.0f} of {ticket.figures['weights']:.0f} weights after epoch "
        f"{ticket.epoch}, and set them back to epoch {ticket.figures['epoch']:.0f}; zeros among weights save no time"
        for ticket in noted
    ]


def _changed(surgery: SurgeryResult) -> bool:
    return surgery.kind in _NAMES and (surgery.kind != "prune" or surgery.channels_before != surgery.channels_after)


def _idle_pruning(recipe: Recipe, surgeries: tuple[SurgeryResult, ...]) -> list[str]:
    prunings = [surgery for surgery in surgeries if surgery.kind == "prune"]
    if "prunetrain" not in recipe.methods or not prunings:
        return []
    if any(_changed(surgery) for surgery in surgeries if surgery.kind in _SMALLER):
        return []
    last = prunings[-1].figures
    if last["dead"]:
        why = f"{last['dead']:.0f} channels are dead, too few in one place to cut by {recipe.channel_multiple}"
    else:
        why = f"the weakest channel has a weight of {last['weakest']:.2g}"
    until = float(recipe.methods["prunetrain"].get("until", 1.0))
    later = f"raise prunetrain.until = {until:g}, " if until < 1 else ""
    return [f"prunetrain cut nothing ({why}); {later}train longer, at a higher rate, or raise prunetrain.penalty_ratio"]
