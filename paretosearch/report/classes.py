"""The classes of device on which a study has results: their fronts, and what readers call them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from paretosearch.report.look import PAPER, Look
from paretosearch.report.words import counted, seconds_text
from paretosearch.store import Front, Store

_CPU = re.compile(r"cpu:(.*)x(\d+)", re.DOTALL)
_GPU = re.compile(r"^cuda:(NVIDIA )?(GeForce )?")
#: Where a name of a class may be taken apart: after words, and before the number of cores.
_PARTS = re.compile(r"[\s:]+|(?=x\d+$)")

#: How a part of a name may fit the name, the surest way first: ``x1`` is one core before it is some of sixteen.
_FITS: tuple[Callable[[str, str], bool], ...] = (str.__eq__, str.endswith, str.__contains__)


def fronts_of(store: Store, study: str) -> dict[str, Front]:
    """Read the front of a study on every class of device that has one, by class; that of its own class comes first.

    Args:
        store: Where the study is kept.
        study: Its name.

    Raises:
        StoreError: If there is no such study.
    """
    record = store.study(study)
    own = record.device_class if record else ""
    classes = sorted(store.device_classes(study), key=lambda name: name != own)
    fronts = {name: store.front(study, name) for name in classes}
    return {name: front for name, front in fronts.items() if front.points}


def labels(classes: Collection[str], look: Look = PAPER) -> dict[str, str]:
    """Call classes of device by short names, for headings.

    Args:
        classes: Their names, all that are to be told apart.
        look: Whose language to use.

    Returns:
        Such as ``RTX 2080 Ti`` or ``2 CPU cores`` by name; the names themselves if two would be called the same.
    """
    models = {found[1] for name in classes if (found := _CPU.fullmatch(name))}
    named = {name: _label(name, len(models) > 1, look) for name in classes}
    return named if len(set(named.values())) == len(named) else {name: name for name in classes}


def _label(name: str, with_model: bool, look: Look) -> str:
    found = _CPU.fullmatch(name)
    if found is None:
        return _GPU.sub("", name) or name
    cores = look.say("1 CPU core") if found[2] == "1" else look.say("{count} CPU cores", count=found[2])
    return f"{found[1]}, {cores}" if with_model else cores


def meant(part: str, classes: Sequence[str]) -> list[str]:
    """Find the classes of device that a part of a name fits best, whatever its case.

    Args:
        part: Such as ``2080`` or ``x2``; a whole name means that class alone, and an end goes before a middle.
        classes: Names of classes.

    Returns:
        Those that it may mean; one, if it is unambiguous.
    """
    wanted = part.strip().casefold()
    for fits in _FITS:
        found = [name for name in classes if wanted and fits(name.casefold(), wanted)]
        if found:
            return found
    return []


def shortest(device_class: str, classes: Sequence[str]) -> str:
    """Find the shortest part of a class's name that means it and no other, to be typed."""
    words = sorted(filter(None, _PARTS.split(device_class)), key=len)
    return next((word for word in words if meant(word, classes) == [device_class]), device_class)


def seen_by(device_class: str, classes: Sequence[str]) -> str:
    """Give the option that shows a class of device."""
    return f"--device-class {shlex.quote(shortest(device_class, classes))}"


def classes_lines(fronts: Mapping[str, Front], shown: str) -> RenderableType:
    """Say, below the front of a class of device, what there is on others, and how to see it.

    Args:
        fronts: The front on every class, by class.
        shown: The class that is seen already.

    Returns:
        Something to print; nothing if there is no other class.
    """
    if set(fronts) <= {shown}:
        return Group()
    named = labels(fronts)
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    table.add_column("times on")
    for heading in ("front", "hypervolume"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("seen by", no_wrap=True)
    for name, front in fronts.items():
        seen = "above" if name == shown else seen_by(name, list(fronts))
        table.add_row(Text(named[name]), *worth(front), Text(seen))
    return Group(Text(), table)


def worth(front: Front) -> tuple[str, str]:
    """Say how many of how many trials are on a front, and its hypervolume."""
    trials = counted(len(front.points) + len(front.dominated), "trial")
    return f"{len(front.points)} of {trials}", f"{seconds_text(front.hypervolume)} s"
