"""A PostgreSQL server, and dashboards in processes of their own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from paretosearch.testing.dashboards import Dashboard, serving
from paretosearch.testing.postgres import PostgresServer, postgres_server, why_no_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    if reason := why_no_postgres():
        pytest.skip(reason)
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Dashboard]]:
    """Serve a database with options of the command line and variables of the environment."""
    home = tmp_path_factory.mktemp("home")
    with ExitStack() as held:
        yield lambda url, *options, **variables: held.enter_context(serving(home, url, *options, **variables))
