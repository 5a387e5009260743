"""Looks into a pickled file for what it would call, without unpickling it."""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from pathlib import Path

#: What an array of NumPy is made by, under the names of today and of 2009.
HARMLESS = frozenset(
    {
        "numpy.core.multiarray _reconstruct",
        "numpy._core.multiarray _reconstruct",
        "numpy ndarray",
        "numpy dtype",
        "_codecs encode",
    }
)

#: Ways to name something that is then called; data sets of ours use the first alone.
_NAMING = ("GLOBAL", "STACK_GLOBAL", "INST", "EXT1", "EXT2", "EXT4", "PERSID", "BINPERSID")


def check_pickle(path: Path) -> None:
    """Refuse a pickled file that would do more than to make arrays, lists and dictionaries.

    Args:
        path: The file.

    Raises:
        ValueError: If it names anything that is not `HARMLESS`, or is no pickle.
    """
    for name, argument in _operations(path):
        if name in _NAMING and (name != "GLOBAL" or argument not in HARMLESS):
            raise ValueError(f"{path.name} would call {argument or 'something'!r} when it is read")


def _operations(path: Path) -> Iterator[tuple[str, object]]:
    with path.open("rb") as file:
        try:
            for opcode, argument, _ in pickletools.genops(file):
                yield opcode.name, argument
        except (ValueError, OverflowError, MemoryError) as error:
            raise ValueError(f"{path.name} is damaged: {error}") from None
