"""An Outcome in the spool is whole or absent, and never impossible."""

import errno
import stat
from pathlib import Path

import pytest

from paretosearch.errors import StoreError
from paretosearch.fleet import spool
from paretosearch.testing.fleet import complete


def test_what_is_written_is_read(tmp_path: Path) -> None:
    outcome = complete(1.5, 0.75)
    spool.write(tmp_path, 7, outcome)
    assert spool.read(tmp_path, 7) == outcome
    assert list(spool.waiting(tmp_path)) == [7]
    spool.delete(tmp_path, 7)
    spool.delete(tmp_path, 7)
    assert spool.read(tmp_path, 7) is None
    assert list(tmp_path.iterdir()) == []


def test_a_half_written_outcome_does_not_count(tmp_path: Path) -> None:
    (tmp_path / "7.tmp").write_text('{"status": "comp')
    assert spool.read(tmp_path, 7) is None
    assert list(spool.waiting(tmp_path)) == []


@pytest.mark.parametrize(
    "change",
    [
        ('"accuracy": 0.75', '"accuracy": 1.5'),
        ('"accuracy": 0.75', '"accuracy": NaN'),
        ('"accuracy": 0.75', '"accuracy": null'),
        ('"train_seconds": 1.5', '"train_seconds": -1.5'),
        ('"train_seconds": 1.5', '"train_seconds": Infinity'),
        ('"train_seconds": 1.5', '"train_seconds": "1.5"'),
        ('"status": "complete"', '"status": "great"'),
        ('"loss": 0.5', '"loss": NaN'),
        ("{", "["),
        ("}", ""),
    ],
)
def test_an_impossible_outcome_is_a_failure_that_says_why(tmp_path: Path, change: tuple[str, str]) -> None:
    text = complete(1.5, 0.75).to_json()
    assert change[0] in text
    (tmp_path / "7.json").write_text(text.replace(*change))
    read = spool.read(tmp_path, 7)
    assert read is not None
    assert (read.status, read.failure) == ("failed", "bug")
    assert read.message.startswith("the Worker wrote an impossible Outcome: ")


def test_outcomes_wait_in_the_order_of_their_attempts(tmp_path: Path) -> None:
    for attempt in (10, 9, 100):
        spool.write(tmp_path, attempt, complete(1, 0.5))
    (tmp_path / "notes.json").write_text("{}")
    assert list(spool.waiting(tmp_path)) == [9, 10, 100]


def test_a_spool_beside_an_sqlite_file_is_the_users_alone(tmp_path: Path) -> None:
    folder = spool.folder_for(f"sqlite:///{tmp_path}/search.db", "study")
    assert folder == tmp_path / "search.db.spool" / "study"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700


def test_a_database_has_one_spool_however_it_is_spelled(tmp_path: Path) -> None:
    (tmp_path / "store.db").touch()
    (tmp_path / "link.db").symlink_to("store.db")
    spellings = ["store.db", "./store.db", "store.db?timeout=5", "link.db"]
    assert len({spool.folder_for(f"sqlite:///{tmp_path}/{spelling}", "s") for spelling in spellings}) == 1


def test_an_outcome_that_the_disk_does_not_give_is_no_fault_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(spool, "content", broken)
    read = spool.read(tmp_path, 7)
    assert read is not None
    assert read.failure == "infrastructure"


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "search.db.spool").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot make the folder .*search.db.spool"):
        spool.folder_for(f"sqlite:///{tmp_path}/search.db", "study")
