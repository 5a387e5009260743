"""The entry point, and what all commands share."""

from __future__ import annotations

import io
import sys
import warnings
from importlib.metadata import version
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from paretosearch.cli.commands import register
from paretosearch.errors import ParetosearchError

#: Of every command; `errors` has the tree.
EXIT_CODES = (
    "Exit codes: 0 done, 1 every trial failed, or eight in a row by an error of the program, 2 usage, 3 study file "
    "wrong, 4 data set not to be had, 5 no usable device, 69 the database does not answer or its disk is full (a "
    "launch waits half an hour first), 75 the study is running elsewhere, 130 or 143 stopped."
)

app = typer.Typer(
    name="paretosearch",
    help="Find the Pareto front of training time against accuracy for a CNN, on your images and your devices.",
    epilog=EXIT_CODES,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
register(app)

#: Characters of an error; a value that it quotes may be a page long.
MOST_SHOWN = 4000


def _show_version(wanted: bool) -> None:
    if wanted:
        print(version("paretosearch"))
        raise typer.Exit


@app.callback()
def _common(
    _debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version)
    ] = False,
) -> None:
    """Describe what all commands share; `main` acts on ``--debug``."""


def main() -> None:
    """Run a command; an error is one line and the exit code of its class."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    if sys.argv[1:2] == ["help"]:  # as git and others have it
        sys.argv = [sys.argv[0], *sys.argv[2:], "--help"]
    if not debug:
        warnings.simplefilter("ignore")
    _speak_anyway()
    try:
        raise SystemExit(app(standalone_mode=False))
    except ParetosearchError as error:
        if debug:
            raise
        _complain(_printable(str(error)), error.exit_code)
    except TyperException as error:
        _complain(error.format_message(), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(130) from None


def _speak_anyway() -> None:
    """Let a terminal that lacks a letter show a question mark, where Python would end with a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")


def _complain(message: str, exit_code: int) -> NoReturn:
    if message:  # without a command there is the help and nothing to add
        print(f"paretosearch: {message}", file=sys.stderr)
    raise SystemExit(exit_code) from None


def _printable(message: str) -> str:
    """Keep a message from moving the cursor of a terminal: it may quote a file that somebody else has written."""
    shown = message if len(message) <= MOST_SHOWN else f"{message[:MOST_SHOWN]}…"
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in shown)
