"""Checkpoint files are whole, or not believed."""

import os
import pickle
import random
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
import torch

from paretosearch.fleet.checkpoints import MAGIC, Checkpoints, Keeper, files_of, forget, leftovers
from paretosearch.recipe import Recipe
from paretosearch.testing.fleet import cpu_device

RECIPE = Recipe("stripes", "resnet8", epochs=3, seed=7)
STATES = [{"epochs": [], "model": {"weight": torch.arange(300.0) + number}} for number in range(3)]


@pytest.fixture
def checkpoints(tmp_path: Path) -> Checkpoints:
    return Checkpoints(tmp_path, 4, RECIPE, cpu_device())


@pytest.fixture
def newest(tmp_path: Path) -> Path:
    return files_of(tmp_path, 4, 7)[0]


def which(checkpoints: Checkpoints) -> int | None:
    """Say which of the states is read."""
    state, _ = checkpoints.read()
    return None if state is None else int(state["model"]["weight"][0])


def test_the_newest_checkpoint_is_read(checkpoints: Checkpoints) -> None:
    assert checkpoints.read() == (None, [])
    for number, state in enumerate(STATES):
        checkpoints.write(state)
        assert which(checkpoints) == number


def damages(content: bytes) -> list[bytes]:
    """Give a file cut off at every sixteenth, and with each of 200 bits turned over."""
    chance = random.Random(0)
    turned = []
    for bit in chance.sample(range(8 * len(content)), 200):
        copy = bytearray(content)
        copy[bit // 8] ^= 1 << bit % 8
        turned.append(bytes(copy))
    return [content[: len(content) * part // 16] for part in range(16)] + turned


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(
    checkpoints: Checkpoints, newest: Path, note_fault: Callable[[str, str], None]
) -> None:
    checkpoints.write(STATES[0])
    checkpoints.write(STATES[1])
    damaged = damages(newest.read_bytes())
    silent = 0
    for content in damaged:
        newest.write_bytes(content)
        state, passed_over = checkpoints.read()
        silent += not passed_over
        assert state is not None
        assert state["model"]["weight"][0] == 0
    note_fault("F13", f"silent loads {silent} of {len(damaged)}")
    assert silent == 0


def test_with_both_damaged_the_training_begins_anew(checkpoints: Checkpoints, tmp_path: Path) -> None:
    checkpoints.write(STATES[0])
    checkpoints.write(STATES[1])
    for path in files_of(tmp_path, 4, 7):
        path.write_bytes(path.read_bytes()[:-1])
    state, passed_over = checkpoints.read()
    assert state is None
    assert [line.split(" is passed over: ")[1] for line in passed_over] == ["it is damaged"] * 2


@pytest.mark.parametrize("step", ["write", "replace"])
def test_a_crash_while_writing_leaves_the_one_before(
    checkpoints: Checkpoints, newest: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    checkpoints.write(STATES[0])

    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        if step == "write":
            patched.setattr(os, "fsync", crash)
        else:
            replace_file = Path.replace
            patched.setattr(Path, "replace", lambda a, b: crash() if b == newest else replace_file(a, b))
        with pytest.raises(KeyboardInterrupt):
            checkpoints.write(STATES[1])
    assert which(checkpoints) == 0


def test_a_full_disk_leaves_the_one_before_and_no_rest(
    checkpoints: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    keeper = Keeper(checkpoints, 0.0, lambda: False)
    keeper(STATES[0])

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    keeper(STATES[1])
    assert "no checkpoint is written: [Errno 28] No space left on device" in capsys.readouterr().err
    assert which(checkpoints) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-4-7.pt"]


class _Planted:
    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self._path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_not_run(checkpoints: Checkpoints, newest: Path, zipped: bool) -> None:
    planted = newest.parent / "executed"
    if zipped:
        torch.save({"mark": [], "state": {"epochs": _Planted(planted)}}, newest)
    else:
        newest.write_bytes(pickle.dumps(_Planted(planted)))
    payload = newest.read_bytes()
    newest.write_bytes(MAGIC + sha256(payload).hexdigest().encode() + b"\n" + payload)
    state, passed_over = checkpoints.read()
    assert state is None
    assert len(passed_over) == 1
    assert not planted.exists()


def test_what_is_no_checkpoint_of_this_training_is_passed_over(
    checkpoints: Checkpoints, newest: Path, tmp_path: Path
) -> None:
    checkpoints.write(STATES[0])
    elsewhere = replace(cpu_device(), name="Another CPU")
    for other in (
        Checkpoints(tmp_path, 4, replace(RECIPE, batch_size=77), cpu_device()),
        Checkpoints(tmp_path, 4, RECIPE, elsewhere),
    ):
        state, (line,) = other.read()
        assert state is None
        assert "it is of another recipe, class of device or version" in line
    moved = newest.rename(tmp_path / "elsewhere.pt")
    newest.symlink_to(moved)
    state, (line,) = checkpoints.read()
    assert state is None
    assert "it is a link" in line


def test_checkpoints_are_written_when_it_is_time_or_something_is_due(checkpoints: Checkpoints) -> None:
    due: list[bool] = []
    keeper = Keeper(checkpoints, 3600.0, lambda: bool(due))
    keeper(STATES[0])
    assert keeper.last() is None
    due.append(True)
    keeper(STATES[1])
    assert which(checkpoints) == 1


def test_checkpoints_of_trainings_that_have_ended_are_found(tmp_path: Path) -> None:
    for trial in (1, 2, 3):
        Checkpoints(tmp_path, trial, RECIPE, cpu_device()).write(STATES[0])
    (tmp_path / ".checkpoint-1-7.pt.1f.part").touch()
    forget(tmp_path, 2, RECIPE.seed)
    left = sorted(path.name for path in leftovers(tmp_path, {(1, 7)}))
    assert left == [".checkpoint-1-7.pt.1f.part", "checkpoint-3-7.pt"]
