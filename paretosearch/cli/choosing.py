"""The command that chooses from a front: it parses, calls and prints."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from paretosearch.cli.options import DeviceClass, Json, Storage, Study, print_json
from paretosearch.cli.values import seconds as read_seconds
from paretosearch.errors import UsageError


def pick(
    study: Study = None,
    seconds: Annotated[
        float | None,
        typer.Option(
            "--seconds",
            help="Most training seconds: picks the most accurate recipe within them.",
            metavar="S",
            parser=read_seconds,
            show_default=False,
        ),
    ] = None,
    accuracy: Annotated[
        str | None,
        typer.Option(
            "--accuracy",
            help="Least validation accuracy, 0.93 or 93%: picks the fastest recipe that has it, or with --seconds "
            "the most accurate.",
            metavar="A",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="File for the recipe.")] = Path("recipe.json"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file by --out, whatever it is.")] = False,
    storage: Storage = None,
    device_class: DeviceClass = None,
    as_json: Json = False,
) -> None:
    """Pick the recipe on a front that is best for the seconds you have or the accuracy you need, and write it down."""
    from paretosearch.api.picking import pick as find
    from paretosearch.api.picking import train_command, write_recipe
    from paretosearch.report.choice import read_accuracy
    from paretosearch.report.picked import picked_json, picked_lines

    picked = find(study, seconds, read_accuracy(accuracy), storage, device_class)
    refused = None
    try:
        write_recipe(picked.recipe, out, force, picked.known)
    except UsageError as error:
        refused = error  # whoever asks is told the answer all the same
    command = train_command(out, picked.choice.found.point.device_class) if refused is None else None
    if as_json:
        file = str(out) if refused is None else None
        print_json({**picked_json(picked.choice, picked.study), "file": file, "command": command})
    else:
        for line in picked_lines(picked.choice, picked.study, picked.axes):
            print(line)
    if refused is not None:
        raise refused
    if as_json:
        return
    print(f"{out} holds it (digest {picked.recipe.digest}); this trains it and keeps the weights:")
    print(f"  {command}")
