"""What every account of where figures come from is made of, in Markdown."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.metadata import version

from paretosearch.device import Device
from paretosearch.report.markdown import block

#: The file's name.
PROVENANCE = "PROVENANCE.md"

CLOCK = """\
Seconds are `train_seconds`: everything that a recipe causes (batches, losses of methods, changes of the network's
shape, compilation, the statistics of batch norm at the end), by a clock that takes, for each kind of step, the median
of its steps times their number, and leaves out what another program's use of the core took. Start of the process,
loading and decoding of data, validation and checkpoints stand outside. Times of different classes of device are never
compared."""


def title(study: str) -> str:
    """Head the account of a study, by which another export to its folder knows whose files are there."""
    return f"Where the figures of {code(study)} come from"


def account(sections: Mapping[str, Iterable[str]]) -> str:
    """Put an account together.

    Args:
        sections: Lines by their heading; the first heading is that of all.
    """
    parts = [f"## {title}\n\n" + "\n".join(lines) for title, lines in sections.items()]
    return "\n\n".join(parts).removeprefix("#") + "\n"


def devices_table(devices: Iterable[Device]) -> Iterator[str]:
    """Say what was trained on."""
    rows = []
    for device in devices:
        memory = f"{device.memory_bytes / 2**30:.0f} GiB"
        rows.append((device.label, device.name, str(len(device.cores) or ""), memory, device.device_class))
    yield from table(("device", "model", "cores", "memory", "class"), rows)


def made_by(command: Sequence[str], packages: Sequence[str], source: str) -> Iterator[str]:
    """Say how the files can be made again.

    Args:
        command: The command's words.
        packages: What drew them.
        source: What they are made of, which gives the same bytes each time.
    """
    yield block(shlex.join(command))
    yield ""
    drawn_by = ", ".join(f"{name} {version(name)}" for name in packages)
    yield f"by {drawn_by}. The same {source} and versions give the same bytes."


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Make the lines of a table."""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        yield f"| {' | '.join(plain(cell).replace('|', '/') for cell in row)} |"


def code(text: str) -> str:
    """Show a name as it is: of one line, in more backticks than it has."""
    ticks = "`" * (1 + max((len(run) for run in re.findall("`+", text)), default=0))
    pad = " " if "`" in text else ""
    return f"{ticks}{pad}{plain(text)}{pad}{ticks}"


def plain(text: str) -> str:
    """Show a text on one line, with a question mark for what cannot be printed."""
    return "".join(c if c.isprintable() else "?" for c in text)
