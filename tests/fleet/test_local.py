"""Local Workers pass the suite of every Fleet, and are pinned, quiet and mortal."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment, Done, Lost, Progress
from paretosearch.fleet.local import LocalFleet
from paretosearch.fleet.process import WorkerProcess, worker_environment
from paretosearch.recipe import Recipe
from paretosearch.testing.fleet import FleetSuite, cpu_device, run, wait_for
from paretosearch.testing.images import image_folder


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = image_folder(tmp_path_factory.mktemp("images") / "stripes")
    return Recipe(f"folder:{folder}", "convnet", image_size=16, epochs=3, batch_size=16, learning_rate=0.05)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def fleet(folder: Path) -> Iterator[LocalFleet]:
    with closing(LocalFleet([cpu_device()], folder)) as fleet:
        fleet.start()
        yield fleet


def workers() -> list[psutil.Process]:
    return [p for p in psutil.Process().children() if "paretosearch.fleet.start" in p.cmdline()]


@pytest.fixture
def kill() -> Callable[[], None]:
    return lambda: next(p.kill() for p in workers())


class TestLocalFleet(FleetSuite):
    """The suite, on local Workers."""


def test_an_attempt_whose_worker_dies_while_it_starts_has_not_begun(fleet: LocalFleet, recipe: Recipe) -> None:
    fleet.assign(fleet.devices[0], Assignment(1, 0, recipe))
    while not (found := workers()):  # between fork and exec it has another name
        time.sleep(0.01)
    found[0].kill()
    lost = wait_for(fleet, Lost)
    assert isinstance(lost, Lost)
    assert not lost.has_begun


def test_a_log_that_was_deleted_has_no_last_words(fleet: LocalFleet, recipe: Recipe, folder: Path) -> None:
    fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=500)))
    wait_for(fleet, Progress)
    (folder / "worker-cpu-0.log").unlink()
    (worker,) = workers()
    worker.kill()
    lost = wait_for(fleet, Lost)
    assert isinstance(lost, Lost)
    assert lost.detail == ""


def test_a_worker_that_outlives_a_kill_costs_its_device(
    fleet: LocalFleet, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=500)))
    wait_for(fleet, Progress)
    (slot,) = fleet._slots.values()
    process = slot.worker
    assert process is not None
    monkeypatch.setattr(WorkerProcess, "is_undead", lambda _: True)
    lost = wait_for(fleet, Lost)
    assert isinstance(lost, Lost)
    assert lost.message == "the Worker cannot be killed, so its driver hangs"
    with pytest.raises(DeviceError, match="cpu 0 gets no more work: the Worker cannot be killed"):
        fleet.idle()
    process.close()


def test_a_worker_is_pinned_to_its_cores_and_lets_denormals_be_zero(fleet: LocalFleet, recipe: Recipe) -> None:
    fleet.assign(fleet.devices[0], Assignment(1, 0, recipe))
    wait_for(fleet, Progress)
    (worker,) = workers()
    assert worker.cpu_affinity() == [0]
    assert worker.environ()["MALLOC_TRIM_THRESHOLD_"]


def test_kept_weights_load_without_pickled_code(fleet: LocalFleet, recipe: Recipe, folder: Path) -> None:
    import torch

    (folder / "outcome.json").write_text("of an earlier training")
    run(fleet, Assignment(1, 0, recipe, with_test=True, keep=folder))
    assert not (folder / "outcome.json").exists()  # whoever asked for the weights writes this one's
    assert torch.load(folder / "weights.pt", weights_only=True)
    assert Recipe.from_json((folder / "recipe.json").read_text()) == recipe


def test_what_cannot_be_kept_is_said_and_costs_nothing_else(fleet: LocalFleet, recipe: Recipe, folder: Path) -> None:
    (folder / "network.py").write_text("mine = 1\n")
    (folder / "model.onnx").write_bytes(b"an older one of paretosearch")
    run(fleet, Assignment(1, 0, recipe, keep=folder))
    outcome = spool.read(folder, 1)
    assert outcome is not None
    assert outcome.status == "complete"
    assert outcome.message.startswith("network.py is left out: another file of this name is there")
    assert (folder / "network.py").read_text() == "mine = 1\n"
    assert not (folder / "model.onnx").exists()  # it would be taken for this training's
    (folder / "network.py").unlink()
    for number in (2, 3):  # ours is replaced
        run(fleet, Assignment(number, 0, recipe, keep=folder))
        again = spool.read(folder, number)
        assert again is not None
        assert again.message == ""
        assert "class Network" in (folder / "network.py").read_text()


def test_the_database_password_does_not_reach_a_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARETOSEARCH_STORAGE", "postgresql+psycopg://me:secret@db/x")
    monkeypatch.setenv("PARETOSEARCH_STORAGE_PASSWORD_FILE", "/run/secrets/password")
    assert not any("secret" in value for value in worker_environment(cpu_device()).values())


def test_a_gpu_worker_sees_its_gpu_alone() -> None:
    gpu = Device("cuda", "GPU-123", "Some GPU", 1, "here", 2)
    assert worker_environment(gpu)["CUDA_VISIBLE_DEVICES"] == "GPU-123"
    assert worker_environment(cpu_device())["CUDA_VISIBLE_DEVICES"] == ""


def test_a_worker_that_cannot_start_is_said_in_one_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(folder))
    (folder / "torch.py").write_text("raise ImportError('no such library here')")
    with closing(LocalFleet([cpu_device()], folder)) as fleet:
        fleet.start()
        with pytest.raises(DeviceError, match=r"Worker of cpu 0 does not start .*: ImportError: no such library here"):
            for _ in range(60):
                fleet.poll(1.0)
                fleet.idle()


def test_workers_die_with_their_launcher_in_the_middle_of_a_training(folder: Path, recipe: Recipe) -> None:
    endless = replace(recipe, epochs=10_000)
    program = (
        "import time; from pathlib import Path; from paretosearch.fleet.local import LocalFleet;"
        "from paretosearch.fleet.base import Assignment, Progress; from paretosearch.recipe import Recipe;"
        "from paretosearch.testing.fleet import cpu_device, wait_for;"
        f"fleet = LocalFleet([cpu_device()], Path({str(folder)!r})); fleet.start();"
        f"fleet.assign(fleet.devices[0], Assignment(1, 0, Recipe.from_json({endless.to_json()!r})));"
        "wait_for(fleet, Progress); print('training', flush=True); time.sleep(60)"
    )
    launcher = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert launcher.stdout is not None
    launcher.stdout.readline()
    (worker,) = psutil.Process(launcher.pid).children()
    os.kill(launcher.pid, signal.SIGKILL)
    launcher.communicate()
    psutil.wait_procs([worker], timeout=1)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE


def test_an_assignment_survives_the_wire(recipe: Recipe, tmp_path: Path) -> None:
    assignment = Assignment(3, 2, recipe, True, tmp_path)
    assert Assignment.from_plain(json.loads(json.dumps(assignment.to_plain()))) == assignment


#: Two threads, and whether all of them flush; the second time they were there before it was asked for.
FLUSHING = """
import torch
from paretosearch.fleet.worker import flushes_denormals
torch.set_num_threads(2)
if not {early}:
    torch.ones(1 << 20).mul(2)
print(flushes_denormals())
"""


@pytest.mark.parametrize("early", [True, False])
def test_a_thread_that_does_not_flush_denormals_is_noticed(early: bool) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FLUSHING.format(early=early)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() in ("None", str(early))  # None: the processor has no such switch


def test_devices_that_have_a_core_in_common_take_turns(folder: Path, recipe: Recipe) -> None:
    narrow, wide = cpu_device(0), replace(cpu_device(1), cores=tuple(sorted(os.sched_getaffinity(0))[:2]))
    with closing(LocalFleet([narrow, wide], folder)) as fleet:
        fleet.start()
        assert fleet.idle() == [narrow, wide]
        fleet.assign(narrow, Assignment(1, 0, recipe))
        assert fleet.idle() == []
        wait_for(fleet, Done)
        assert fleet.idle() == [wide, narrow]  # who has waited comes first
