"""On a server one Launcher writes a study, and one that was away for too long writes nothing more of it."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from sqlalchemy import text

from paretosearch.axis import Choice
from paretosearch.errors import LockedError, StoreAwayError
from paretosearch.search import open_search
from paretosearch.store import open_store
from paretosearch.testing.postgres import PostgresServer
from paretosearch.testing.spaces import whole_space
from paretosearch.testing.store.builders import CPU, complete, connected, recipe, study_record

NAME = "study"
SPACE = whole_space({"batch_size": Choice((16, 32, 64, 128))})


class Host:
    """A Launcher of the study, as far as the database sees one."""

    def __init__(self, url: str) -> None:
        self.store = open_store(url)
        if self.store.study(NAME) is None:
            self.store.add_study(study_record(NAME))
            self.store.add_device(CPU)
        self._held = ExitStack()
        self._held.callback(self.store.close)

    def __enter__(self) -> Self:
        with self._held as held:  # what is held so far is let go if the rest fails
            self.claim = self.store.claim(NAME)
            held.callback(self.claim.release)
            self.search = open_search(self.store.url, NAME, SPACE, "random", 4, 0)
            held.callback(self.search.close)
            self.search.guard(self.claim.guard)
            self._held = held.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._held.close()

    def writes(self, call: Callable[[], object]) -> bool:
        """Whether a write is taken, the connection being made again where it was lost."""
        for _ in range(3):
            try:
                call()
            except StoreAwayError:
                continue
            except LockedError:
                return False
            return True
        raise AssertionError("the database stays away")


@pytest.fixture
def url(postgres: PostgresServer) -> str:
    return postgres.new_database()


@pytest.fixture
def cut_off(url: str) -> Iterator[Callable[[], None]]:
    """End all connections, as a server does with a host that does not answer any more."""
    with connected(url) as engine:

        def cut() -> None:
            with engine.connect() as connection:
                others = "datname = current_database() AND pid <> pg_backend_pid()"
                connection.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {others}"))

        yield cut


def test_a_study_has_one_launcher_at_a_time(url: str) -> None:
    with Host(url):
        with pytest.raises(LockedError, match=r"study 'study' is in use by process \d+ on .+; wait for it or stop it"):
            Host(url).__enter__()
        other = open_store(url)
        other.claim("another study").release()
        assert (other.is_claimed(NAME), other.is_claimed("another study")) == (True, False)
    assert other.is_claimed(NAME) is False
    other.close()
    with Host(url) as second:
        assert second.search.ask().trial == 0


def test_a_study_that_was_let_go_is_free_at_once(url: str) -> None:
    others = open_store(url)
    for _ in range(10):
        with Host(url) as host:
            host.search.ask()
        assert others.is_claimed(NAME) is False
    others.close()


def test_a_launcher_whose_connections_were_cut_goes_on_if_nobody_else_came(
    url: str, cut_off: Callable[[], None]
) -> None:
    with Host(url) as host:
        trial = host.search.ask().trial
        cut_off()
        assert host.writes(lambda: host.search.tell(trial, (1.0, 0.5)))
        assert host.writes(lambda: host.store.start_attempt(NAME, trial, CPU, recipe()))
        with pytest.raises(LockedError):  # what was connected anew holds the study as well
            Host(url).__enter__()


def test_a_launcher_that_comes_back_too_late_writes_nothing(
    url: str, cut_off: Callable[[], None], note_fault: Callable[[str, str], None]
) -> None:
    told = 0
    with Host(url) as late:
        asked = [late.search.ask().trial for _ in range(100)]
        attempt = late.store.start_attempt(NAME, asked[0], CPU, recipe())
        cut_off()
        with Host(url) as new:
            for trial in asked:
                told += late.writes(lambda trial=trial: late.search.tell(trial, (9.0, 0.9)))  # type: ignore[misc]
                assert new.writes(lambda trial=trial: new.search.tell(trial, (1.0, 0.5)))  # type: ignore[misc]
            assert not late.writes(late.search.ask)
            assert not late.writes(lambda: late.store.finish_attempt(attempt, complete(9.0, 0.9)))
            assert not late.writes(lambda: late.store.record_front(NAME, asked[0], CPU.device_class))
            with pytest.raises(
                LockedError, match=r"was taken over by process \d+ on .+; nothing more of it is done here"
            ):
                late.search.tell(asked[0], (9.0, 0.9))
            assert new.search.counts()["complete"] == 100
            assert [record.outcome for record in new.store.attempts(NAME)] == [None]
    with connected(url) as engine, engine.connect() as connection:
        assert connection.scalar(text("SELECT count(*) FROM trial_values WHERE value = 9.0")) == 0
    note_fault("F5", f"double tells {told} of 100 by a Launcher that came back after another had taken over")


def test_a_file_of_sqlite_needs_no_claim(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with Host(url), Host(url):  # the lock on the spool folder keeps them apart
        pass
