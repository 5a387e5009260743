"""Trains one Recipe outside any study, as a Worker of a study would."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from paretosearch.api.wishes import typed
from paretosearch.device import Device
from paretosearch.errors import RecipeError, UsageError
from paretosearch.files import content, leaving_none_empty, replacing
from paretosearch.fleet import devices as device_choice
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment, Fleet, Lost, Progress, Retired, Waiting
from paretosearch.fleet.local import LocalFleet
from paretosearch.outcome import EpochResult, Outcome, failed
from paretosearch.recipe import Recipe
from paretosearch.report.words import words

if TYPE_CHECKING:
    from paretosearch.data import ImageSet

#: More than a Recipe is long.
_MOST_BYTES = 1 << 20

#: Number of the one Attempt in its own spool.
ATTEMPT = 0


#: Fields that are told of a training in any case, and those that are where they are not at their default.
_TOLD, _IF_CHANGED = (
    ("number_format", "batch_size", "learning_rate", "pooling"),
    ("augmentation", "schedule", "image_size", "train_images", "train_share"),
)


def heading(recipe: Recipe) -> str:
    """Say in a line what will be trained: the Methods that are on among it, and last how long.

    Raises:
        RecipeError: If the Methods cannot be in one training.
    """
    plain = {field.name: field.default for field in fields(Recipe)}
    changed = [name for name in _IF_CHANGED if getattr(recipe, name) != plain[name]]
    said = words(recipe, (*_TOLD, *changed, *_told_of_methods(recipe), "epochs"))
    stretched = f", stretched to {recipe.total_epochs} by epochs_rule" if recipe.stretch > 1 else ""
    return f"{recipe.network} on {recipe.dataset}: {said}{stretched}"


def _told_of_methods(recipe: Recipe) -> Iterator[str]:
    """Give the switch of every Method that is on, and each of its other parameters that is not at its default."""
    from paretosearch import methods  # imports torch

    for method in methods.active(recipe):
        if method.switch is not None:
            yield method.key()
            others = (name for name in method.space if name != method.switch)
            yield from (f"{method.name}.{n}" for n in others if getattr(method, n) != method.default(n))


def train(
    recipe: Recipe,
    gpus: str | int | None = None,
    cpu: str | int | None = None,
    out: Path | None = None,
    on_epoch: Callable[[EpochResult], None] = lambda _: None,
    on_start: Callable[[Device], None] = lambda _: None,
    on_stage: Callable[[str], None] = lambda _: None,
    on_data: Callable[[ImageSet], None] = lambda _: None,
    onnx: bool = False,
    force: bool = False,
) -> Outcome:
    """Train one Recipe here, look at the test split, and keep the weights.

    Args:
        recipe: What to train.
        gpus: Index of one GPU.
        cpu: One slot of cores, such as ``1x4``; with neither wish the first GPU, else one core.
        out: Folder for ``weights.pt``, ``network.py``, ``recipe.json`` and ``outcome.json``; None keeps nothing.
            Weights of the same Recipe that it holds are replaced.
        on_epoch: Called after every epoch.
        on_start: Called once the device is taken.
        on_stage: Called with what comes next, before everything that takes long.
        on_data: Called with the data set, before anything is trained.
        onnx: Whether ``model.onnx`` is kept as well.
        force: Whether weights of another Recipe are replaced as well.

    Returns:
        The Outcome, complete or failed, with `test_accuracy`; its message says what could not be kept.

    Raises:
        UsageError: If more than one device is asked for, or the folder cannot be written or holds other weights.
        DataError: If the data set is not to be had.
        DeviceError: If the device does not exist or is in use.
    """
    wish = one_wish("train", gpus, cpu)
    if out is not None and not force:
        _check_free(out, recipe)
    with _folder(out) if out is not None else nullcontext(), taken(wish) as device:
        on_start(device)
        on_stage("preparing the data set")
        on_data(prepare(recipe))
        compiling = " and compiling the network" if recipe.compile != "off" else ""
        on_stage(f"starting a Worker on {device.label}{compiling}")
        outcome = run_alone(device, Assignment(ATTEMPT, 0, recipe, with_test=True, keep=out, onnx=onnx), on_epoch)
        if out is not None and outcome.status == "complete":
            with replacing(out / "outcome.json") as file:
                file.write(f"{outcome.to_json()}\n".encode())
    return outcome


def one_wish(command: str, gpus: str | int | None, cpu: str | int | None) -> device_choice.Wish:
    """Read a wish for one device; with none the first GPU, else one core.

    Raises:
        UsageError: If it cannot be read, or is for more than one; ``command`` says who asks.
        DeviceError: If a GPU does not exist.
    """
    if gpus is None and cpu is None:
        gpus, cpu = ("0", None) if device_choice.gpus() else (None, "1")
    wish = device_choice.wanted(typed("gpus", gpus), typed("cpu", cpu))
    if len(wish.cuda) + len(wish.cpu) > 1:
        raise UsageError(f"{command} takes one device: --gpus 0, or --cpu 1x4 for one slot of four cores")
    return wish


@contextmanager
def taken(wish: device_choice.Wish) -> Iterator[Device]:
    """Take the first device of a wish for a while.

    Raises:
        DeviceError: If it is in use, or there are too few cores.
    """
    reservation = device_choice.Reservation(wish)
    try:
        yield reservation.devices[0]
    finally:
        reservation.release()


def _check_free(out: Path, recipe: Recipe) -> None:
    """Refuse a folder with weights that another Recipe has made, or nobody knows what; they may have cost days."""
    if not (out / "weights.pt").exists():
        return
    try:
        held = Recipe.from_json(content(out / "recipe.json", _MOST_BYTES).decode())
    except (OSError, UnicodeDecodeError, RecipeError):
        held = None
    if held != recipe:
        what = "of another recipe" if held else "that are not known to be of this recipe"
        raise UsageError(f"{out} holds weights {what}; name another folder by --out, or replace them by --force")


@contextmanager
def _folder(out: Path) -> Iterator[None]:
    """Make a folder and the folders above it; those that are empty in the end, whatever ended it, are gone again."""
    with leaving_none_empty(out):
        _make_folder(out)
        yield


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {out}: {error.strerror}") from None
    if not os.access(out, os.W_OK):
        raise UsageError(f"cannot write in the folder {out}")


def prepare(recipe: Recipe) -> ImageSet:
    """Say what is wrong with the names in a Recipe, and get its data, before a Worker starts."""
    from paretosearch import data, methods, nets

    nets.check_name(recipe.network)
    methods.active(recipe)
    return data.load(recipe.dataset, recipe.image_size)


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
            elif not isinstance(event, Waiting):
                message = event.message if isinstance(event, Lost | Retired) else "the Worker gave no result"
                return spool.read(folder, ATTEMPT) or failed("infrastructure", message)
