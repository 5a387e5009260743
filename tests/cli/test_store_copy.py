"""A study is copied to another database, where everything can be done with it that could be done before."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from paretosearch.store import open_store
from paretosearch.testing.commands import Run

pytestmark = pytest.mark.usefixtures("launched")


def rows(file: Path) -> dict[str, list[tuple[object, ...]]]:
    """Read our tables, the view among them, without the numbers that a database gives."""
    with closing(sqlite3.connect(file)) as database:
        database.row_factory = sqlite3.Row
        found = {}
        for table in ("study", "device", "attempt", "epoch", "surgery", "phase", "front_event", "pareto_front"):
            of_table = database.execute(f"SELECT * FROM ps_{table}").fetchall()
            found[table] = [tuple(row[key] for key in row.keys() if key not in ("id", "attempt")) for row in of_table]  # noqa: SIM118  # keys of a Row
        return found


def test_a_copy_is_the_study_and_goes_on_by_itself(run: Run, folder: Path) -> None:
    copied = run("store", "copy", "tiny", "--to", "sqlite:///copy.db")
    assert (copied.returncode, copied.stderr) == (0, "")
    assert copied.stdout.startswith("study 'tiny' is in sqlite:///copy.db, with ")
    before, after = rows(folder / "paretosearch.db"), rows(folder / "copy.db")
    for table, there in before.items():
        of_study = [row for row in there if table in ("device", "epoch", "surgery", "phase") or "tiny" in row]
        assert set(after[table]) <= set(of_study)
        if table in ("study", "attempt", "front_event", "pareto_front"):
            assert sorted(map(str, after[table])) == sorted(map(str, of_study))
    ours, theirs = (
        run("front", "tiny", "--json", "--storage", f"sqlite:///{name}.db") for name in ("paretosearch", "copy")
    )
    here, there = (
        [{key: value for key, value in point.items() if key != "attempt"} for point in json.loads(shown.stdout)]
        for shown in (ours, theirs)
    )
    assert here == there
    assert run("launch", "tiny.toml", "--cpu", "1", "--storage", "sqlite:///copy.db").returncode == 0
    trials = [
        optuna.load_study(study_name="tiny", storage=f"sqlite:///{folder / name}.db").trials
        for name in ("paretosearch", "copy")
    ]
    assert [(t.number, t.state, t.values, t.params) for t in trials[0]] == [
        (t.number, t.state, t.values, t.params) for t in trials[1]
    ]


def test_what_is_there_already_is_left_as_it_is(run: Run, folder: Path) -> None:
    again = run("store", "copy", "tiny", "--to", "sqlite:///paretosearch.db")
    assert again.returncode != 0
    assert "there is a study 'tiny' already; choose another database" in again.stderr
    assert again.stderr.count("\n") == 1
    unknown = run("store", "copy", "no-such", "--to", "sqlite:///other.db")
    assert (unknown.returncode, unknown.stderr.count("\n")) == (2, 1)
    with closing(open_store(f"sqlite:///{folder / 'paretosearch.db'}", create=False)) as store:
        assert store.study("tiny") is not None
