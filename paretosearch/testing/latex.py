"""A LaTeX document, compiled as a reader of an export would."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

#: What tests run and read, and the Debian package that brings it.
_PROGRAMS = {"pdflatex": "texlive-latex-base", "pdfinfo": "poppler-utils", "pdftotext": "poppler-utils"}
_FILES = {
    "booktabs.sty": "texlive-latex-recommended",
    "pgfplots.sty": "texlive-pictures",
    "ngerman.ldf": "texlive-lang-german",
    "lmodern.sty": "lmodern",
}


def why_no_latex() -> str | None:
    """Say why no document can be compiled here; None if it can."""
    for program, package in _PROGRAMS.items():
        if shutil.which(program) is None:
            return f"there is no {program} here: apt-get install {package}"
    for file, package in _FILES.items():
        if not subprocess.run(["kpsewhich", file], capture_output=True, check=False).stdout:
            return f"LaTeX has no {file} here: apt-get install {package}"
    return None


def compiled(document: Path, runs: int = 1) -> str:
    """Compile a document; one that LaTeX refuses fails the test with the end of its log.

    Args:
        document: The ``.tex`` file; what comes of it is put beside it.
        runs: How often, two for references.

    Returns:
        The log.
    """
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", document.name]
    for _ in range(runs):
        run = subprocess.run(command, cwd=document.parent, capture_output=True, check=False, timeout=300)
        log = document.with_suffix(".log").read_text(errors="replace")
        assert run.returncode == 0, "\n".join(log.splitlines()[-40:])
    return log


def words_of(document: Path) -> str:
    """Give the text of a compiled document, on one line."""
    command = ["pdftotext", "-layout", str(document.with_suffix(".pdf")), "-"]
    return " ".join(subprocess.run(command, capture_output=True, check=True, text=True).stdout.split())


def page_width(document: Path) -> float:
    """Give the width of the first page of a compiled document, in millimetres."""
    command = ["pdfinfo", str(document.with_suffix(".pdf"))]
    said = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    found = re.search(r"Page size:\s+([\d.]+) x", said)
    assert found is not None, said
    return float(found[1]) / 72 * 25.4
