"""The charts that the dashboard shows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from paretosearch.report.panes import panes
from paretosearch.report.watched import Watched, watched
from paretosearch.store import Store


@pytest.fixture(scope="module")
def shown(store: Store, study: str) -> Watched:
    return watched(store, study, "sqlite:///x.db")


def test_there_are_four_in_order(shown: Watched) -> None:
    names = list(panes(shown))
    assert names == sorted(names)
    assert [name.rpartition("-")[2] for name in names] == ["front", "axes", "hypervolume", "devices"]
    assert panes(replace(shown, found=None)) == {}


def test_the_front_is_drawn_over_what_its_members_had_on_their_way(shown: Watched) -> None:
    assert shown.found is not None
    chart = panes(shown)["paretosearch-1-front"]
    by_name = {trace.name: trace for trace in chart.data}
    assert chart.data[0].name == "on the way"
    x = by_name["Pareto front"].x
    assert list(x[:-1]) == [point.train_seconds for point in shown.found.front.points]
    assert "repeats, 95 %" not in by_name


def test_repeats_have_their_intervals(
    new_store: Callable[[int], Store], study: str, retrained: Callable[[Store, int], None]
) -> None:
    store = new_store(20)
    retrained(store, store.front(study).points[-1].trial)
    chart = panes(watched(store, study, "sqlite:///x.db"))["paretosearch-1-front"]
    (repeats,) = (trace for trace in chart.data if trace.name == "repeats, 95 %")
    assert repeats.error_x.array[0] > 0
    assert repeats.error_y.array[0] > 0


def test_every_axis_has_a_panel_with_the_whole_front(shown: Watched) -> None:
    assert shown.found is not None
    chart = panes(shown)["paretosearch-2-axes"]
    assert len(chart.layout.annotations) == len(shown.found.axes)
    solid = [trace for trace in chart.data if trace.marker.size == 8]
    assert [len(trace.x) for trace in solid] == [len(shown.found.front.points)] * len(shown.found.axes)


def test_every_attempt_is_a_bar_of_its_device(shown: Watched) -> None:
    assert shown.found is not None
    chart = panes(shown)["paretosearch-4-devices"]
    assert sum(len(trace.x) for trace in chart.data) == len(shown.found.attempts)
    bars = {trace.name: len(trace.x) for trace in chart.data}
    assert bars["on the front"] == len(shown.found.front.points)
    assert bars["failed"] == 4


def test_they_are_small_also_of_five_hundred_trials(new_store: Callable[[int], Store], study: str) -> None:
    drawn = panes(watched(new_store(500), study, "sqlite:///x.db"))
    sizes = {name: len(figure.to_json()) for name, figure in drawn.items()}
    assert sum(sizes.values()) < 150_000, sizes  # every open page asks for them every ten seconds


def test_hostile_names_are_text(shown: Watched) -> None:
    attack = "<a href='http://evil.example'>x</a>"
    assert shown.found is not None
    first = shown.found.front.points[0]
    bad = replace(first, recipe=replace(first.recipe, pooling=attack))
    found = replace(shown.found, front=replace(shown.found.front, points=(bad, *shown.found.front.points[1:])))
    devices = [replace(device, host=f"{attack}{n}") for n, device in enumerate(shown.devices)]
    for figure in panes(replace(shown, found=found, devices=devices)).values():
        assert "<a " not in json.dumps(json.loads(figure.to_json()))
