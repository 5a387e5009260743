"""What a training must remember to go on, in another process, as if it had never stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from paretosearch.errors import RecipeError
from paretosearch.outcome import EpochResult, SurgeryResult
from paretosearch.randomness import random_state, set_random_state
from paretosearch.recipe import Recipe
from paretosearch.training.meters import Effort

if TYPE_CHECKING:
    from paretosearch.training.loop import Training

#: Plain values and tensors, which `torch.load` reads with ``weights_only=True``.
Checkpoint = Mapping[str, Any]


def taken(training: Training) -> Checkpoint:
    """Take the state of a training between two epochs.

    The tensors are the training's own: write them, or copy them, before it goes on.
    """
    run = training.run
    return {
        "recipe": run.recipe.to_json(),
        "history": list(training.shape.surgeon.history),
        "model": run.model.state_dict(),
        "optimizer": run.optimizer.state_dict(),
        "methods": {method.name: method.state_dict() for method in training.methods},
        "precision": training.precision.state_dict(),
        "clock": training.clock.state_dict(),
        "counters": {name: getattr(run, name) for name in ("epoch", "step", "batch_size", "learning_rate")},
        "random": {"order": run.generator.get_state(), "global": random_state(run.device)},
        "effort": asdict(training.effort),
        "peak_memory_bytes": training.memory.sample(),
        "energy_joules": training.spent_joules(),
        "epochs": [asdict(result) for result in training.results],
        "surgeries": [asdict(result) for result in training.shape.results],
    }


def restore(training: Training, checkpoint: Checkpoint) -> None:
    """Bring a training that has not begun to where another one was.

    Args:
        training: Of the same Recipe, on a device of the same kind.
        checkpoint: What `taken` gave.

    Raises:
        RecipeError: If the checkpoint is of another Recipe.
    """
    run = training.run
    if Recipe.from_json(checkpoint["recipe"]) != run.recipe:
        raise RecipeError("the checkpoint is of another Recipe; continue that one, or start without it")
    training.shape.surgeon.replay(checkpoint["history"])
    run.model.load_state_dict(checkpoint["model"])
    run.optimizer.load_state_dict(checkpoint["optimizer"])
    for method in training.methods:
        method.load_state_dict(checkpoint["methods"][method.name])
    training.precision.load_state_dict(checkpoint["precision"])
    training.clock.load_state_dict(checkpoint["clock"])
    for name, value in checkpoint["counters"].items():
        setattr(run, name, value)
    training.batches.resize(run.batch_size)
    run.steps_per_epoch = len(training.batches)
    training.effort = Effort(**checkpoint["effort"])
    training.memory.reach(checkpoint["peak_memory_bytes"])
    training.joules_before = checkpoint["energy_joules"] or 0.0
    training.results = [EpochResult(**result) for result in checkpoint["epochs"]]
    training.shape.take_back([SurgeryResult(**result) for result in checkpoint["surgeries"]])
    run.generator.set_state(checkpoint["random"]["order"])
    set_random_state(checkpoint["random"]["global"], run.device)
