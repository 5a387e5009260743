"""How a tree has grown, for programs: as JSON and as CSV."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.showing import EFFORT
from paretosearch.treecnn.tree import Increment


def increments_json(learned: Learned) -> dict[str, Any]:
    """Give everything as JSON can hold it."""
    tree, anew = learned.costs
    classes = learned.classes
    return {
        "study": learned.study.name,
        "device_class": learned.device.device_class,
        "effort_is": EFFORT,
        "increments": [_plain(one, classes) for one in learned.increments],
        "tree": [[classes[label] for label in labels] for labels in learned.children],
        "total": asdict(tree),
        "retrained_total": asdict(anew),
    }


def _plain(one: Increment, classes: Sequence[str]) -> dict[str, Any]:
    measures = ("seen", "accuracy", "routing_accuracy", "retrained_accuracy", "root_trained")
    return {
        "classes": [classes[label] for label in one.new],
        **{name: getattr(one, name) for name in measures},
        "cost": asdict(one.cost),
        "retrained_cost": asdict(one.retrained_cost),
        "children": [[classes[label] for label in labels] for labels in one.children],
        "decisions": [
            {
                "class": classes[decision.label],
                "reason": decision.reason,
                "joined": [classes[label] for label in decision.joined],
                "likelihoods": list(decision.likelihoods),
            }
            for decision in one.decisions
        ],
    }


def increments_rows(learned: Learned) -> Iterator[dict[str, Any]]:
    """Make the rows of a CSV."""
    for one in learned.increments:
        yield {
            "classes": one.seen,
            "new": ", ".join(learned.classes[label] for label in one.new),
            "accuracy": one.accuracy,
            "routing_accuracy": one.routing_accuracy,
            "retrained_accuracy": one.retrained_accuracy,
            "train_seconds": one.cost.seconds,
            "retrained_train_seconds": one.retrained_cost.seconds,
            "weights_times_images": one.cost.weights_times_images,
            "retrained_weights_times_images": one.retrained_cost.weights_times_images,
            "networks": one.cost.nets,
            "root_trained": one.root_trained,
        }
