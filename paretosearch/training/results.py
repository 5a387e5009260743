"""What a training says of itself, after an epoch and at its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from paretosearch.outcome import EpochResult, Outcome
from paretosearch.training.meters import count_parameters
from paretosearch.training.phases import phase_results

if TYPE_CHECKING:
    from paretosearch.training.loop import Training


def epoch_result(training: Training, loss: float) -> EpochResult:
    """Evaluate the network after an epoch, off the clock but for what the last evaluation takes; see `last_accuracy`.

    Args:
        training: The training, between two epochs.
        loss: Mean loss of the epoch.
    """
    run = training.run
    training.memory.sample()
    median, iqr = training.clock.latest(run.steps_per_epoch)
    skipped, loss_scale = training.precision.take_skipped()
    is_last = run.epoch == run.recipe.total_epochs
    evaluator, validation = training.evaluator, training.images.validation
    accuracy = evaluator.last_accuracy() if is_last else evaluator.accuracy(validation)
    return EpochResult(
        epoch=run.epoch,
        train_seconds=training.clock.train_seconds,
        accuracy=accuracy,
        loss=loss,
        learning_rate=run.learning_rate,
        batch_size=run.batch_size,
        parameters=count_parameters(run.model),
        flops_per_image=training.shape.flops_per_image,
        step_seconds=median,
        step_seconds_iqr=iqr,
        skipped_steps=skipped,
        loss_scale=loss_scale,
        overflow_share=skipped / run.steps_per_epoch,
    )


def outcome_of(training: Training, with_test: bool) -> Outcome:
    """Sum up a training that has ended.

    Args:
        training: The training, with a result for every epoch.
        with_test: Whether to look at the test split.
    """
    last = training.results[-1]
    outcome = Outcome(
        "complete",
        train_seconds=training.clock.train_seconds,
        wall_seconds=training.clock.wall_seconds,
        accuracy=last.accuracy,
        training_flops=training.effort.flops,
        inference_flops=last.flops_per_image * training.evaluator.passes,
        parameters=last.parameters,
        peak_memory_bytes=training.memory.sample(),
        images_per_second=training.effort.images / training.clock.train_seconds,
        energy_joules=training.spent_joules(),
        noisy=training.clock.noisy,
        epochs=tuple(training.results),
        surgeries=tuple(training.shape.results),
        phases=phase_results(training.clock.phases, training.shape.surgeon.outline),
    )
    return replace(outcome, test_accuracy=training.evaluator.accuracy(training.images.test)) if with_test else outcome
