"""What several commands share: options, and how JSON is printed."""

import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

import typer
from rich.console import Console

from paretosearch.cli.values import hours, one_of, whole
from paretosearch.errors import UsageError


def without_password(option: str, url: str | None) -> str | None:
    """Refuse a password among the arguments of a command, which every user of a machine can read."""
    if url is None:
        return None
    from paretosearch.store import shows_password  # SQLAlchemy, which most commands have other uses for

    if shows_password(url):
        raise UsageError(
            f"{option} has a password in it, and every user of this machine can see the arguments of a command; "
            "put the URL into PARETOSEARCH_STORAGE, or the password into the file .pgpass of your home, or into one "
            "that PARETOSEARCH_STORAGE_PASSWORD_FILE names"
        )
    return url


def refusing_passwords(option: str) -> Callable[[str | None], str | None]:
    """Make what looks at a database URL among the arguments."""

    def checked(url: str | None) -> str | None:
        return without_password(option, url)

    return checked


def whole_number(option: str, text: str, least: int = 0, most: int | None = None, default: bool = False) -> Any:
    """Describe an option that takes a whole number; ``default`` is whether its help shows that."""
    reader = whole(option, least, most)
    return typer.Option(option, help=text, metavar="N", parser=reader, show_default=default)


def device_hours(text: str) -> Any:
    """Describe the option that takes hours of devices."""
    return typer.Option("--device-hours", help=text, metavar="HOURS", parser=hours, show_default=False)


Study = Annotated[
    str | None, typer.Argument(help="Study in the store; the newest one if left out.", show_default=False)
]
Storage = Annotated[
    str | None,
    typer.Option(
        "--storage",
        help="Database: sqlite:///FILE or postgresql+psycopg://...; a server is sent the password in the file that "
        "$PARETOSEARCH_STORAGE_PASSWORD_FILE names, whichever server the URL is of. "
        "[dim](default: $PARETOSEARCH_STORAGE, else paretosearch.db here)[/]",
        show_default=False,
        callback=refusing_passwords("--storage"),
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
Gpus = Annotated[
    str | None, typer.Option("--gpus", help="GPUs to use: 0,1,2,3 or all.", metavar="LIST", show_default=False)
]
Cpu = Annotated[
    str | None,
    typer.Option(
        "--cpu",
        help="CPU slots to use: 2, or 2x4 for two slots of four cores. "
        "[dim](default: all GPUs, else a slot for each core)[/]",
        metavar="SLOTS",
        show_default=False,
    ),
]
Fleet = Annotated[
    Literal["local", "ray"],
    typer.Option(
        "--fleet",
        help="Train on this machine, or on the nodes of a Ray cluster, taking --gpus and --cpu of each.",
        metavar="local|ray",
        parser=one_of("--fleet", "fleet", ("local", "ray")),
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        "--ray-address",
        help="Head of the Ray cluster. [dim](default: $RAY_ADDRESS, else the cluster that this machine belongs to)[/]",
        metavar="HOST:PORT",
        show_default=False,
    ),
]
OneGpu = Annotated[
    str | None, typer.Option("--gpus", help="The GPU to use, by its number.", metavar="GPU", show_default=False)
]
OneCpu = Annotated[
    str | None,
    typer.Option(
        "--cpu",
        help="CPU slot to use: 1, or 1x4 for one of four cores. [dim](default: the first GPU, else one core)[/]",
        metavar="SLOT",
        show_default=False,
    ),
]
DeviceClass = Annotated[
    str | None,
    typer.Option(
        "--device-class",
        help="Class of devices, if there are several; a part of its name will do, such as 2080 or x2. "
        "[dim](default: the study's own)[/]",
        metavar="CLASS",
        show_default=False,
    ),
]
DrawnFor = Annotated[
    Literal["thesis", "slides"],
    typer.Option(
        "--style",
        help="Draw for a page, or larger for a screen.",
        metavar="thesis|slides",
        parser=one_of("--style", "style", ("thesis", "slides")),
    ),
]
Lang = Annotated[
    Literal["en", "de"],
    typer.Option(
        "--lang",
        help="English, or German with a decimal comma.",
        metavar="en|de",
        parser=one_of("--lang", "language", ("en", "de")),
    ),
]
MethodName = Annotated[
    str | None,
    typer.Argument(metavar="method", help="Explain this one, and its parameters.", show_default=False),
]
Network = Annotated[
    str | None,
    typer.Option("--network", help="Show what can change in this network.", metavar="NAME", show_default=False),
]
ImageSize = Annotated[
    int | None,
    typer.Option(
        "--image-size",
        parser=whole("--image-size", 1, 1024),  # as in a Recipe
        help="Edge of the network's images in pixels. [dim](default: the smallest of 32, 64, 224 that it takes)[/]",
        metavar="N",
        show_default=False,
    ),
]


def print_json(value: Any) -> None:
    """Print a value as JSON that every reader takes."""
    print(json.dumps(value, indent=2, allow_nan=False))


def print_line(console: Console, line: str) -> None:
    """Print a line as it is, however long, if there is one."""
    if line:
        console.print(line, markup=False, soft_wrap=True, highlight=False)


def silent(_: str) -> None:
    """Say nothing: somebody reads JSON."""
