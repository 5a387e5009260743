"""The commands that do something: each parses, calls and prints."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from paretosearch.cli.choosing import pick
from paretosearch.cli.examples import epilog
from paretosearch.cli.looking import dashboard, export, front, status
from paretosearch.cli.options import (
    Cpu,
    Fleet,
    Gpus,
    ImageSize,
    Json,
    MethodName,
    Network,
    OneCpu,
    OneGpu,
    RayAddress,
    Storage,
    Study,
    device_hours,
    print_json,
    print_line,
    refusing_passwords,
    silent,
    whole_number,
)
from paretosearch.cli.timing import retime
from paretosearch.cli.trees import tree
from paretosearch.errors import DataError, ParetosearchError, RecipeError, UsageError
from paretosearch.outcome import EpochResult

if TYPE_CHECKING:
    from paretosearch.data import ImageSet


def register(app: typer.Typer) -> None:
    """Give an application all commands."""
    for command in (launch, status, front, pick, confirm, export, dashboard, train, retime, tree, methods, doctor):
        app.command(epilog=epilog(command.__name__))(command)
    data = typer.Typer(help="Get a data set ahead of time: data fetch NAME.", no_args_is_help=True)
    data.command("fetch", epilog=epilog("fetch"))(fetch)
    app.add_typer(data, name="data")
    store = typer.Typer(help="Get the database ready, or copy a study to another.", no_args_is_help=True)
    store.command("upgrade", epilog=epilog("upgrade"))(upgrade)
    store.command("copy", epilog=epilog("copy"))(copy)
    app.add_typer(store, name="store")


def launch(
    study: Annotated[
        str | None,
        typer.Argument(
            help="Shipped study or study file. [dim](default: cifar10 on GPUs, quickstart on a CPU)[/]",
            show_default=False,
        ),
    ] = None,
    gpus: Gpus = None,
    cpu: Cpu = None,
    trials: Annotated[int | None, whole_number("--trials", "Budget in trials, instead of the study's.", 1)] = None,
    hours: Annotated[float | None, device_hours("Budget in device hours, instead of the study's.")] = None,
    from_study: Annotated[
        str | None,
        typer.Option(
            "--from-study", help="Begin with the results of this study that fit.", metavar="NAME", show_default=False
        ),
    ] = None,
    fleet: Fleet = "local",
    ray_address: RayAddress = None,
    storage: Storage = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Tell a program what happens: a line of JSON for every event.")
    ] = False,
) -> None:
    """Run a study, or continue it with the same command."""
    from paretosearch.fleet.site import Wish

    # What cannot be meant is said before torch is imported, which takes seconds.
    Wish(gpus, cpu, fleet, ray_address).check()
    from paretosearch.api.launching import launch as run
    from paretosearch.report.classes import classes_lines
    from paretosearch.report.tables import front_table

    console = Console(stderr=as_json)
    events = sys.stdout if as_json else None
    launched = run(study, gpus, cpu, storage, trials, hours, console, from_study, fleet, ray_address, events)
    front = launched.front
    console.print(front_table(front, launched.axes), classes_lines(front.fronts, front.device_class))
    if launched.stopped_by is not None:
        console.print("stopped early; the same command continues")
        raise typer.Exit(128 + launched.stopped_by)
    if launched.failure:
        raise ParetosearchError(launched.failure)


def confirm(
    study: Study = None,
    replicates: Annotated[
        int, whole_number("--replicates", "Repeats of each, those of earlier calls among them.", 1, 100, default=True)
    ] = 3,
    gpus: Gpus = None,
    cpu: Cpu = None,
    hours: Annotated[float | None, device_hours("Begin no repeat after so many device hours.")] = None,
    fleet: Fleet = "local",
    ray_address: RayAddress = None,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Train what may be on the front again with other seeds: means, intervals, test accuracy."""
    from paretosearch.fleet.site import Wish

    Wish(gpus, cpu, fleet, ray_address).check()
    from paretosearch.api.confirming import confirm as run
    from paretosearch.report.confirmed import confirmed_json, confirmed_table, curse_line
    from paretosearch.report.words import counted

    console = Console(quiet=as_json)
    found = run(study, replicates, gpus, cpu, storage, hours, console, fleet, ray_address)
    if as_json:
        print_json(confirmed_json(found.estimates))
    console.print(confirmed_table(found.estimates, found.axes))
    console.print(f"{counted(found.repeats, 'repeat')} trained now", style="dim", highlight=False)
    console.print(curse_line(found.estimates) or "nothing has been repeated yet", style="dim", highlight=False)
    if found.stopped_by is not None:
        console.print("stopped early; the same command continues")
        raise typer.Exit(128 + found.stopped_by)


