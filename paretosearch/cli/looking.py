"""The commands that look at a study: each parses, calls and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from paretosearch.cli.options import DeviceClass, DrawnFor, Json, Lang, Storage, Study, print_json, whole_number
from paretosearch.errors import UsageError


def status(
    study: Study = None,
    storage: Storage = None,
    as_json: Json = False,
    watching: Annotated[
        bool, typer.Option("--watch", help="Go on showing it, with the trainings of a launch here, until that ends.")
    ] = False,
) -> None:
    """Show how far a study is: trials, failures by class, devices, hypervolume."""
    from paretosearch.api.fronts import is_launched, note_of, open_study
    from paretosearch.report.status import status_json, status_table
    from paretosearch.report.watching import picture, watch

    if watching and as_json:
        raise UsageError("--watch draws for a person; a program asks for status --json again, or takes launch --json")
    store, name = open_study(study, storage)
    if watching:
        watch(
            Console(),
            lambda: picture(store, name, note_of(store, name), is_launched(store, name)),
            lambda: is_launched(store, name) is not False,
        )
        return
    launched = is_launched(store, name)
    print_json(status_json(store, name, launched)) if as_json else Console().print(status_table(store, name, launched))


def front(
    study: Study = None,
    storage: Storage = None,
    as_json: Json = False,
    csv: Annotated[bool, typer.Option("--csv", help="Print CSV instead of a table.")] = False,
    confirmed: Annotated[
        bool, typer.Option("--confirmed", help="Show what repeats say: means, intervals, who is likely on the front.")
    ] = False,
    anytime: Annotated[
        bool,
        typer.Option("--anytime", help="Show also what trainings had reached on their way, if they could end there."),
    ] = False,
    device_class: DeviceClass = None,
) -> None:
    """Show the Pareto front of a study."""
    from paretosearch.api.fronts import axes_of, checked_class, open_study, require_results
    from paretosearch.report.anytime import anytime_front, anytime_json, anytime_table
    from paretosearch.report.classes import classes_lines
    from paretosearch.report.confirmed import confirmed_json, confirmed_table
    from paretosearch.report.notebook import study_front
    from paretosearch.report.tables import front_csv, front_json, front_table

    store, name = open_study(study, storage)
    if csv and as_json:
        raise UsageError("--csv and --json are two answers; choose one")
    found = study_front(store, name, checked_class(store, name, device_class))
    chosen, axes, below = found.device_class, axes_of(store, name), classes_lines(found.fronts, found.device_class)
    if confirmed and anytime:
        raise UsageError("--confirmed and --anytime are two fronts; choose one")
    if csv and (confirmed or anytime):
        raise UsageError("--csv is of the plain front; take --json, or look at the files of export")
    require_results(store, name, chosen)
    if anytime:
        stages = anytime_front(found, store.curves(name, chosen))
        print_json(anytime_json(stages)) if as_json else Console().print(anytime_table(stages, axes), below)
        return
    if confirmed:
        known = store.estimates(name, chosen)
        print_json(confirmed_json(known)) if as_json else Console().print(confirmed_table(known, axes), below)
        return
    if csv:
        front_csv(found, sys.stdout)
    elif as_json:
        print_json(front_json(found, store.surgeries_of(name, chosen)))
    else:
        Console().print(front_table(found, axes, noticed=store.surgeries_of(name, chosen)), below)


def export(
    study: Study = None,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("front"),
    storage: Storage = None,
    style: DrawnFor = "thesis",
    lang: Lang = "en",
    device_class: DeviceClass = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the paths of all files as JSON.")] = False,
) -> None:
    """Write plots and tables of a study for a thesis or slides: PDF, SVG, PNG, LaTeX, HTML, CSV."""
    from paretosearch.api.fronts import checked_class, open_study, require_results
    from paretosearch.report.confirmed import standing
    from paretosearch.report.export import export as write
    from paretosearch.report.export import written_lines
    from paretosearch.report.look import Look

    store, name = open_study(study, storage)
    chosen = checked_class(store, name, device_class)
    require_results(store, name, chosen)
    files = write(store, name, out, chosen, Look(style, lang))
    if as_json:
        print_json([str(path) for path in files])
        return
    for line in written_lines(files, out, standing(store.estimates(name, chosen))):
        print(line)


def dashboard(
    storage: Storage = None,
    host: Annotated[str, typer.Option(help="Address to listen on; one of the network needs --expose.")] = "127.0.0.1",
    port: Annotated[int, whole_number("--port", "Port to listen on.", most=65535, default=True)] = 8080,
    allow_changes: Annotated[
        bool, typer.Option("--allow-changes", help="Let visitors rename, tell and delete.")
    ] = False,
    expose: Annotated[
        bool,
        typer.Option(
            "--expose",
            help="Ask visitors for a token, which is printed once, or read from the file that "
            "$PARETOSEARCH_DASHBOARD_TOKEN_FILE names, or from $PARETOSEARCH_DASHBOARD_TOKEN.",
        ),
    ] = False,
    trained: Annotated[
        Path,
        typer.Option(
            "--trained",
            help="Folder that train --out wrote to, or whose sub-folders it did: weights in it are offered with their "
            "trials.",
        ),
    ] = Path("trained"),
) -> None:
    """Serve optuna-dashboard on the store, read-only and for this machine alone, or for who knows a token."""
    from paretosearch.api.fronts import is_launched
    from paretosearch.report.dashboard import serve
    from paretosearch.store import open_store

    store = open_store(storage, create=False)
    serve(store.url, host, port, allow_changes, expose, trained, lambda study: is_launched(store, study))
