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
from paretosearch.surgery import Surgery
from paretosearch.training.loop import Training
from paretosearch.training.phases import BLOCK_STEPS, WARM_UP_STEPS

#: Steps of a phase that are timed, fewer if they take longer than this, but a few blocks behind the warm-up.
MOST_STEPS, MOST_SECONDS = 50, 3.0
LEAST_STEPS = WARM_UP_STEPS + 2 * BLOCK_STEPS


def replay(
    recipe: Recipe,
    images: ImageSet,
    device: torch.device,
    outcome: Outcome,
    on_phase: Callable[[PhaseResult], None] = lambda _: None,
) -> Outcome:
    """Find the training seconds that a finished training takes on this device.

    Every phase is built again, with its shapes, its batch size and what its Methods do, and some of its steps are
    timed. Changes of shape are made and timed again; what else was on the clock, such as the search for dead channels,
    needs the weights of then, and is taken to be slower or faster as the steps are.

    Args:
        recipe: What was trained.
        images: Its data set.
        device: Where to time it.
        outcome: How it went, with its phases.
        on_phase: Called after every phase with what it takes here.

    Returns:
        The same Outcome with seconds, images per second and phases of here.

    Raises:
        RecipeError: If the network, a Method or the batch size does not fit the images.
        DeviceError: If the device cannot do the number format.
        SurgeryError: If the phases are of another network.
    """
    assert outcome.train_seconds is not None
    training = Training(recipe, images, device)
    phases = []
    for recorded in outcome.phases:
        phases.append(_phase(training, recorded))
        on_phase(phases[-1])
    steps = sum(phase.seconds for phase in phases)
    rebuilding = sum(phase.rebuild_seconds or 0.0 for phase in phases)
    seconds = steps + rebuilding + _decisions(outcome) * steps / _steps(outcome)
    return replace(
        outcome,
        train_seconds=seconds,
        wall_seconds=seconds,
        images_per_second=sum(phase.steps * phase.batch_size for phase in phases) / seconds,
        energy_joules=None,
        noisy=training.clock.noisy,
        phases=tuple(phases),
    )


def _steps(outcome: Outcome) -> float:
    return sum(phase.seconds for phase in outcome.phases)


def _decisions(outcome: Outcome) -> float:
    """Give the seconds that were neither for steps nor for changes of shape; old records do not tell these apart."""
    assert outcome.train_seconds is not None
    rebuilding = [phase.rebuild_seconds for phase in outcome.phases if phase.rebuild_seconds is not None]
    known = len(rebuilding) == len(outcome.phases)
    rebuilt = sum(rebuilding) if known else sum(surgery.seconds for surgery in outcome.surgeries)
    return outcome.train_seconds - _steps(outcome) - rebuilt


def _phase(training: Training, recorded: PhaseResult) -> PhaseResult:
    """Time some steps of a phase."""
    run = training.run
    if recorded.changes:
        with training.clock.event(), training.clock.rebuild():
            training.shape.surgeon.replay(recorded.changes)
    run.epoch, run.epoch_step = recorded.epoch, 0
    _hear(method.on_epoch_start(run) for method in training.methods)
    run.batch_size = recorded.batch_size  # whatever a Method has measured here
    run.model.train()
    training.follow()
    _time(training)
    phase, rebuilt = training.clock.phases[-1], training.clock.phases[-1].rebuild_seconds
    if training.stepper.is_on_trial:
        training.choose_tier(_some_batches(training), torch.zeros((), device=training.device), recorded.steps)
        if training.stepper.tier == "graph":
            _time(training)
            phase = training.clock.phases[-1]
    run.epoch, run.epoch_step = recorded.epoch + 1, 0
    _hear(method.on_epoch_end(run) for method in training.methods)
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


def _time(training: Training) -> None:
    training.steps(_some_batches(training), torch.zeros((), device=training.device))


def _some_batches(training: Training) -> Iterator[tuple[Tensor, Tensor]]:
    run, start = training.run, time.perf_counter()
    for done, batch in enumerate(chain.from_iterable(repeat(training.batches))):
        if done >= MOST_STEPS or (done >= LEAST_STEPS and time.perf_counter() - start > MOST_SECONDS):
            return
        yield batch
        run.epoch_step %= run.steps_per_epoch  # the schedule knows no more than an epoch