def train(
    recipe: Annotated[Path | None, typer.Argument(help="A Recipe as JSON.", show_default=False)] = None,
    trial: Annotated[int | None, whole_number("--trial", "Train the Recipe of this trial.")] = None,
    study: Annotated[
        str | None, typer.Option("--study", help="Study of the trial; the newest one if left out.", show_default=False)
    ] = None,
    seed: Annotated[int | None, whole_number("--seed", "Another seed than the Recipe's.")] = None,
    gpus: OneGpu = None,
    cpu: OneCpu = None,
    out: Annotated[Path, typer.Option("--out", help="Folder for weights, network, Recipe and Outcome.")] = Path(
        "trained"
    ),
    onnx: Annotated[bool, typer.Option("--onnx", help="Keep the network as model.onnx too.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace weights of another recipe in that folder.")] = False,
    storage: Storage = None,
    as_json: Json = False,
) -> None:
    """Train one Recipe, look at the test split, keep the weights."""
    from paretosearch.api.contents import remark
    from paretosearch.api.fronts import chosen_recipe
    from paretosearch.api.training import heading
    from paretosearch.api.training import train as run
    from paretosearch.report.shapes import shape_lines
    from paretosearch.report.simulated import training_lines
    from paretosearch.report.stages import show_stage

    chosen = chosen_recipe(recipe, trial, study, storage, seed)
    console = Console(stderr=True)

    def note(images: ImageSet) -> None:
        from paretosearch.api.maps import note_on_maps  # which takes torch, and the device is looked for first

        print_line(console, remark(images, study, storage) if trial is not None else "")
        print_line(console, note_on_maps(chosen, images))

    outcome = run(
        chosen,
        gpus,
        cpu,
        out,
        on_epoch=lambda epoch: console.print(_epoch_line(epoch, chosen.total_epochs)),
        on_start=lambda _: print_line(console, heading(chosen)),
        on_stage=silent if as_json else show_stage,
        on_data=note,
        onnx=onnx,
        force=force,
    )
    if as_json:
        print(outcome.to_json())
    if outcome.failure == "data":
        raise DataError(outcome.message)
    if outcome.failure == "invalid":
        raise RecipeError(outcome.message.partition(": ")[2])
    if outcome.status != "complete":
        raise UsageError(f"the training failed ({outcome.failure}): {outcome.message}")
    told = (*shape_lines(chosen, outcome), *training_lines(chosen, outcome))
    for line in (*told, *filter(None, [outcome.message])):
        console.print(line, markup=False, soft_wrap=True, highlight=False)
    seconds, accuracy = outcome.objectives
    console.print(
        f"{seconds:.1f} s, validation accuracy {100 * accuracy:.2f} %, "
        f"test accuracy {100 * (outcome.test_accuracy or 0):.2f} %; weights and Recipe are in {out}/",
        markup=False,
        soft_wrap=True,
    )


def _epoch_line(epoch: EpochResult, epochs: int) -> str:
    accuracy = f"accuracy {100 * epoch.accuracy:.2f} %"
    return f"epoch {epoch.epoch}/{epochs}  {epoch.train_seconds:.1f} s  {accuracy}  loss {epoch.loss:.4f}"


def methods(
    method: MethodName = None, network: Network = None, image_size: ImageSize = None, as_json: Json = False
) -> None:
    """List every method: what it does, its parameters, its slot, its paper; or explain one.

    With --network it says what can change in that.
    """
    if network is None:
        from paretosearch.api.listing import method_json, method_page, methods_json, methods_table

        if image_size is not None:
            raise UsageError("--image-size is for looking at a network; say which one with --network NAME")
        if as_json:
            print_json(methods_json() if method is None else method_json(method))
        else:
            Console().print(methods_table() if method is None else method_page(method))
    elif method is not None:
        raise UsageError("either a method or --network, which says what all of them find in a network")
    else:
        from paretosearch.api.anatomy import anatomy_json, anatomy_table, examine

        findings = examine(network, image_size)
        print_json(anatomy_json(findings)) if as_json else Console().print(anatomy_table(findings))


def doctor(storage: Storage = None, as_json: Json = False) -> None:
    """Say what will work here: devices and number formats, store, data sets, LaTeX."""
    from paretosearch.api.doctor import checks, row
    from paretosearch.report.stages import show_stage

    found = checks(storage, silent if as_json else show_stage)
    if as_json:
        print_json([check.__dict__ for check in found])
        return
    console = Console()
    for check in found:
        console.print(row(check))


def fetch(
    name: Annotated[str, typer.Argument(help="fashion-mnist, mnist, cifar10, cifar100, svhn or folder:PATH.")],
) -> None:
    """Get a data set ahead of time."""
    from paretosearch import data

    try:
        data.check_name(name)
    except DataError as error:
        raise UsageError(str(error)) from None
    print(data.fetch(name))


def upgrade(storage: Storage = None) -> None:
    """Make the tables of the database, or bring those of an older version up to date."""
    from paretosearch.api.upgrading import upgrade as run

    print(run(storage))


def copy(
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Database of the copy: sqlite:///FILE or postgresql+psycopg://...",
            callback=refusing_passwords("--to"),
            show_default=False,
        ),
    ],
    study: Study = None,
    storage: Storage = None,
) -> None:
    """Copy a study with all its results to another database, to look at it or time it again elsewhere."""
    from paretosearch.api.copying import copy_study

    print(copy_study(to, study, storage))
