"""A PostgreSQL server for all tests of the store."""

from collections.abc import Iterator

import pytest

from paretosearch.testing.postgres import PostgresServer, postgres_server, why_no_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with postgres_server() as server:
        yield server
