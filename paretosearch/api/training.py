"""Trains one Recipe outside any study, as a Worker of a study would."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from paretosearch.device import Device
from paretosearch.errors import UsageError
from paretosearch.fleet import devices as device_choice
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment, Fleet, Progress
from paretosearch.fleet.local import LocalFleet
from paretosearch.outcome import EpochResult, Outcome, failed
from paretosearch.recipe import Recipe

#: Number of the one Attempt in its own spool.
ATTEMPT = 0


def train(
    recipe: Recipe,
    gpus: str | None = None,
    cpu: str | None = None,
    out: Path | None = None,
    on_epoch: Callable[[EpochResult], None] = lambda _: None,
) -> Outcome:
    """Train one Recipe here, look at the test split, and keep the weights.

    Args:
        recipe: What to train.
        gpus: Index of one GPU.
        cpu: One slot of cores, such as ``1x4``; with neither wish the first GPU, else one core.
        out: Folder for ``weights.pt``, ``recipe.json`` and ``outcome.json``; None keeps nothing.
        on_epoch: Called after every epoch.

    Returns:
        The Outcome, complete or failed, with `test_accuracy`.

    Raises:
        UsageError: If more than one device is asked for, or the folder cannot be written.
        DataError: If the data set is not to be had.
        DeviceError: If the device does not exist or is in use.
    """
    if out is not None:
        _make_folder(out)
    prepare(recipe)
    with one_device("train", gpus, cpu) as device:
        outcome = run_alone(device, Assignment(ATTEMPT, 0, recipe, with_test=True, keep=out), on_epoch)
    if out is not None and outcome.status == "complete":
        (out / "outcome.json").write_text(outcome.to_json() + "\n", encoding="utf-8")
    elif out is not None:
        with suppress(OSError):
            out.rmdir()  # only if nothing was there before
    return outcome


@contextmanager
def one_device(command: str, gpus: str | None, cpu: str | None) -> Iterator[Device]:
    """Take one device for a while; with neither wish the first GPU, else one core.

    Raises:
        UsageError: If more than one is asked for; ``command`` says who asks.
        DeviceError: If it does not exist or is in use.
    """
    if gpus is None and cpu is None:
        gpus, cpu = ("0", None) if device_choice.gpus() else (None, "1")
    reservation = device_choice.Reservation(device_choice.wanted(gpus, cpu))
    try:
        if len(reservation.devices) > 1:
            raise UsageError(f"{command} takes one device: --gpus 0, or --cpu 1x4 for one slot of four cores")
        yield reservation.devices[0]
    finally:
        reservation.release()


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {out}: {error.strerror}") from None
    if not os.access(out, os.W_OK):
        raise UsageError(f"cannot write in the folder {out}")


def prepare(recipe: Recipe) -> None:
    """Say what is wrong with the names in a Recipe, and get its data, before a device is taken."""
    from paretosearch import data, methods, nets

    nets.check_name(recipe.network)
    methods.active(recipe)
    data.load(recipe.dataset, recipe.image_size)


def run_alone(
    device: Device, assignment: Assignment, on_epoch: Callable[[EpochResult], None] = lambda _: None
) -> Outcome:
    """Run one assignment, numbered `ATTEMPT`, in a Worker of its own; gives its Outcome, complete or failed."""
    with (
        tempfile.TemporaryDirectory(prefix="paretosearch-") as folder,
        closing(LocalFleet([device], Path(folder))) as fleet,
    ):
        return _run(fleet, assignment, Path(folder), on_epoch)


def _run(fleet: Fleet, assignment: Assignment, folder: Path, on_epoch: Callable[[EpochResult], None]) -> Outcome:
    fleet.start()
    fleet.assign(fleet.devices[0], assignment)
    while True:
        for event in fleet.poll(1.0):
            if isinstance(event, Progress):
                on_epoch(event.result)
                continue
            message = getattr(event, "message", "the Worker gave no result")
            return spool.read(folder, ATTEMPT) or failed("infrastructure", message)
