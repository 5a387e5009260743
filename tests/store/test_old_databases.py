"""Databases of earlier revisions, as they were then, are brought to the newest one with all that is in them."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from paretosearch.outcome import SurgeryResult
from paretosearch.store import open_store

OLD = sorted(Path(__file__).parent.glob("revision_*.sql"))

#: Skipped steps, loss scale and share of the skipped, of each of the three epochs.
SCALING = {
    "revision_0001": [(1, None, None)] * 3,
    "revision_0002": [(1, None, None)] * 3,
    "revision_0003": [(1, None, None), (0, None, 0.0), (1, None, None)],
    "revision_0004": [(1, 2.0, 0.125), (0, None, 0.0), (1, 8.0, 0.125)],
    "revision_0005": [(1, 2.0, 0.125), (0, None, 0.0), (1, 8.0, 0.125)],
    "revision_0006": [(1, 2.0, 0.125), (0, None, 0.0), (1, 8.0, 0.125)],
    "revision_0007": [(1, 2.0, 0.125), (0, None, 0.0), (1, 8.0, 0.125)],
}

#: Seconds of building anew, of each phase.
REBUILT = {
    "revision_0003": [None, None],
    "revision_0004": [None, 0.125],
    "revision_0005": [None, 0.125],
    "revision_0006": [None, 0.125],
    "revision_0007": [None, 0.125],
}


@pytest.mark.parametrize("dump", OLD, ids=lambda path: path.stem)
def test_an_old_database_keeps_what_is_in_it(dump: Path, tmp_path: Path) -> None:
    path = tmp_path / "old.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(dump.read_text(encoding="utf-8"))
    with closing(open_store(f"sqlite:///{path}")) as store:
        (attempt,) = store.attempts("old")
        assert attempt.outcome == "complete"
        assert (attempt.purpose, attempt.counts, attempt.drift) == ("search", True, None)
        assert [epoch.epoch for epoch in store.epochs(attempt.id)] == [1, 2, 3]
        figures = {} if dump.stem == "revision_0001" else {"weakest": 0.5}
        assert store.surgeries(attempt.id) == (SurgeryResult(1, "prune", 64, 48, 0.25, figures),)
        assert [phase.steps for phase in store.phases(attempt.id)] == (
            [200, 100] if dump.stem >= "revision_0003" else []
        )
        scaling = [(epoch.skipped_steps, epoch.loss_scale, epoch.overflow_share) for epoch in store.epochs(attempt.id)]
        assert scaling == SCALING[dump.stem]
        rebuilt = [phase.rebuild_seconds for phase in store.phases(attempt.id)]
        assert rebuilt == REBUILT.get(dump.stem, [])
        study = store.study("old")
        assert study is not None
        assert set(study.number_formats) == ({"fp16"} if dump.stem >= "revision_0004" else set())
        known = {"fashion-mnist"} if dump.stem >= "revision_0007" else set()  # which the next launch notes
        assert set(study.data_sets or ()) == known
        assert [point.trial for point in store.front("old").points] == [0]
        assert store.stop_decisions("old") == ()
        assert store.repeats("old") == ()
