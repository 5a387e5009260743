"""Learns classes that arrive in groups, by a tree of networks, in this process."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from paretosearch.api.training import one_wish, taken
from paretosearch.device import Device
from paretosearch.files import leaving_none_empty
from paretosearch.fleet.worker import own_the_cores, torch_device
from paretosearch.report.look import PAPER, Look
from paretosearch.treecnn.study import TreeStudy, load_tree

if TYPE_CHECKING:
    import torch

    from paretosearch.treecnn.learned import Learned
    from paretosearch.treecnn.tree import Increment


def tree(
    study: str = "tree_cnn",
    gpus: str | int | None = None,
    cpu: str | int | None = None,
    out: Path | None = None,
    on_stage: Callable[[str], None] = lambda _: None,
    on_increment: Callable[[Increment], None] = lambda _: None,
    look: Look = PAPER,
) -> Learned:
    """Learn the classes of a data set group by group, by a tree and by training anew.

    Args:
        study: Name of a shipped study with a ``[tree]`` table, or path of a file.
        gpus: Index of one GPU.
        cpu: One slot of cores, such as ``1x4``; with neither wish the first GPU, else one core.
        out: Folder for a figure, a table and the tree as text; None writes nothing.
        on_stage: Called with what comes next, before everything that takes long.
        on_increment: Called with what each group did.
        look: What figure and table are made for.

    Returns:
        What each group did.

    Raises:
        StudyFileError: If the file is wrong, is of a study to be launched, or does not fit the data set.
        UsageError: If more than one device is asked for, or the folder cannot be written or has files of another study.
        DataError: If the data set is not to be had.
        DeviceError: If the device does not exist or is in use.
        RecipeError: If a network cannot be trained so.
        DivergedError: If a training's loss is not finite.
    """
    file, wish = load_tree(study), one_wish("tree", gpus, cpu)
    with _folder(out, file.name) if out is not None else nullcontext():
        with taken(wish) as device:
            learned = learn(file, device, on_stage, on_increment)
        if out is not None:
            from paretosearch.treecnn.export import export

            export(learned, out, look)
    return learned


def learn(
    study: TreeStudy,
    device: Device,
    on_stage: Callable[[str], None] = lambda _: None,
    on_increment: Callable[[Increment], None] = lambda _: None,
) -> Learned:
    """Do so on a device that is taken, by a study that is read.

    Args:
        study: What to learn.
        device: Where.
        on_stage: Called with what comes next, before everything that takes long.
        on_increment: Called with what each group did.

    Returns:
        What each group did.

    Raises:
        StudyFileError: If the data set has too few classes, or too few images for a batch.
        DataError: If the data set is not to be had.
        RecipeError: If a network cannot be trained so.
        DivergedError: If a training's loss is not finite.
    """
    from paretosearch import data
    from paretosearch.treecnn.learned import Learned
    from paretosearch.treecnn.tree import grow

    on_stage("preparing the data set")
    images = data.load(study.recipe.dataset, study.recipe.image_size)
    increments = []
    with _here(device) as place:
        for increment in grow(study, images, place, on_stage):
            on_increment(increment)
            increments.append(increment)
    return Learned(study, device, images.classes, tuple(increments))


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


@contextmanager
def _folder(out: Path, study: str) -> Iterator[None]:
    """Find out before the training whether its results can be written; without results no new folder stays."""
    from paretosearch.report.folder import writing_to

    with leaving_none_empty(out):
        with writing_to(out, study):
            if not os.access(out, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        yield
