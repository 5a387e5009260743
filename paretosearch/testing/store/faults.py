"""A store holds all of what it was given, or nothing of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import count
from typing import Any

import pytest
from sqlalchemy import Engine, MetaData, event, select

from paretosearch.outcome import Outcome
from paretosearch.store import Store
from paretosearch.store.tables import PREFIX
from paretosearch.testing.store.builders import (
    CPU,
    GPU,
    complete,
    connected,
    full_outcome,
    new_study,
    recipe,
    study_record,
    train,
)


class PowerCutError(Exception):
    """The power goes out."""


@contextmanager
def cut_at(engine: Engine, number: int) -> Iterator[None]:
    """Raise `PowerCutError` in place of a statement or commit.

    Args:
        engine: Whose statements are counted.
        number: Which one fails, from 1.
    """
    numbers = count(1)

    def step(*_: Any) -> None:
        if next(numbers) == number:
            raise PowerCutError

    hooks = ("before_cursor_execute", "commit")
    for hook in hooks:
        event.listen(engine, hook, step)
    try:
        yield
    finally:
        for hook in hooks:
            event.remove(engine, hook, step)


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Read every row of our tables, sorted as text."""
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        return {
            name: sorted((tuple(row) for row in connection.execute(select(table))), key=str)
            for name, table in tables.tables.items()
            if name.startswith(PREFIX)
        }


def check_all_or_nothing(store: Store, action: Callable[[Store], Any], statements: int) -> int:
    """Cut an action short at each of its statements in turn, then let it pass.

    Args:
        store: Where.
        action: What is done, on a store of its own.
        statements: How many statements it has at least, so that the test is known to have cut anything.

    Returns:
        How often it was cut.
    """
    with connected(store.url) as engine:
        before = contents(engine)
        for number in count(1):
            try:
                with cut_at(engine, number):
                    action(Store(engine))
                break
            except PowerCutError:
                assert contents(engine) == before, f"half of it was there after {number - 1} statements"
        assert number > statements
        assert contents(engine) != before
    return number - 1


class FaultSuite:
    """What is left after an accident."""

    def test_an_attempt_is_started_whole_or_not_at_all(self, store: Store) -> None:
        study = new_study(store)
        check_all_or_nothing(store, lambda s: s.start_attempt(study, 0, CPU, recipe()), 3)

    @pytest.mark.parametrize("outcome", [full_outcome(), Outcome("failed", "bug", "no")])
    def test_an_attempt_is_finished_whole_or_not_at_all(
        self, store: Store, outcome: Outcome, note_fault: Callable[[str, str], None]
    ) -> None:
        study = new_study(store)
        attempt = store.start_attempt(study, 0, CPU, recipe())
        cuts = check_all_or_nothing(store, lambda s: s.finish_attempt(attempt, outcome), 3)
        assert store.epochs(attempt) == outcome.epochs
        assert store.surgeries(attempt) == outcome.surgeries
        assert store.phases(attempt) == outcome.phases
        kind = store.url.partition(":")[0]
        note_fault(
            "F11", f"{kind}, an Outcome that is {outcome.status}: half-written rows 0 over all {cuts} statements"
        )

    def test_a_change_of_the_front_is_noted_whole_or_not_at_all(self, store: Store) -> None:
        study = new_study(store)
        for trial in (0, 1):
            train(store, study, trial, complete(10.0 + trial, 0.5 + trial / 10))
            store.record_front(study, trial, CPU.device_class)
        train(store, study, 2, complete(5.0, 0.8))
        check_all_or_nothing(store, lambda s: s.record_front(study, 2, CPU.device_class), 5)
        assert [(e.trial, e.kind) for e in store.front_events(study)][2:] == [(0, "left"), (1, "left"), (2, "entered")]

    def test_a_study_is_added_whole_or_not_at_all(self, store: Store) -> None:
        check_all_or_nothing(store, lambda s: s.add_study(study_record("whole or not")), 2)

    def test_a_reader_is_not_disturbed_by_a_writer(self, store: Store) -> None:
        study = new_study(store)
        train(store, study, 0, complete())
        seen: list[int] = []
        with connected(store.url) as reading, connected(store.url) as writing:
            reader = Store(reading)
            event.listen(writing, "commit", lambda _: seen.append(len(reader.front(study).points)))
            train(Store(writing), study, 1, complete(1.0, 0.1))
            assert seen == [1, 1], (
                "at the commits that start and finish the second trial, another reader sees the first"
            )
            assert len(reader.front(study).points) == 2

    def test_writers_wait_for_each_other(self, store: Store) -> None:
        study = new_study(store)
        with ExitStack() as held, ThreadPoolExecutor(4) as pool:
            stores = [Store(held.enter_context(connected(store.url))) for _ in range(4)]
            futures = [pool.submit(_many, writer, study, 10 * i) for i, writer in enumerate(stores)]
            for future in futures:
                future.result()
        assert len(store.attempts(study)) == 40
        assert len(store.completed(study)) == 40
        assert len(store.front(study).points) == len(store.front_events(study)) == 40


def _many(store: Store, study: str, first: int) -> None:
    """Train ten trials; later trials are slower and better, so that every one is on the front."""
    for trial in range(first, first + 10):
        store.add_device(GPU)
        train(store, study, trial, complete(1.0 + trial, trial / 40))
        store.record_front(study, trial, CPU.device_class)
