"""Times a training again without training: the same shapes and steps, on fresh weights."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import chain, repeat

import torch
from torch import Tensor

from paretosearch.data import ImageSet
from paretosearch.outcome import Outcome, PhaseResult
from paretosearch.recipe import Recipe
from paretosearch.run import StepCost
from paretosearch.surgery import Surgery
from paretosearch.training.carrying import carried_over
from paretosearch.training.loop import Training
from paretosearch.training.sampling import LEAST_STEPS, completed, sample

#: Seconds of timed steps after which a phase has shown enough, however long its training was.
MOST_SECONDS = 3.0

#: What a Method is told that asks for the cost of a step: its answer is in the record, and measuring is a decision.
NO_COST = StepCost(1.0, 0, None)


def replay(
    recipe: Recipe,
    images: ImageSet,
    device: torch.device,
    outcome: Outcome,
    on_phase: Callable[[PhaseResult], None] = lambda _: None,
) -> Outcome:
    """Find the training seconds that a finished training takes on this device.

    Phases are built again, with their shapes, their batch sizes and what their Methods do, and some of their steps are
    timed, with the changes of shape before them. A phase that hardly differs from one that is timed is scaled from it
    by their recorded steps; see `sample` for which, and `carried_over` for what else was on the clock.

    Args:
        recipe: What was trained.
        images: Its data set.
        device: Where to time it.
        outcome: How it went, with its phases.
        on_phase: Called after every phase that is timed, with what it takes here.

    Returns:
        The same Outcome with seconds, images per second, epochs, changes of shape and phases of here, those that are
        not timed among them: their pattern says how this device computes in the number format.

    Raises:
        RecipeError: If the network, a Method or the batch size does not fit the images.
        DeviceError: If the device cannot do the number format.
        SurgeryError: If the phases are of another network.
    """
    training = Training(recipe, images, device)
    training.run.step_cost = lambda _: NO_COST
    training.run.layer_cost = lambda *_: NO_COST.seconds  # by which no layer is cheaper than another one
    outcome = replace(outcome, phases=tuple(phase.computed(training.precision.pattern) for phase in outcome.phases))
    chosen, timed = sample(outcome).steps, {}
    for number, recorded in enumerate(outcome.phases[: max(chosen) + 1]):
        if number in chosen:
            timed[number] = _timed(training, recorded, chosen[number])
            on_phase(timed[number])
        else:
            _pass(training, recorded)
        _end(training, recorded)
    again = carried_over(outcome, completed(outcome.phases, timed))
    return replace(again, noisy=training.clock.noisy, drift=None)  # those of there were for there


def _pass(training: Training, recorded: PhaseResult) -> None:
    """Go through a phase without its steps, but for the very first: it warms the process up, and Methods look at it."""
    training.shape.surgeon.replay(recorded.changes)
    _begin(training, recorded)
    if not training.clock.phases:
        training.follow()
        _time(training, 1)


def _begin(training: Training, recorded: PhaseResult) -> None:
    run = training.run
    run.epoch, run.epoch_step = recorded.epoch, 0
    _hear(method.on_epoch_start(run) for method in training.methods)
    run.batch_size = recorded.batch_size  # whatever a Method has chosen here
    run.model.train()


def _end(training: Training, recorded: PhaseResult) -> None:
    training.run.epoch, training.run.epoch_step = recorded.epoch + 1, 0
    _hear(method.on_epoch_end(training.run) for method in training.methods)


def _timed(training: Training, recorded: PhaseResult, steps: int) -> PhaseResult:
    """Time some steps of a phase."""
    if recorded.changes:
        with training.clock.event(), training.clock.rebuild():
            training.shape.surgeon.replay(recorded.changes)
    _begin(training, recorded)
    training.follow()
    _time(training, steps)
    phase, rebuilt = training.clock.phases[-1], training.clock.phases[-1].rebuild_seconds
    if training.stepper.is_on_trial:
        training.choose_tier(_some_batches(training, steps), torch.zeros((), device=training.device), recorded.steps)
        if training.stepper.tier == "graph":
            _time(training, steps)
            phase = training.clock.phases[-1]
    return replace(
        recorded,
        tier=phase.setting.tier,
        seconds=phase.seconds_of(recorded.steps),
        step_seconds=phase.step_seconds,
        step_seconds_iqr=phase.spread,
        rebuild_seconds=rebuilt,
    )


def _hear(asked: Iterable[Iterable[Surgery]]) -> None:
    """Let Methods prepare, without doing what they ask for: it was done, as the record says."""
    for _ in chain.from_iterable(asked):
        pass


def _time(training: Training, steps: int) -> None:
    training.steps(_some_batches(training, steps), torch.zeros((), device=training.device))


def _some_batches(training: Training, steps: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Give so many batches, or fewer if their steps take too long, but enough for a median."""
    run, start = training.run, time.perf_counter()
    for done, batch in enumerate(chain.from_iterable(repeat(training.batches))):
        if done >= steps or (done >= LEAST_STEPS and time.perf_counter() - start > MOST_SECONDS):
            return
        yield batch
        run.epoch_step %= run.steps_per_epoch  # the schedule knows no more than an epoch
