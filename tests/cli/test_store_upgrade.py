"""The tables of a database are made ahead of time, by one command that may be given again."""

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna

from paretosearch.testing.commands import Run


def tables(file: Path) -> set[str]:
    with closing(sqlite3.connect(file)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_all_tables_are_made_once(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    for said in ("were made", "are up to date"):
        done = run("store", "upgrade", PARETOSEARCH_STORAGE=f"sqlite:///{file}")
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout == f"the tables in sqlite:///{file} {said}\n"
        assert {"ps_attempt", "studies", "trials"} <= tables(file)
    assert optuna.get_all_study_names(f"sqlite:///{file}") == []


def test_a_database_that_cannot_be_had_is_one_line(run: Run, tmp_path: Path) -> None:
    missing = tmp_path / "password"
    url = "postgresql+psycopg://me@localhost/x"
    done = run("store", "upgrade", PARETOSEARCH_STORAGE=url, PARETOSEARCH_STORAGE_PASSWORD_FILE=str(missing))
    assert done.returncode == 2
    assert done.stderr.startswith(f"paretosearch: the password in {missing} cannot be read: No such file")
    assert done.stderr.count("\n") == 1
