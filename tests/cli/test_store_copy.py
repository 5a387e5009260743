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


OF_STUDY, OF_ATTEMPT = ("attempt", "front_event", "pareto_front"), ("epoch", "surgery", "phase")


def rows(file: Path) -> dict[str, list[str]]:
    """Read what our tables hold of the study, the view among them, without the numbers that a database gives."""
    of = dict.fromkeys(OF_STUDY, "SELECT * FROM ps_{} AS t WHERE study = 'tiny'")
    of |= dict.fromkeys(
        OF_ATTEMPT, "SELECT t.* FROM ps_{} AS t JOIN ps_attempt AS a ON a.id = attempt WHERE study = 'tiny'"
    )
    of["study"] = "SELECT * FROM ps_{} AS t WHERE name = 'tiny'"
    with closing(sqlite3.connect(file)) as database:
        database.row_factory = sqlite3.Row
        return {
            table: sorted(
                str({k: v for k, v in dict(row).items() if k not in ("id", "attempt")})
                for row in database.execute(query.format(table))
            )
            for table, query in of.items()
        }


def test_a_copy_is_the_study_and_goes_on_by_itself(run: Run, folder: Path) -> None:
    copied = run("store", "copy", "tiny", "--to", "sqlite:///copy.db")
    assert (copied.returncode, copied.stderr) == (0, "")
    assert copied.stdout.startswith("study 'tiny' is in sqlite:///copy.db, with ")
    before, after = rows(folder / "paretosearch.db"), rows(folder / "copy.db")
    assert before == after
    assert all(after[table] for table in ("study", *OF_STUDY, "epoch", "phase"))
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
