"""The seam between the Launcher and whatever runs its Attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from paretosearch.device import Device
from paretosearch.outcome import EpochResult, Outcome, Purpose
from paretosearch.recipe import Recipe


@dataclass(frozen=True)
class Assignment:
    """One Attempt for one Device.

    Args:
        attempt: Row of `ps_attempt`; names the file in the spool.
        trial: Number of the Trial.
        recipe: What to train.
        with_test: Whether to look at the test split at the end; a search must not.
        keep: Folder for the Recipe and the network; None keeps neither.
        replay: How the training went elsewhere, to be timed here without training; None trains.
        purpose: Why it is made.
        checkpoint_seconds: A checkpoint is written after the first epoch that ends so long after the last one; an
            Attempt with the same Trial, Recipe and class of device goes on from it. None writes and reads none.
        data_digest: Digest of the data set that the launch was prepared with; another one is refused. None is any.
        onnx: Whether the network is kept as ONNX too.
    """

    attempt: int
    trial: int
    recipe: Recipe
    with_test: bool = False
    keep: Path | None = None
    replay: Outcome | None = None
    purpose: Purpose = "search"
    checkpoint_seconds: float | None = None
    data_digest: str | None = None
    onnx: bool = False

    def to_plain(self) -> dict[str, Any]:
        """Give the fields as JSON can hold them."""
        keep = None if self.keep is None else str(self.keep.absolute())
        replay = None if self.replay is None else self.replay.to_json()
        return {**self.__dict__, "recipe": self.recipe.to_json(), "keep": keep, "replay": replay}

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Assignment:
        """Rebuild an Assignment from `to_plain`, after a trip through JSON."""
        keep = None if plain["keep"] is None else Path(plain["keep"])
        replay = None if plain["replay"] is None else Outcome.from_json(plain["replay"])
        return cls(**{**plain, "recipe": Recipe.from_json(plain["recipe"]), "keep": keep, "replay": replay})


@dataclass(frozen=True)
class Progress:
    """A Worker finished an epoch."""

    device: Device
    assignment: Assignment
    result: EpochResult


@dataclass(frozen=True)
class Done:
    """An Attempt has ended; the Fleet has brought its Outcome to the Launcher's spool, wherever it was trained."""

    device: Device
    assignment: Assignment


@dataclass(frozen=True)
class Lost:
    """A Worker died without an Outcome.

    Args:
        device: Its Device.
        assignment: What it had to train.
        message: How it died, in one line.
        detail: The end of its log.
        has_begun: Whether it had got so far as to train; if not, the Attempt is not to blame.
    """

    device: Device
    assignment: Assignment
    message: str
    detail: str
    has_begun: bool = True


@dataclass(frozen=True)
class Waiting:
    """An Attempt has ended, and its Outcome cannot be written yet; ``message`` says why."""

    device: Device
    assignment: Assignment
    message: str


@dataclass(frozen=True)
class Retired:
    """A Device gets no more Attempts in this launch: its Worker does not start, or dies in one trial after another."""

    device: Device
    message: str


@dataclass(frozen=True)
class Joined:
    """A Device has come to the Fleet, with a machine that was not there when it started."""

    device: Device


Event = Progress | Done | Lost | Waiting | Retired | Joined


class Fleet(Protocol):
    """Workers, one a Device, that train one Attempt at a time and outlive none of their failures."""

    @property
    def devices(self) -> Sequence[Device]:
        """All Devices, in the order of the launch; those that have joined come last."""

    def start(self) -> None:
        """Start the Workers."""

    def idle(self) -> Sequence[Device]:
        """Devices that can take an Attempt now.

        Raises:
            DeviceError: If no Device is left.
        """

    def is_busy(self) -> bool:
        """Whether an Attempt is running, or a Worker is about to be replaced."""

    def assign(self, device: Device, assignment: Assignment) -> None:
        """Give an idle Device an Attempt."""

    def poll(self, seconds: float) -> Sequence[Event]:
        """Wait at most ``seconds`` for something to happen, and say what did."""

    def cut(self, device: Device, why: str) -> None:
        """Let a Device's Attempt end after its epoch, with an Outcome that is ``dominated``.

        Args:
            device: One with an Attempt.
            why: One line for the Outcome. An Attempt in its last epoch ends complete all the same.
        """

    def stop(self, now: bool) -> None:
        """Let every Attempt end after its epoch, or kill the Workers ``now``.

        An Attempt that ends after its epoch leaves an Outcome that is ``stopped``; a killed one is `Lost`.
        """

    def close(self) -> None:
        """End all Workers."""
