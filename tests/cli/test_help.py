"""The help of every command can be read in a narrow terminal."""

import pytest
import typer
from typer.testing import CliRunner

from paretosearch.cli.main import app


def commands() -> list[list[str]]:
    """List all commands, as words."""
    found: list[list[str]] = [[]]
    for words in found:
        group = typer.main.get_command(app)
        for word in words:
            group = group.commands[word]  # type: ignore[attr-defined]  # whatever has commands
        found += [[*words, name] for name in getattr(group, "commands", {})]
    return found


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_nothing_is_cut_at_80_columns(words: list[str]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).output
    assert "Usage: " in shown
    assert "…" not in shown
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("words", [words for words in commands() if words and words not in (["data"], ["store"])])
def test_every_command_has_examples_that_fit(words: list[str]) -> None:
    shown = CliRunner().invoke(app, [*words, "--help"], env={"COLUMNS": "80", "TERMINAL_WIDTH": "80"}).output
    examples = shown[shown.index("Examples:") :].splitlines()[1:]
    typed = [line for line in examples if line.strip()]
    assert typed
    assert all(line.startswith(f" paretosearch {' '.join(words)}") for line in typed)


def test_the_help_has_the_exit_codes() -> None:
    shown = CliRunner().invoke(app, ["--help"]).output
    assert all(part in shown for part in ("Exit codes: 0 done", "69 the database", "75 the study"))
