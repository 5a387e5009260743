"""A database for a study under faults."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from paretosearch.testing.postgres import PostgresServer, postgres_server, why_no_postgres


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
