"""The entry point, and what all commands share."""

from __future__ import annotations

import sys
import warnings
from typing import Annotated

import typer

from paretosearch.cli.commands import register
from paretosearch.errors import ParetosearchError

app = typer.Typer(
    name="paretosearch",
    help="Find the Pareto front of training time against accuracy for a CNN, on your images and your devices.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)
register(app)


@app.callback()
def _common(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")] = False,
) -> None:
    """Describe what all commands share; `main` acts on it."""


def main() -> None:
    """Run a command; an error is one line and the exit code of its class."""
    debug = "--debug" in sys.argv
    sys.argv = [argument for argument in sys.argv if argument != "--debug"]
    if not debug:
        warnings.simplefilter("ignore")
    try:
        app()
    except ParetosearchError as error:
        if debug:
            raise
        print(f"paretosearch: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
