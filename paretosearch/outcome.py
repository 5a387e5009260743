"""The values that say how a training went."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from paretosearch.errors import ParetosearchError
from paretosearch.possible import check_fields, shown

#: Why an Attempt failed; the first one alone is worth another try. ``data`` is of one that was stopped, since its data
#: set was not to be had: no fault of the training, and none of the Device.
FailureClass = Literal["infrastructure", "out_of_memory", "host_memory", "diverged", "invalid", "bug", "data"]
FAILURE_CLASSES: tuple[FailureClass, ...] = (
    "infrastructure",
    "out_of_memory",
    "host_memory",
    "diverged",
    "invalid",
    "bug",
    "data",
)

#: How an Attempt can end: with a result; without one; by the user, to be gone on with; early, since even its best
#: ending would have been dominated.
Status = Literal["complete", "failed", "stopped", "dominated"]
STATUSES: tuple[Status, ...] = ("complete", "failed", "stopped", "dominated")
#: Why an Attempt is made: for the search; to repeat a result of it with another seed; to time a training of it again,
#: without training, where its seconds are not known or not to be believed.
Purpose = Literal["search", "confirm", "replay"]

#: Kinds of `SurgeryResult` that are a note of a Method about its epoch, for which nothing was done.
NOTES = ("early_bird", "gradient_pruning", "isgd", "lottery_ticket")

#: Characters of a message, which is one line, and of the traceback or log beside it, which ends in what matters.
MOST_MESSAGE, MOST_DETAIL = 1000, 20_000

#: How the pattern of a phase begins in which dynamic fixed point was computed by integers, and not simulated.
BY_INTEGERS = "integers by "

#: What an Outcome has many of, which the store keeps in tables of their own.
SEQUENCES = ("epochs", "surgeries", "phases")


@dataclass(frozen=True)
class EpochResult:
    """State of a training after an epoch.

    Args:
        epoch: Epochs done, from 1.
        train_seconds: Seconds on the training clock so far.
        accuracy: Share of the validation split classified correctly, in [0, 1].
        loss: Mean training loss of the epoch.
        learning_rate: Learning rate of the last step.
        batch_size: Images per step.
        parameters: Trainable parameters of the network.
        flops_per_image: Floating-point operations of one forward pass of one image.
        step_seconds: Median seconds of a step in this epoch.
        step_seconds_iqr: Interquartile range of the same.
        skipped_steps: Steps that the loss scaler refused in this epoch, since a gradient was not finite.
        loss_scale: Factor on the loss at the end of the epoch; None where the number format needs none.
        overflow_share: Share of the epoch's steps that were skipped, in [0, 1], 0 where none can be; None in a record
            from before it was kept.
    """

    epoch: int
    train_seconds: float
    accuracy: float
    loss: float
    learning_rate: float
    batch_size: int
    parameters: int
    flops_per_image: int
    step_seconds: float
    step_seconds_iqr: float
    skipped_steps: int = 0
    loss_scale: float | None = None
    overflow_share: float | None = None


@dataclass(frozen=True)
class SurgeryResult:
    """One change of the network's shape, or what a Method noticed where it changed nothing.

    Args:
        epoch: Epochs done when it happened.
        kind: ``prune``, ``widen``, ``deepen``, ``rescale`` and so on, or one of `NOTES`.
        channels_before: Channels of all spaces before.
        channels_after: Channels of all spaces after.
        seconds: Seconds it took, on the training clock.
        figures: What the Method that asked for it noticed, by name, such as ``similarity`` of copies.
    """

    epoch: int
    kind: str
    channels_before: int
    channels_after: int
    seconds: float
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class PhaseResult:
    """Steps of a training that were all alike.

    Args:
        epoch: Epochs done when they began.
        steps: How many they are.
        batch_size: Images per step.
        tier: How they were run: ``eager`` op by op, ``fused`` with batch norm and ReLU as one, ``compile`` by
            torch.compile, ``graph`` as a CUDA graph.
        pattern: How the device computed in the number format, where there is more than one way, and what Methods did
            in them that they do not always do.
        seconds: Seconds of all of them on the training clock.
        step_seconds: Median seconds of one that was not the first few.
        step_seconds_iqr: Interquartile range of the same.
        changes: What happened to the network's shape since the phase before, as a Surgeon can do it again.
        rebuild_seconds: Seconds in which that was done, without those in which it was decided; None in an old record.
    """

    epoch: int
    steps: int
    batch_size: int
    tier: str
    pattern: str
    seconds: float
    step_seconds: float
    step_seconds_iqr: float
    changes: tuple[Mapping[str, Any], ...] = ()
    rebuild_seconds: float | None = None

    def computed(self, way: str) -> PhaseResult:
        """Give the same phase on a device that computes in the number format in this way, empty for the usual one."""
        first, *others = self.pattern.split(", ")
        kept = others if first.startswith(BY_INTEGERS) else [first, *others]
        return replace(self, pattern=", ".join(filter(None, [way, *kept])))


@dataclass(frozen=True)
class Outcome:
    """How one Attempt ended.

    One that ended early has the epochs until then.

    Args:
        status: One of `STATUSES`.
        failure: Class of the failure; None where nothing failed. One that was stopped may have ``data``.
        message: One line on why there is no result, or on what of it could not be kept in a file.
        detail: Traceback or last output of a failure; empty when complete.
        train_seconds: Seconds on the training clock: the first objective.
        wall_seconds: The same seconds without the clock's robustness against interruptions.
        accuracy: Share of the validation split classified correctly, in [0, 1]: the second objective.
        test_accuracy: The same of the test split; only ``train`` and ``confirm`` look.
        training_flops: Floating-point operations of all training steps, forward and backward: those of convolutions and
            matrix products, as far as they were computed. What a Method only simulates to save was.
        inference_flops: Floating-point operations of one forward pass of one image.
        parameters: Trainable parameters at the end.
        peak_memory_bytes: Highest memory of the device (GPU) or the process (CPU), which keeps what it once had.
        images_per_second: Images of the batches of all training steps per second on the training clock, whether or not
            a Method trained on all of a batch.
        energy_joules: Energy of the device from start to end, validation included, where it can be read.
        noisy: Whether somebody disturbed it: another program used its GPU, mean and median of the steps, without their
            warm-up, differ by more than 5 %, or the device was not as fast as usual.
        epochs: One result an epoch.
        surgeries: Changes of shape, in order.
        phases: Its steps, in order.
        drift: How much longer a short reference took before or after it, whichever is further off, than it takes
            usually on its device, such as 0.02, or -0.02 for less; None where nobody looked, as around a short one.
    """

    status: Status
    failure: FailureClass | None = None
    message: str = ""
    detail: str = ""
    train_seconds: float | None = None
    wall_seconds: float | None = None
    accuracy: float | None = None
    test_accuracy: float | None = None
    training_flops: int | None = None
    inference_flops: int | None = None
    parameters: int | None = None
    peak_memory_bytes: int | None = None
    images_per_second: float | None = None
    energy_joules: float | None = None
    noisy: bool = False
    epochs: tuple[EpochResult, ...] = ()
    surgeries: tuple[SurgeryResult, ...] = ()
    phases: tuple[PhaseResult, ...] = ()
    drift: float | None = None

    @property
    def objectives(self) -> tuple[float, float]:
        """Training seconds (smaller is better) and accuracy (larger is better) of a complete Attempt."""
        assert self.train_seconds is not None
        assert self.accuracy is not None
        return self.train_seconds, self.accuracy

    @property
    def by_integers(self) -> bool:
        """Whether dynamic fixed point was computed by integers."""
        return any(phase.pattern.startswith(BY_INTEGERS) for phase in self.phases)

    def to_json(self) -> str:
        """Write the Outcome as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Outcome:
        """Read an Outcome and check every value, since only finite values in range may reach the sampler.

        Raises:
            ParetosearchError: If the text is no Outcome, or a value is not finite or out of range.
        """
        try:
            plain = json.loads(text)
            plain["epochs"] = tuple(EpochResult(**epoch) for epoch in plain.get("epochs", ()))
            plain["surgeries"] = tuple(SurgeryResult(**surgery) for surgery in plain.get("surgeries", ()))
            plain["phases"] = tuple(_phase(phase) for phase in plain.get("phases", ()))
            outcome = checked(cls(**plain))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise ParetosearchError(f"this is no Outcome: {error}") from None
        return replace(outcome, message=one_line(outcome.message), detail=outcome.detail[-MOST_DETAIL:])


