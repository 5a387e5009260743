"""Others see how far a launch is, in a file that costs it nothing, or in lines of JSON."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from paretosearch.device import Device
from paretosearch.errors import UsageError
from paretosearch.outcome import EpochResult, Outcome, failed
from paretosearch.recipe import Recipe
from paretosearch.report import progress
from paretosearch.report.events import EventStream
from paretosearch.report.progress import Follower
from paretosearch.report.watching import watch
from paretosearch.store import Front

RECIPE = Recipe("mnist", "resnet8", number_format="bf16", batch_size=256, epochs=4)
DEVICES = tuple(Device("cuda", f"GPU-{i}", "RTX", 2**33, "box", i) for i in range(2))
EPOCH = EpochResult(1, 3.5, 0.8125, 1.0, 0.1, 256, 1, 1, 0.01, 0.001)
DONE = Outcome("complete", train_seconds=12.3, wall_seconds=12.4, accuracy=0.8841)


def test_the_file_says_what_the_launch_knows(tmp_path: Path) -> None:
    now, note = [0.0], tmp_path / progress.NOTE
    with Follower("s", ("batch_size",), 64, DEVICES, 3, 2.0, 0.5, clock=lambda: now[0], note=note) as follower:
        follower.started(DEVICES[0], 7, RECIPE, "confirm")
        now[0] = 5.0
        follower.epoch(DEVICES[0], EPOCH)
        found = progress.read(note)
        assert found == follower._progress
        assert found.rows["GPU-0"].epoch == EPOCH
        assert found.elapsed == 5.0
    assert progress.read(note) is None


def test_for_epochs_the_file_is_written_once_a_second_at_most(tmp_path: Path) -> None:
    now, note = [0.0], tmp_path / progress.NOTE
    follower = Follower("s", (), 64, DEVICES, clock=lambda: now[0], note=note)
    follower.started(DEVICES[0], 1, RECIPE)
    for moment, epoch in ((0.5, 1), (0.9, 2), (1.0, 3)):
        now[0] = moment
        follower.epoch(DEVICES[0], replace(EPOCH, epoch=epoch))
        found = progress.read(note)
        assert found is not None
        shown = found.rows["GPU-0"].epoch
        assert shown == (None if moment < 1 else replace(EPOCH, epoch=3))


def test_the_file_has_a_new_trial_at_once(tmp_path: Path) -> None:
    note = tmp_path / progress.NOTE
    follower = Follower("s", (), 64, DEVICES, clock=lambda: 0.0, note=note)
    for trial in (1, 2, 3):
        follower.started(DEVICES[0], trial, RECIPE)
        found = progress.read(note)
        assert found is not None
        assert found.rows["GPU-0"].trial == trial
        follower.finished(DEVICES[0], trial, DONE, on_front=False)
    found = progress.read(note)
    assert found is not None
    assert (found.rows["GPU-0"].trial, found.done) == (None, 3)


def test_a_launch_does_not_miss_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    with Follower("s", (), 64, DEVICES, note=tmp_path / "nowhere" / "note") as follower:
        follower.started(DEVICES[0], 7, RECIPE)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"rows": [1]}', '{"rows": [], "axes": [], "more": 1}', "\x00"])
def test_what_is_not_whole_is_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "note").write_text(text)
    assert progress.read(tmp_path / "note") is None


def test_every_event_is_a_line_of_json(front: Front) -> None:
    target = io.StringIO()
    with EventStream(target, "s", (), 64, DEVICES[:1]) as stream:
        stream.starting(1)
        stream.joined(DEVICES[1])
        stream.started(DEVICES[0], 7, RECIPE)
        stream.epoch(DEVICES[0], EPOCH)
        stream.finished(DEVICES[0], 7, DONE, on_front=True)
        stream.front(front)
        stream.started(DEVICES[1], 8, RECIPE, "confirm")
        stream.finished(DEVICES[1], 8, failed("bug", "broken\nin two"), on_front=False)
        stream.message("the database is back")
    told = [json.loads(line) for line in target.getvalue().splitlines()]
    assert [line["event"] for line in told] == [
        *("starting", "joined", "started", "epoch", "finished", "front", "started", "finished", "message")
    ]
    assert told[2]["recipe"]["batch_size"] == 256
    assert (told[3]["trial"], told[3]["device"], told[3]["accuracy"]) == (7, "gpu 0", 0.8125)
    assert told[4] == {
        **{"event": "finished", "device": "gpu 0", "trial": 7, "purpose": "search", "status": "complete"},
        **{"on_front": True},
        **{"train_seconds": 12.3, "accuracy": 0.8841, "noisy": False},
    }
    assert told[5]["trials"] == [point.trial for point in front.points]
    assert told[5]["device_class"] == front.points[0].device_class
    assert (told[7]["failure"], told[6]["purpose"]) == ("bug", "confirm")


def test_watching_ends_with_ctrl_c_and_leaves_the_last_picture() -> None:
    console, looks = Console(file=io.StringIO(), force_terminal=True, width=80), iter(["one", "two"])

    def look() -> RenderableType:
        try:
            return next(looks)
        except StopIteration:
            raise KeyboardInterrupt from None

    watch(console, look, seconds=0.0)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().rstrip("\x1b[?25h\n").endswith("two")


def test_watching_ends_when_there_is_nothing_to_watch() -> None:
    console = Console(file=io.StringIO(), force_terminal=True, width=100)
    watch(console, lambda: "how it stands", lambda: False, seconds=3600.0)
    assert isinstance(console.file, io.StringIO)
    assert "how it stands" in console.file.getvalue()
    assert "no launch is running" in console.file.getvalue()


def test_without_a_terminal_watching_is_refused() -> None:
    with pytest.raises(UsageError, match="a program reads status --json"):
        watch(Console(file=io.StringIO()), lambda: "")
