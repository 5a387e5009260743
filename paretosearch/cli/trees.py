"""The command that learns classes in groups: it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from paretosearch.cli.options import DrawnFor, Json, Lang, OneCpu, OneGpu, print_json, print_line, silent

if TYPE_CHECKING:
    from paretosearch.treecnn.tree import Increment


def tree(
    study: Annotated[str, typer.Argument(help="Shipped study with a tree table, or study file.")] = "tree_cnn",
    gpus: OneGpu = None,
    cpu: OneCpu = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for figure and table (PDF, SVG, PNG, LaTeX, CSV) and the tree.",
            show_default=False,
        ),
    ] = None,
    style: DrawnFor = "thesis",
    lang: Lang = "en",
    as_json: Json = False,
) -> None:
    """Learn classes that arrive in groups by a tree of networks, beside one trained anew each time (Tree-CNN)."""
    from paretosearch.api.trees import tree as run
    from paretosearch.report.look import Look
    from paretosearch.report.stages import show_stage
    from paretosearch.treecnn.rows import increments_json
    from paretosearch.treecnn.showing import increment_line, shown

    say = silent if as_json else show_stage

    def show(increment: Increment) -> None:
        say(increment_line(increment))

    learned = run(study, gpus, cpu, out, say, show, Look(style, lang))
    if as_json:
        print_json(increments_json(learned))
        return
    console = Console()
    console.print(shown(learned))
    if out is not None:
        kinds = "figure as PDF, SVG, PNG and LaTeX, table as LaTeX and CSV, tree as text"
        print_line(console, f"{kinds} are in {out}/; PROVENANCE.md says where all is from")
