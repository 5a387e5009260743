"""Learns classes that arrive in groups, by a tree of networks, in this process."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from paretosearch.api.training import one_wish, taken
from paretosearch.device import Device
from paretosearch.errors import UsageError
from paretosearch.files import replacing
from paretosearch.fleet.worker import own_the_cores, torch_device
from paretosearch.report.cells import write_csv
from paretosearch.treecnn.study import load_tree

if TYPE_CHECKING:
    import torch

    from paretosearch.treecnn.tree import Increment

#: Name of the figure's files, the table and the text in a folder.
FIGURE, TABLE, TEXT = "increments", "increments.csv", "tree.txt"


@dataclass(frozen=True)
class Learned:
    """What a tree has learned.

    Args:
        study: Name of the study.
        device_class: On what.
        classes: Name of each class, by its label.
        increments: One for each group.
    """

    study: str
    device_class: str
    classes: tuple[str, ...]
    increments: tuple[Increment, ...]


def tree(
    study: str = "tree_cnn",
    gpus: str | int | None = None,
    cpu: str | int | None = None,
    out: Path | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
    on_increment: Callable[[Increment, Sequence[str]], None] = lambda *_: None,
) -> Learned:
    """Learn the classes of a data set group by group, by a tree and by training anew.

    Args:
        study: Name of a shipped study with a ``[tree]`` table, or path of a file.
        gpus: Index of one GPU.
        cpu: One slot of cores, such as ``1x4``; with neither wish the first GPU, else one core.
        out: Folder for a figure, a table and the tree as text; None writes nothing.
        on_stage: Called with what comes next, before everything that takes long.
        on_increment: Called with what each group did and the names of all classes.

    Returns:
        What each group did.

    Raises:
        StudyFileError: If the file is wrong, or is of a study to be launched.
        UsageError: If more than one device is asked for, or the folder cannot be written.
        DataError: If the data set is not to be had.
        DeviceError: If the device does not exist or is in use.
        RecipeError: If a network cannot be trained so.
        DivergedError: If a training's loss is not finite.
    """
    file, wish = load_tree(study), one_wish("tree", gpus, cpu)
    if out is not None:
        _make_folder(out)
    with taken(wish) as device:
        from paretosearch import data
        from paretosearch.treecnn.tree import grow

        on_stage("preparing the data set")
        images = data.load(file.recipe.dataset, file.recipe.image_size)
        increments = []
        with _here(device) as place:
            for increment in grow(file, images, place, on_stage):
                on_increment(increment, images.classes)
                increments.append(increment)
        learned = Learned(file.name, device.device_class, images.classes, tuple(increments))
    if out is not None:
        _write(learned, out)
    return learned


@contextmanager
def _here(device: Device) -> Iterator[torch.device]:
    """Let this process train on a device as a Worker would: on its own cores, or on the one GPU that it sees."""
    before = os.sched_getaffinity(0)
    if device.kind == "cuda":
        os.environ["CUDA_VISIBLE_DEVICES"] = device.uuid
    own_the_cores(device)
    try:
        yield torch_device(device)
    finally:
        os.sched_setaffinity(0, before)


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise UsageError(f"{out} is a file; name a folder by --out") from None
    except OSError as error:
        raise UsageError(f"cannot make the folder {out}: {error.strerror}") from None
    if not os.access(out, os.W_OK):
        raise UsageError(f"cannot write in the folder {out}")


def _write(learned: Learned, out: Path) -> None:
    from paretosearch.report.style import save
    from paretosearch.treecnn.picture import tree_figure
    from paretosearch.treecnn.showing import increments_rows, tree_lines

    save(tree_figure(learned.increments), out / FIGURE)
    write_csv(list(increments_rows(learned.increments, learned.classes)), out / TABLE)
    with replacing(out / TEXT) as file:
        text = "\n".join(tree_lines(learned.increments[-1].children, learned.classes))
        file.write(f"{text}\n".encode())
