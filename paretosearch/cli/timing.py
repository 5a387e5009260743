"""The command that times trainings again: it parses, calls and prints."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console

from paretosearch.cli.options import Cpu, Gpus, Json, Storage, print_json, print_line, silent, whole_number
from paretosearch.cli.values import whole
from paretosearch.errors import DataError, UsageError


def retime(
    number: Annotated[
        int | None,
        typer.Argument(help="Trial to time again.", metavar="TRIAL", parser=whole("trial"), show_default=False),
    ] = None,
    trial: Annotated[int | None, whole_number("--trial", "The same.")] = None,
    study: Annotated[
        str | None, typer.Option("--study", help="Its study; the newest one if left out.", show_default=False)
    ] = None,
    gpus: Gpus = None,
    cpu: Cpu = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Find a study's front on this machine without training; with TRIAL what that takes here, and keep nothing."""
    named = _one_trial(number, trial)
    if named is None:
        _bring(study, gpus, cpu, storage, as_json)
        return
    from paretosearch.api.retiming import retime as run
    from paretosearch.report.retimed import phases_table, retimed_json, retimed_line, retimed_notes
    from paretosearch.report.stages import show_stage

    found = run(named, study, gpus, cpu, storage, silent if as_json else show_stage)
    print_line(Console(stderr=True), found.remark)
    if found.here.failure == "data":
        raise DataError(found.here.message)
    if found.here.status != "complete":
        raise UsageError(f"trial {found.trial} cannot be timed here ({found.here.failure}): {found.here.message}")
    shown = found.recorded, found.device_class, found.here, found.here_class
    if as_json:
        print_json(retimed_json(found.trial, *shown))
        return
    Console().print(phases_table(found.recorded, found.here))
    print(f"trial {found.trial}: {retimed_line(*shown)}")
    for note in retimed_notes(found.recorded, found.here):
        print(note)


def _one_trial(number: int | None, trial: int | None) -> int | None:
    """Give the trial that was named, as an argument or by --trial, if one was."""
    if number is not None and trial is not None:
        raise UsageError(f"{number} and --trial {trial} are two trials; name one, not both")
    return number if number is not None else trial


def _bring(study: str | None, gpus: str | None, cpu: str | None, storage: str | None, as_json: bool) -> None:
    from paretosearch.fleet.site import Wish

    Wish(gpus, cpu).check()
    from paretosearch.api.bringing import bring
    from paretosearch.report.retimed import brought_json, brought_notes
    from paretosearch.report.tables import front_table

    console = Console(quiet=as_json)
    found = bring(study, gpus, cpu, storage, console)
    if as_json:
        print_json(brought_json(found.fronts, found.agreements, found.timed, found.device_seconds, found.share))
    for front in found.fronts:
        console.print(front_table(front, found.axes), style="")
        console.print(f"on {front.device_class}", style="dim", highlight=False, markup=False)
    for note in brought_notes(found.agreements, found.timed, found.device_seconds, found.share):
        console.print(note, style="dim", highlight=False, markup=False, soft_wrap=True)
    if found.stopped_by is not None:
        console.print("stopped early; the same command continues")
        raise typer.Exit(128 + found.stopped_by)
