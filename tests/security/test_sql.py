"""S3: no name and no text changes what a statement means."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine, inspect

from paretosearch.axis import Choice
from paretosearch.device import Device
from paretosearch.errors import StoreError
from paretosearch.outcome import SurgeryResult, failed, one_line
from paretosearch.search import open_search
from paretosearch.search.study import _opened
from paretosearch.space import Space
from paretosearch.store import Store, open_store
from paretosearch.store.tables import Base
from paretosearch.testing.postgres import PostgresServer
from paretosearch.testing.store.builders import CPU, complete, recipe, study_record

NoteAttacks = Callable[[int, str, int, int, str], None]

HOSTILE = {
    "a quote": "it's",
    "two quotes": "''",
    "a drop": "x'; DROP TABLE ps_attempt; --",
    "a double-quoted drop": 'x"; DROP TABLE ps_study; --',
    "a truth": "' OR '1'='1",
    "a union": "' UNION SELECT name, text FROM ps_study --",
    "a comment": "/* x */ -- ",
    "a backslash": "\\'; DROP TABLE ps_front_event; --",
    "a dollar quote": "$$; DROP TABLE ps_epoch; $$",
    "parameters": ":name %(name)s %s ? {name} {0}",
    "a semicolon": ";;; COMMIT; DROP VIEW ps_pareto_front;",
    "a NUL": "a\0'; DROP TABLE ps_device; --",
    "a line break": "a\nb\r\n--c",
    "10 kB": "'" * 10_000,
    "an emoji": "🦉'; DROP TABLE ps_surgery; --",
    "half a surrogate pair": "\ud800'",
    "a right-to-left override": "\u202egpj.exe'",
    "wide quotes": "＇; DROP TABLE ps_phase; --",
}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/my.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.new_database()


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with closing(open_store(url)) as store:
        store.add_study(study_record("innocent"))
        store.add_device(CPU)
        attempt = store.start_attempt("innocent", 0, CPU, recipe())
        store.finish_attempt(attempt, complete())
        store.record_front("innocent", 0, CPU.device_class)
        yield store


def tables(engine: Engine) -> set[str]:
    looked = inspect(engine)
    return {*looked.get_table_names(), *looked.get_view_names()}


def use(store: Store, name: str) -> None:
    """Use a text as every kind of name that the store takes."""
    store.add_study(study_record(name, text=name, sampler=name, versions={name: name}))
    device = Device("cpu", name, name, 1, name, 0)
    store.add_device(device)
    attempt = store.start_attempt(name, 0, device, replace(recipe(), methods={"m": {name: name}}))
    store.finish_attempt(attempt, failed("bug", name, name))
    again = store.start_attempt(name, 0, device, recipe())
    surgery = SurgeryResult(0, name, 1, 1, 0.0, {name: 1.0})
    store.finish_attempt(again, complete(surgeries=(surgery,)))
    store.record_front(name, 0, device.device_class)


def look(store: Store, name: str) -> None:
    """Look for a name in every way that there is."""
    assert store.study(name) is not None
    for ask in (store.counts, store.attempts, store.front, store.front_events, store.devices, store.estimates):
        ask(name)
    store.front(name, name)
    store.completed(name, name)


def test_a_hostile_name_is_a_name(store: Store, note_attacks: NoteAttacks) -> None:
    engine, innocent = store._engine, store.front("innocent")
    before = tables(engine)
    assert {table.name for table in Base.metadata.sorted_tables} | {"ps_pareto_front"} <= before
    intact = 0
    for number, name in enumerate(HOSTILE.values(), start=2):
        use(store, name)
        look(store, name)
        assert len(store.studies()) == number
        assert store.front("innocent") == innocent
        intact += tables(engine) == before
    assert intact == len(HOSTILE)
    note_attacks(3, "tables intact", intact, len(HOSTILE), "hostile names")


def test_a_hostile_name_is_a_name_to_optuna(url: str, note_attacks: NoteAttacks) -> None:
    open_store(url).close()
    space = Space({"dataset": "d", "network": "n"}, {"pooling": Choice(("max", *map(readable, HOSTILE.values())))})
    with closing(open_search(url, "innocent", space, "random", 4, 0)) as search:
        before, intact = tables(search._storage.engine), 0
        for name in HOSTILE.values():
            search.tell(search.ask().trial, (1.0, 0.5), {"message": readable(name)})
            # A name of a study has at most 512 characters there, and no NUL and no half of a pair of surrogates.
            with suppress(StoreError):
                _opened(search._storage, name, space, search._sampler)
            intact += tables(search._storage.engine) == before
        assert intact == len(HOSTILE)
        assert search.trials() == len(HOSTILE)
    note_attacks(3, "tables intact", intact, len(HOSTILE), "hostile names")


def readable(name: str) -> str:
    """Make a text that an Outcome or a Recipe may hold."""
    return one_line(name[:200])
