"""S12: what is depended on is little, is used, and fits together."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from importlib.metadata import distributions
from pathlib import Path

import pytest

from paretosearch.testing import source

NoteAttacks = Callable[[int, str, int, int, str], None]

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

#: What a package is imported as, where that is another name.
IMPORTED_AS = {"nvidia-ml-py": "pynvml", "pillow": "PIL", "optuna-dashboard": "optuna_dashboard", "psycopg": "psycopg"}


def names(requirements: list[str]) -> list[str]:
    return [re.split(r"[\[<>=~! ;]", requirement)[0] for requirement in requirements]


DIRECT = names(PROJECT["dependencies"])


def imported() -> set[str]:
    """Names of the packages that ours imports."""
    found: set[str] = set()
    for _, tree in source.trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"paretosearch", "_typeshed"}


def test_every_dependency_is_used_and_every_import_is_declared(note_attacks: NoteAttacks) -> None:
    declared = {IMPORTED_AS.get(name, name) for name in DIRECT}
    # pydantic brings its core, by whose types its errors are described.
    used = imported() - {"pydantic_core"}
    extras = PROJECT["optional-dependencies"]
    extra = set(names([*extras["ray"], *extras["pandas"]]))
    assert extra <= used
    assert used - declared - extra == set()
    assert declared - used == set()
    note_attacks(12, "unused or undeclared", 0, len(DIRECT), "direct dependencies")


def test_every_dependency_has_its_reason_in_the_security_page() -> None:
    page = (ROOT / "SECURITY.md").read_text()
    extras = PROJECT["optional-dependencies"]
    optional = names([line for name, lines in extras.items() if name != "dev" for line in lines])
    assert [name for name in [*DIRECT, *optional] if f"| `{name}` |" not in page] == []
    assert len(DIRECT) <= 20


def test_no_lock_file_and_no_name_of_a_host_pins_where_packages_come_from() -> None:
    tracked = [path for path in ROOT.iterdir() if re.search(r"(\.lock|^requirements.*\.txt|Pipfile.*)$", path.name)]
    assert tracked == []
    assert "index-url" not in (ROOT / "pyproject.toml").read_text() + (ROOT / "Makefile").read_text()


def test_what_is_installed_fits_together(note_attacks: NoteAttacks) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "No module named pip" in done.stderr:
        pytest.skip("there is no pip in this environment")
    assert done.returncode == 0, done.stdout
    note_attacks(12, "conflicts", 0, len(list(distributions())), "installed packages")
