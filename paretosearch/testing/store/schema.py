"""A store's tables are made once, and kept apart from Optuna's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import optuna
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Engine, inspect, text

from paretosearch.errors import StoreError
from paretosearch.outcome import SEQUENCES, Outcome
from paretosearch.store import Store, open_store
from paretosearch.store.migrate import OPTIONS, revision, upgrade
from paretosearch.store.tables import FRONT_VIEW, Base
from paretosearch.testing.store.builders import CPU, complete, connected, new_study, train

PROCESSES = 4
ROUNDS = 4

#: A first start: it says that it is ready, waits for a line with a URL, opens it, says so, and waits for the next.
_STARTER = """
import sys
from paretosearch.errors import StoreError
from paretosearch.store import open_store
print("ready", flush=True)
for line in sys.stdin:
    try:
        open_store(line.strip()).close()
        print("ok", flush=True)
    except StoreError as error:
        print(error, flush=True)
"""


class SchemaSuite:
    """The tables and their migrations."""

    def test_an_empty_database_gets_exactly_the_tables_of_the_models(self, new_database: Callable[[], str]) -> None:
        with connected(new_database()) as migrated, connected(new_database()) as modelled:
            upgrade(migrated)
            Base.metadata.create_all(modelled)
            assert _drift(migrated) == []
            assert _description(migrated) == _description(modelled)
            view = {column["name"] for column in inspect(migrated).get_columns(FRONT_VIEW.name)}
        assert view >= set(FRONT_VIEW.c.keys())

    def test_a_missing_column_would_be_seen(self, new_database: Callable[[], str]) -> None:
        with connected(new_database()) as engine:
            upgrade(engine)
            with engine.begin() as connection:
                connection.execute(text("ALTER TABLE ps_epoch DROP COLUMN loss"))
            assert len(_drift(engine)) == 1

    def test_the_view_says_everything_about_its_trials(self, store: Store) -> None:
        study = new_study(store)
        attempt = train(store, study, 3, complete(2.0, 0.75, test_accuracy=0.7, noisy=True, parameters=99))
        query = text("SELECT * FROM ps_pareto_front WHERE study = :study AND device_class = :device_class")
        with connected(store.url) as engine, engine.connect() as connection:
            (row,) = connection.execute(query, {"study": study, "device_class": CPU.device_class}).mappings().all()
        (point,) = store.front(study).points
        for name in ("trial", "attempt", "train_seconds", "accuracy", "digest", "test_accuracy", "noisy", "parameters"):
            assert row[name] == getattr(point, name), name
        assert (row["study"], row["attempt"]) == (study, attempt)

    def test_a_database_of_a_newer_program_is_refused_with_both_versions(self, new_database: Callable[[], str]) -> None:
        url = new_database()
        open_store(url).close()
        with connected(url) as engine, engine.begin() as connection:
            connection.execute(text("UPDATE ps_alembic_version SET version_num = '9999'"))
        for create in (True, False):
            with pytest.raises(StoreError, match=r"revision 9999.*up to \d{4}; upgrade") as caught:
                open_store(url, create=create)
            assert "\n" not in str(caught.value)

    def test_a_database_without_our_tables_is_not_opened_for_reading(self, new_database: Callable[[], str]) -> None:
        url = new_database()
        with connected(url):
            pass
        with pytest.raises(StoreError, match="no search was launched"):
            open_store(url, create=False)

    def test_a_store_that_is_opened_again_is_the_same_store(self, new_database: Callable[[], str]) -> None:
        url = new_database()
        first = open_store(url)
        study = new_study(first)
        first.close()
        for create in (True, False):
            again = open_store(url, create=create)
            assert [record.name for record in again.studies()] == [study]
            again.close()

    def test_a_migration_that_fails_leaves_nothing(self, new_database: Callable[[], str]) -> None:
        with connected(new_database()) as engine:
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE ps_surgery (mine INTEGER)"))
            with pytest.raises(StoreError, match="ps_surgery"):
                upgrade(engine)
            assert inspect(engine).get_table_names() == ["ps_surgery"]

    def test_optunas_tables_are_left_alone(self, new_database: Callable[[], str]) -> None:
        url = new_database()
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        storage = optuna.storages.RDBStorage(url)
        study = optuna.create_study(storage=storage, study_name="theirs", directions=["minimize", "maximize"])
        before = _columns(storage.engine)
        store = open_store(url)
        ours = new_study(store)
        study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), (1.0, 0.5))
        train(store, ours, 0, complete())
        after = _columns(storage.engine)
        assert {name: after[name] for name in before} == before
        assert _drift(storage.engine) == []
        assert len(optuna.load_study(storage=storage, study_name="theirs").trials) == 1
        store.close()
        storage.engine.dispose()

    def test_several_processes_may_make_the_same_database_at_once(self, new_database: Callable[[], str]) -> None:
        command = [sys.executable, "-W", "error", "-c", _STARTER]
        starters = [
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            for _ in range(PROCESSES)
        ]
        answers = [starter.stdout.readline() for starter in starters if starter.stdout]
        for _ in range(ROUNDS):
            url = new_database()
            for starter in starters:
                assert starter.stdin
                starter.stdin.write(f"{url}\n")
                starter.stdin.flush()
            answers += [starter.stdout.readline() for starter in starters if starter.stdout]
            open_store(url, create=False).close()
        for starter in starters:
            starter.communicate()
        assert answers == ["ready\n"] * PROCESSES + ["ok\n"] * PROCESSES * ROUNDS

    def test_every_part_of_an_outcome_has_a_column(self) -> None:
        columns = Base.metadata.tables["ps_attempt"].columns.keys()
        parts = set(Outcome.__dataclass_fields__) - {"status", *SEQUENCES}
        assert parts <= set(columns)


def _drift(engine: Engine) -> list[object]:
    with engine.connect() as connection:
        assert revision(connection) is not None
        return list(compare_metadata(MigrationContext.configure(connection, opts=OPTIONS), Base.metadata))


def _description(engine: Engine) -> dict[str, Any]:
    """Say everything about our tables, with what Alembic does not compare: checks, and which rows an index is of."""
    look = inspect(engine)
    aspects = (
        look.get_columns,
        look.get_check_constraints,
        look.get_unique_constraints,
        look.get_indexes,
        look.get_foreign_keys,
        look.get_pk_constraint,
    )
    names = [name for name in Base.metadata.tables if look.has_table(name)]
    return {name: [_plain(aspect(name)) for aspect in aspects] for name in names}


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(part) for key, part in value.items()}
    return [_plain(part) for part in value] if isinstance(value, list) else str(value)


def _columns(engine: Engine) -> dict[str, list[str]]:
    look = inspect(engine)
    return {name: [column["name"] for column in look.get_columns(name)] for name in look.get_table_names()}
