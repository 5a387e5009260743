"""Every database passes the same tests; a new one is a row in `DATABASES`."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from paretosearch.store import Store, open_store
from paretosearch.testing.store import StoreSuite

NewDatabase = Callable[[], str]


def _sqlite(request: pytest.FixtureRequest) -> NewDatabase:
    folder: Path = request.getfixturevalue("tmp_path_factory").mktemp("sqlite")
    numbers = count()
    return lambda: f"sqlite:///{folder}/{next(numbers)}.db"


def _postgresql(request: pytest.FixtureRequest) -> NewDatabase:
    make: NewDatabase = request.getfixturevalue("postgres").new_database
    return make


DATABASES = {"sqlite": _sqlite, "postgresql": _postgresql}


@pytest.fixture(scope="module", params=DATABASES)
def new_database(request: pytest.FixtureRequest) -> NewDatabase:
    return DATABASES[request.param](request)


@pytest.fixture(scope="module")
def store(new_database: NewDatabase) -> Iterator[Store]:
    opened = open_store(new_database())
    yield opened
    opened.close()


class TestEveryStore(StoreSuite):
    pass
