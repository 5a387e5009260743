"""The command that learns classes in groups: it parses, calls and prints."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from paretosearch.cli.options import Json, OneCpu, OneGpu, print_json, print_line, silent

if TYPE_CHECKING:
    from paretosearch.treecnn.tree import Increment


def tree(
    study: Annotated[str, typer.Argument(help="Shipped study with a tree table, or study file.")] = "tree_cnn",
    gpus: OneGpu = None,
    cpu: OneCpu = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for a figure, a table and the tree as text.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Learn classes that arrive in groups by a tree of networks, beside one trained anew each time (Tree-CNN)."""
    from paretosearch.api.trees import tree as run
    from paretosearch.report.stages import show_stage
    from paretosearch.treecnn.showing import (
        decision_line,
        increments_json,
        increments_table,
        summary_lines,
        tree_lines,
    )

    console = Console(quiet=as_json)

    def show(increment: Increment, classes: Sequence[str]) -> None:
        for decision in increment.decisions:
            print_line(console, f"  {decision_line(decision, classes)}")

    learned = run(study, gpus, cpu, out, silent if as_json else show_stage, show)
    if as_json:
        print_json(increments_json(learned.study, learned.device_class, learned.increments, learned.classes))
        return
    console.print(increments_table(learned.increments))
    told = *summary_lines(learned.increments), f"on {learned.device_class}"
    for line in (*told, *tree_lines(learned.increments[-1].children, learned.classes)):
        print_line(console, line)
    if out is not None:
        print_line(console, f"figure, table and tree are in {out}/")
