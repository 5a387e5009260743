"""How the front grew."""

from dataclasses import replace
from itertools import pairwise

import pytest

from paretosearch.report.history import area_range, growth
from paretosearch.store import Store
from paretosearch.store.front import front_of, hypervolume


def test_growth_ends_at_the_hypervolume_of_today_and_never_shrinks(store: Store, study: str) -> None:
    front = store.front(study)
    grown = growth(front, store.front_events(study))
    assert grown[-1][1] == pytest.approx(front.hypervolume)
    assert all(before < after for before, after in pairwise(grown))


def test_growth_is_what_the_trials_of_each_day_gave_against_the_reference_of_today(store: Store, study: str) -> None:
    front, events, results = store.front(study), store.front_events(study), store.completed(study)
    expected = {}
    for event in events:
        members = front_of([point for point in results if point.trial <= event.cause]).points
        area = hypervolume([(p.train_seconds, p.accuracy) for p in members], front.reference)
        expected[event.device_seconds] = pytest.approx(area)
    assert dict(growth(front, events)) == expected


def test_events_of_another_class_of_device_are_left_out(store: Store, study: str) -> None:
    front, events = store.front(study), store.front_events(study)
    elsewhere = [replace(event, device_class="cuda:X", trial=event.trial + 1) for event in events]
    mixed = [event for pair in zip(events, elsewhere, strict=True) for event in pair]
    assert growth(front, mixed) == growth(front, events)


def test_the_axis_begins_where_the_front_is_early_in_the_search() -> None:
    grown = [(1.0, 90.0), (2.0, 98.0), (50.0, 100.0)]
    low, high = area_range(grown, 100.0)
    assert 97.0 < low < 98.0
    assert 100.0 < high < 101.0


def test_the_axis_of_a_single_change_is_no_empty_range() -> None:
    low, high = area_range([(5.0, 10.0)], 5.0)
    assert 0 < low < 10 < high
