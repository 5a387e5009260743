"""A Station keeps its Worker as a launch on this machine would, and brings its checkpoints; here without a cluster."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet import station as stations
from paretosearch.fleet.base import Assignment, Done, Lost, Progress
from paretosearch.fleet.pulse import Limits
from paretosearch.fleet.reports import Report
from paretosearch.fleet.station import Station
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_folder
from paretosearch.testing.raycluster import workers_of


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give the folder for what Workers write, in a machine's own folder for short-lived files."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"paretosearch-{os.geteuid()}" / "study-0" / "cpu-0"


@pytest.fixture
def station(place: Path) -> Iterator[Station]:
    with closing(Station(str(place.parents[2]))) as station:
        yield station


def taken(station: Station) -> Device:
    plain, versions = station.take(1, None)
    assert plain is not None
    assert set(versions) == {"Python", "paretosearch", "torch"}
    return Device.from_plain(plain)


def poll_until(station: Station, given: Assignment, device: Device, what: Callable[[Report], object]) -> list[Report]:
    reports: list[Report] = []
    end = time.monotonic() + 60
    while not reports or not what(reports[-1]):
        assert time.monotonic() < end
        reports.append(Report.from_wire(station.poll(0.5), device, given))
    return reports


def has(report: Report, kind: type) -> bool:
    return any(isinstance(told.event, kind) for told in report.told)


def test_checkpoints_are_brought_while_a_training_goes_on_and_a_stalled_worker_is_replaced(
    station: Station, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stations, "LIMITS", Limits(idle=6.0))
    place.mkdir(parents=True)
    for name in ("7.json", "checkpoint-0-0.pt", ".checkpoint-0-0.pt.1234.part"):  # of an actor that died
        (place / name).write_text("left behind")
    device = taken(station)
    station.start(device, "study-0")
    assert [path.name for path in place.iterdir()] == ["worker-cpu-0.log"]
    images = image_folder(tmp_path / "images")
    recipe = Recipe(f"folder:{images}", "convnet", image_size=16, epochs=10_000, batch_size=16, learning_rate=0.05)
    given = Assignment(1, 0, recipe, checkpoint_seconds=0.0)
    station.assign(given)
    reports = poll_until(station, given, device, lambda report: report.checkpoint is not None)
    brought = reports[-1]
    assert brought.checkpoint is not None
    assert brought.checkpoint.startswith(b"paretosearch checkpoint 1 ")
    results = [told.event.result for r in reports for told in r.told if isinstance(told.event, Progress)]
    (worker,) = workers_of("study-0")
    os.kill(worker.pid, signal.SIGSTOP)
    *_, last = poll_until(station, given, device, lambda report: has(report, Lost))
    (lost,) = [told.event for told in last.told if isinstance(told.event, Lost)]
    assert "it stalled: no CPU time for 6 s" in lost.message
    again = replace(given, attempt=2)
    station.assign(again, last.checkpoint or brought.checkpoint)
    resumed, *_ = poll_until(station, again, device, lambda report: has(report, Progress))[-1].told
    assert isinstance(resumed.event, Progress)
    assert resumed.event.result == results[0], "with its seconds: it was not trained again"
    station.stop(now=False)
    reports = poll_until(station, again, device, lambda report: has(report, Done))
    (done,) = [told for told in reports[-1].told if isinstance(told.event, Done)]
    assert done.outcome is not None
    assert done.outcome.status == "stopped"
    assert any(report.checkpoint for report in reports)
    assert not list(place.glob("checkpoint-*")), "the Launcher has it"
    assert not list(place.glob("*.json"))


def test_a_device_is_taken_once_on_its_node(station: Station, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stations, "PATIENCE_SECONDS", 0.2)
    device = taken(station)
    with pytest.raises(DeviceError, match="cpu 0 is in use by process"):
        Station(str(place.parents[2])).start(device, "study-0")
