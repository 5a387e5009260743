"""Writes figures, tables and texts for a thesis into a folder, each in every format that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from matplotlib.figure import Figure

from paretosearch.errors import UsageError
from paretosearch.files import replacing
from paretosearch.report.latex import PREAMBLE, framed, preamble
from paretosearch.report.look import Look
from paretosearch.report.pgf import picture
from paretosearch.report.pgfmarks import declarations
from paretosearch.report.style import save


@contextmanager
def writing_to(out: Path) -> Iterator[None]:
    """Make a folder if it is missing, and say in one line what keeps the body from writing there.

    Raises:
        UsageError: If the folder cannot be made, or a file in it not be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        yield
    except FileExistsError:
        raise UsageError(f"{out} is a file; name a folder by --out") from None
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}; name another folder by --out") from None


def write_figures(figures: Iterable[tuple[str, Figure]], out: Path, look: Look) -> Iterator[Path]:
    """Write figures as PDF, SVG, PNG and LaTeX, with the numbers of the last and the preamble that it needs.

    Args:
        figures: Name of its files, and figure.
        out: The folder.
        look: What they are made for.

    Yields:
        The files.
    """
    yield write_text(out / PREAMBLE, preamble(declarations(), look))
    for name, figure in figures:
        yield from save(figure, out / name, look)
        drawn = picture(figure, name)
        yield write_text(out / f"{name}.tex", framed(drawn.tex, name, look))
        for table, text in drawn.data.items():
            yield write_text(out / table, text)


def write_tabular(tabular: str, name: str, out: Path, look: Look) -> Path:
    """Write a table for LaTeX.

    Args:
        tabular: Its body.
        name: Name of the file, without suffix.
        out: The folder; a preamble is in it.
        look: What it is made for.
    """
    return write_text(out / f"{name}.tex", framed(tabular, name, look))


def write_text(path: Path, text: str) -> Path:
    """Write a text, as a whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())
    return path
