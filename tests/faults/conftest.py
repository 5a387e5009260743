"""Studies under faults, and databases for them."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from paretosearch.testing.nemesis import MakeVictim, Victim
from paretosearch.testing.postgres import PostgresServer, postgres_server, why_no_postgres


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compiled kernels, which are the same for all."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def make_victim(tmp_path: Path, cache: Path) -> MakeVictim:
    """Make a study with its database and the kernels of all."""

    def make(trials: int, url: str | None = None, slots: str = "1") -> Victim:
        return Victim(tmp_path, url or f"sqlite:///{tmp_path}/store.db", trials, slots=slots, cache=cache)

    return make


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    """A server of the test's own, since it is going to die."""
    if reason := why_no_postgres():
        pytest.skip(reason)
    with postgres_server() as server:
        yield server


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty database."""
    if request.param == "SQLite":
        return f"sqlite:///{tmp_path}/store.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()
