"""Writes figures, tables and texts for a thesis into a folder, each in every format that it has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from matplotlib.figure import Figure

from paretosearch.errors import UsageError
from paretosearch.files import opened, replacing
from paretosearch.report.latex import PREAMBLE, framed, preamble
from paretosearch.report.look import Look
from paretosearch.report.origin import PROVENANCE, title
from paretosearch.report.pgf import picture
from paretosearch.report.pgfmarks import declarations
from paretosearch.report.style import save

#: More than the first line of an account has.
_MOST_BYTES = 1 << 16


@contextmanager
def writing_to(out: Path, study: str) -> Iterator[None]:
    """Make a folder if it is missing, and say in one line what keeps the body from writing there.

    Args:
        out: The folder.
        study: Name of the study whose files come there.

    Raises:
        UsageError: If the folder cannot be made, a file in it not be written, or it says that it is of another study,
            of which some files would stay among the new ones.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        _check_same(out, study)
        yield
    except FileExistsError:
        raise UsageError(f"{out} is a file; name a folder by --out") from None
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}; name another folder by --out") from None


def _check_same(out: Path, study: str) -> None:
    with suppress(OSError), opened(out / PROVENANCE) as file:
        first = file.readline(_MOST_BYTES).decode("utf-8", "replace").rstrip("\n")
        if first != f"# {title(study)}":
            raise UsageError(
                f"{out} has a {PROVENANCE} that is not of {study!r}; name another folder by --out, or empty that one"
            )


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