def _phase(plain: dict[str, Any]) -> PhaseResult:
    return PhaseResult(**{**plain, "changes": tuple(plain["changes"])})


_Record = Outcome | EpochResult | SurgeryResult | PhaseResult


def failed(failure: FailureClass, message: str, detail: str = "") -> Outcome:
    """Make the Outcome of an Attempt without a result; the message is cut to its first line, the detail to its end."""
    first_line = message.strip().splitlines()[0].strip() if message.strip() else failure
    return Outcome("failed", failure, one_line(first_line), detail[-MOST_DETAIL:])


def one_line(text: str) -> str:
    """Make a text fit to be shown: what would move the cursor of a terminal, or end the line, is a question mark."""
    return "".join(c if c.isprintable() else "?" for c in text[:MOST_MESSAGE])


def checked(outcome: Outcome) -> Outcome:
    """Return the Outcome if all its values are possible.

    Raises:
        ParetosearchError: If a value is of another type than its field, a number is not finite or negative, or an
            accuracy or a share is above 1.
    """
    if outcome.status not in STATUSES:
        raise ParetosearchError(f"an Outcome is one of {', '.join(STATUSES)}, not {shown(outcome.status)}")
    needed = (None, *FAILURE_CLASSES) if outcome.status != "failed" else FAILURE_CLASSES
    if outcome.failure not in needed:
        known = ", ".join(FAILURE_CLASSES)
        raise ParetosearchError(f"{shown(outcome.failure)} is no class of failure (allowed: {known})")
    records: tuple[_Record, ...] = (outcome, *outcome.epochs, *outcome.surgeries, *outcome.phases)
    for record in records:
        check_fields(record)
    if outcome.status == "complete":
        for name in ("train_seconds", "wall_seconds", "accuracy"):
            if getattr(outcome, name) is None:
                raise ParetosearchError(f"a complete Outcome needs {name}")
    _check_order(outcome.epochs)
    return outcome


def _check_order(epochs: tuple[EpochResult, ...]) -> None:
    done = [epoch.epoch for epoch in epochs]
    if done != sorted(set(done)):
        raise ParetosearchError(f"epochs {shown(done)} are not in order")
