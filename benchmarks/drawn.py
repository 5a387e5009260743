"""Trains a study, and keeps its table and its picture: what benchmarks share that are ordinary studies."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import gettempdir

from matplotlib.figure import Figure

from paretosearch import launch
from paretosearch.report.findings import Findings, findings
from paretosearch.report.replicates import Spread
from paretosearch.report.style import save
from paretosearch.store import open_store

#: Makes the lines of the table, in Markdown, and the picture.
Write = Callable[[Findings], tuple[Iterable[str], Figure]]


def run(arguments: Sequence[str] | None, doc: str | None, study: str, write: Write) -> None:
    """Train what is missing of a study, then write table and picture.

    Args:
        arguments: Those of the command line; None are those of this process.
        doc: What the benchmark is, for its help.
        study: Which study it trains, unless it is told another.
        write: Makes both.
    """
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--study", default=study)
    parser.add_argument("--cpu")
    parser.add_argument("--gpus")
    parser.add_argument("--work", type=Path, default=Path(gettempdir()) / f"paretosearch-{study}")
    chosen = parser.parse_args(arguments)
    chosen.work.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{chosen.work / 'study.db'}"
    launched = launch(chosen.study, gpus=chosen.gpus, cpu=chosen.cpu, storage=url)
    with closing(open_store(url, create=False)) as store:
        found = findings(store, launched.study)
    lines, figure = write(found)
    name = f"{launched.study}-{'cpu' if found.device_class.startswith('cpu:') else 'gpu'}"
    chosen.out.mkdir(parents=True, exist_ok=True)
    table = chosen.out / f"{name}.md"
    table.write_text("\n".join(lines) + "\n")
    picture = next(path for path in save(figure, chosen.work / name) if path.suffix == ".png")
    shutil.copy(picture, chosen.out / picture.name)
    print(table.read_text())


def trainings(found: Findings) -> int:
    """Count the trainings that gave results: neither tries that failed, nor what was timed again."""
    return sum(attempt.purpose == "search" and attempt.outcome == "complete" for attempt in found.attempts)


def signed(spread: Spread | None, digits: int = 2) -> str:
    """Write a change in percent or points, with half of its interval; nothing where it is not known."""
    if spread is None:
        return ""
    half = "" if spread.half_width is None else f" ±{100 * spread.half_width:.{digits}f}"
    return f"{100 * spread.mean:+.{digits}f}{half}"
