"""Workers on the nodes of a Ray cluster pass the suite of every Fleet; a dead actor or node costs no trial."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from paretosearch.errors import DataError, DeviceError
from paretosearch.fleet.base import Assignment, Done, Event, Fleet, Joined, Lost, Progress, Retired
from paretosearch.fleet.locks import Lock
from paretosearch.fleet.pulse import cpu_seconds
from paretosearch.fleet.site import Wish, open_site
from paretosearch.recipe import Recipe
from paretosearch.store import AttemptRecord, open_store
from paretosearch.testing.checker import check, read_left
from paretosearch.testing.commands import STUDY, environment
from paretosearch.testing.fleet import FleetSuite, wait_for
from paretosearch.testing.images import image_folder
from paretosearch.testing.raycluster import RayCluster, ray_cluster, why_no_ray, workers_of

if TYPE_CHECKING:
    from paretosearch.fleet.cluster import RaySite
    from paretosearch.fleet.remote import RayFleet

pytestmark = pytest.mark.skipif(why_no_ray() is not None, reason=str(why_no_ray()))

#: Enough trials, and long enough ones, to lose some in the middle.
TRIALS = 9
LONG = (
    STUDY.replace('"tiny"', '"long"')
    .replace("trials = 6", f"trials = {TRIALS}")
    .replace("population = 4", "stop_dominated = false")
    .replace("low = 1, high = 3", "low = 30, high = 40")
)

#: One trial that goes on for as long as it may.
ENDLESS = LONG.replace('"long"', '"endless"').replace("low = 30, high = 40", "low = 8000, high = 9000")

#: Two GPUs for whoever asks the driver, and a torch that says which of them its Worker sees.
NVML = """
class NVMLError(Exception): ...
class Memory: total = 1 << 30
nvmlInit = nvmlShutdown = lambda: None
nvmlDeviceGetCount = lambda: 2
nvmlDeviceGetHandleByIndex = lambda index: index
nvmlDeviceGetHandleByUUID = lambda uuid: int(uuid[-1])
nvmlDeviceGetComputeRunningProcesses = lambda index: []
nvmlDeviceGetProcessUtilization = lambda index, since: []
nvmlDeviceGetMemoryInfo = lambda index: Memory
nvmlDeviceGetUUID = lambda index: f"GPU-{index}"
nvmlDeviceGetName = lambda index: "Card"
"""
TORCH = "import os; raise ImportError('here is ' + os.environ['CUDA_VISIBLE_DEVICES'])"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Keep three nodes that are a machine each: one of two cores, and two that share the second of these."""
    with ray_cluster() as cluster:
        cluster.add("a", cpus=2, environment={"PGPASSWORD": "of the node"})
        cluster.add("b", without_cores=[0])
        cluster.add("c", without_cores=[0])
        cluster.wait()
        yield cluster


@contextmanager
def reserved(cluster: RayCluster, wish: Wish, said: list[str] | None = None) -> Iterator[RaySite]:
    wish = replace(wish, fleet="ray", ray_address=cluster.address)
    with closing(open_site(wish, [].append if said is None else said.append)) as site:
        site.reserve()
        yield site  # type: ignore[misc]  # such is a site of this wish


def only(node: str, site: RaySite, folder: Path) -> RayFleet:
    """Make a Fleet of the Devices that a site has on one node."""
    from paretosearch.fleet.remote import RayFleet

    return RayFleet([berth for berth in site.berths if berth.node.name == node], folder, f"test-{os.getpid()}")


def wait_until(what: Callable[[], object], seconds: float = 60) -> float:
    begin = time.monotonic()
    while not what():
        assert time.monotonic() < begin + seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - begin


def is_gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image_folder(tmp_path_factory.mktemp("cluster") / "images")


@pytest.fixture(scope="module")
def recipe(images: Path) -> Recipe:
    return Recipe(f"folder:{images}", "convnet", image_size=16, epochs=3, batch_size=16, learning_rate=0.05)


@pytest.fixture(scope="class")
def site(cluster: RayCluster) -> Iterator[RaySite]:
    with reserved(cluster, Wish()) as site:
        assert len(site.devices) == 4  # all that Ray may give
        yield site


@pytest.fixture(scope="class")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("spool")


@pytest.fixture(scope="class")
def running() -> Iterator[list[RayFleet]]:
    """Keep the Fleet that runs, if one does."""
    running: list[RayFleet] = []
    yield running
    for fleet in running:
        fleet.close()


@pytest.fixture
def fleet(site: RaySite, folder: Path, running: list[RayFleet]) -> Iterator[RayFleet]:
    """Give the same Fleet to many tests, as starting a Worker is what takes long."""
    if not running:
        running.append(only("b", site, folder))
        running[0].start()
    yield running[0]
    for file in folder.glob("*.json"):
        file.unlink()
    wait_until(lambda: not running[0].poll(0.1) and not running[0].is_busy())
    if not running[0].idle():
        running.pop().close()


@pytest.fixture
def kill(fleet: RayFleet) -> Callable[[], None]:
    return lambda: workers_of(fleet.devices[0].uuid)[0].kill()


class TestRayFleet(FleetSuite):
    """The suite, on a Worker of a node, and what an actor adds to it."""

    def test_an_actor_that_does_not_answer_is_replaced(
        self, fleet: RayFleet, recipe: Recipe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        wait_until(lambda: fleet.poll(0.1) == [] and fleet.idle())
        fleet.assign(fleet.devices[0], Assignment(1, 0, replace(recipe, epochs=10_000)))
        wait_for(fleet, Progress)
        (worker,) = workers_of(fleet.devices[0].uuid)
        actor = psutil.Process(worker.ppid())
        actor.suspend()
        with monkeypatch.context() as patched:
            patched.setattr("paretosearch.fleet.remote.SILENT_SECONDS", 2.0)
            lost = wait_for(fleet, Lost)
        assert isinstance(lost, Lost)
        assert "on b has not answered for" in lost.message
        wait_until(lambda: is_gone(worker) and is_gone(actor), 20)


def test_nodes_that_lack_something_are_left_out_with_the_reason(cluster: RayCluster, images: Path) -> None:
    said: list[str] = []
    lock = Lock(cluster.locks("c") / "core-1.lock", "core 1")
    with reserved(cluster, Wish(cpu="1"), said) as site:
        lock.release()
        assert [(d.label, d.host, d.cores) for d in site.devices] == [("cpu 0", "a", (0,)), ("cpu 1", "b", (1,))]
        assert len({device.uuid for device in site.devices}) == 2
        assert said[0].startswith("node c: CPU cores asked for: 1, free here: 0: core 0 is in use by process")
        arrays = cluster.home("a") / "data" / "arrays"
        arrays.parent.mkdir(exist_ok=True)
        arrays.write_text("no folder")
        site.prepare([(f"folder:{images}", 16, None)])
        arrays.unlink()
        assert [(device.label, device.host) for device in site.devices] == [("cpu 0", "b")]
        assert said[1].startswith("node a: cannot keep the images of")
        assert list(cluster.home("b").rglob("train-images.npy"))
        with pytest.raises(DataError, match=r"no node of the cluster can get the data; on b: .*no such folder"):
            site.prepare([("folder:nowhere", 16, None)])
        with pytest.raises(
            DataError, match=r"get the data; on b: .* holds other images than those that the launch beg"
        ):
            site.prepare([(f"folder:{images}", 16, "of other images")])
    assert len(said) == 2
    with reserved(cluster, Wish(cpu="1x2"), said) as site:
        assert [device.host for device in site.devices] == ["a"]
    assert said[2] == "node b: cores asked for: 2, cores of Ray's there: 1; left out"


def test_a_cluster_without_gpus_is_said(cluster: RayCluster) -> None:
    with (
        pytest.raises(
            DeviceError, match="--gpus all: Ray knows no GPU on a, b, c; use --cpu 1, or start Ray there with"
        ),
        reserved(cluster, Wish(gpus="all")),
    ):
        pass


def test_a_node_with_other_programs_is_left_out_with_what_differs(cluster: RayCluster, tmp_path: Path) -> None:
    for name, file, text in (
        ("v", "torch-0.1.dist-info/METADATA", "Name: torch\nVersion: 0.1\n"),
        ("w", "platformdirs.py", "raise ModuleNotFoundError(\"No module named 'platformdirs'\")"),
    ):
        (tmp_path / name / file).parent.mkdir(parents=True)
        (tmp_path / name / file).write_text(text)
        path = os.pathsep.join([str(tmp_path / name), os.environ.get("PYTHONPATH", "")])
        cluster.add(name, environment={"PYTHONPATH": path})
    cluster.wait()
    said: list[str] = []
    with reserved(cluster, Wish(cpu="1"), said) as site:
        assert [device.host for device in site.devices] == ["a", "b", "c"]
    cluster.kill("v")
    cluster.kill("w")
    assert said[0] == f"node v: torch is 0.1 there and {version('torch')} here; install the same; left out"
    assert said[1:] == ["node w: paretosearch[ray] is not installed there (No module named 'platformdirs'); left out"]


def test_gpus_are_taken_one_by_one_and_a_worker_sees_its_own_alone(cluster: RayCluster, tmp_path: Path) -> None:
    (tmp_path / "pynvml.py").write_text(NVML)
    (tmp_path / "torch.py").write_text(TORCH)
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    cluster.add("g", gpus=2, environment={"PYTHONPATH": path})
    cluster.wait()
    with reserved(cluster, Wish()) as site:
        assert {device.uuid for device in site.devices} == {"GPU-0", "GPU-1"}
        assert [device.label for device in site.devices] == ["gpu 0", "gpu 1"]
        with closing(site.fleet(tmp_path)) as fleet:
            fleet.start()
            retired: list[Retired] = []
            with pytest.raises(DeviceError, match="does not start"):
                while True:
                    retired += [event for event in fleet.poll(1.0) if isinstance(event, Retired)]
                    fleet.idle()
    assert sorted(event.message.rpartition(": ")[2] for event in retired) == ["here is GPU-0", "here is GPU-1"]
    cluster.kill("g")


@pytest.fixture(scope="module")
def home(images: Path) -> Path:
    (images.parent / "long.toml").write_text(LONG)
    (images.parent / "endless.toml").write_text(ENDLESS)
    return images.parent


@pytest.fixture
def launch(cluster: RayCluster, home: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    launchers: list[subprocess.Popen[str]] = []

    def launch(study: str, cpu: str) -> subprocess.Popen[str]:
        options = ("--fleet", "ray", "--ray-address", cluster.address, "--cpu", cpu)
        secrets = {"PARETOSEARCH_STORAGE": f"sqlite:///{home}/secret.db", "PGPASSWORD": "secret"}
        own = {**environment(home), **secrets, "PYTHONUNBUFFERED": "1"}
        command = [sys.executable, "-m", "paretosearch", "launch", f"{study}.toml", *options]
        launchers.append(
            subprocess.Popen(command, cwd=home, env=own, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        )
        return launchers[-1]

    yield launch
    for launcher in launchers:
        launcher.kill()
        launcher.communicate()


def attempts(home: Path, study: str) -> list[AttemptRecord]:
    """List trainings, and not how often one that was disturbed has been timed again."""
    if not (home / "secret.db").exists():
        return []
    with closing(open_store(f"sqlite:///{home}/secret.db")) as store:
        found = store.attempts(study) if store.study(study) else ()
    return [attempt for attempt in found if attempt.purpose != "replay"]


def test_a_launcher_that_is_killed_leaves_no_process_on_any_node_and_its_password_was_nowhere(
    launch: Callable[..., subprocess.Popen[str]], note_fault: Callable[[str, str], None]
) -> None:
    def all_compute() -> bool:  # for which torch alone takes seconds of CPU time
        return len([worker for worker in workers_of("endless-") if cpu_seconds(worker.pid) > 8]) == 3

    launcher = launch("endless", "1")
    wait_until(all_compute, 100)
    workers = workers_of("endless-")
    actors = [psutil.Process(worker.ppid()) for worker in workers]
    for process in (*workers, *actors):
        words = [*process.cmdline(), *(f"{name}={value}" for name, value in process.environ().items())]
        assert not any("secret" in word for word in words)
    # What the node's own user has set there is the node's, and its actor's; a Worker has no use for it.
    assert [actor.environ().get("PGPASSWORD") for actor in actors].count("of the node") == 1
    hidden = ("PARETOSEARCH_STORAGE", "PARETOSEARCH_DASHBOARD_TOKEN", "RAY_AUTH_TOKEN", "PG")
    assert not [name for worker in workers for name in worker.environ() if name.startswith(hidden)]
    launcher.kill()
    begin = time.monotonic()
    wait_until(lambda: all(map(is_gone, (*workers, *actors))), 10)
    note_fault("F2", f"Launcher on a Ray cluster: 0 orphans on 3 nodes, after {time.monotonic() - begin:.1f} s")


def test_sigterm_stops_after_the_epoch_what_a_launcher_that_died_had_begun(
    home: Path, launch: Callable[..., subprocess.Popen[str]]
) -> None:
    def all_run() -> bool:  # those that the Launcher that died had begun have ended when Workers start
        return [a.outcome for a in attempts(home, "endless")].count(None) == 3 == len(workers_of("endless-"))

    launcher = launch("endless", "1")
    wait_until(all_run, 100)
    launcher.terminate()
    output, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 143, output
    assert "stopped early; the same command continues" in output
    assert {attempt.outcome for attempt in attempts(home, "endless")} == {"stopped"}
    assert list((home / "secret.db.spool" / "endless").glob("checkpoint-*.pt"))  # for whichever node is next
    assert not workers_of("endless-")


def test_a_killed_node_and_a_killed_actor_cost_no_trial(
    cluster: RayCluster,
    home: Path,
    launch: Callable[..., subprocess.Popen[str]],
    note_fault: Callable[[str, str], None],
) -> None:
    def some_are_done_and_all_compute() -> bool:
        known = [attempt.outcome for attempt in attempts(home, "long")]
        return "complete" in known and known.count(None) == 3 == len(workers_of("long-"))

    launcher = launch("long", "1")
    wait_until(some_are_done_and_all_compute, 100)
    cluster.kill("c")
    (actor,) = [psutil.Process(worker.ppid()) for worker in workers_of("long-") if "@b" in str(worker.cmdline())]
    actor.kill()
    output, _ = launcher.communicate(timeout=100)
    assert launcher.returncode == 0, output
    assert "raylet" not in output
    assert "cpu 2 gets no more trials: node c is gone" in output
    ended = attempts(home, "long")
    lost = {a.message for a in ended if (a.outcome, a.failure) == ("failed", "infrastructure")}
    assert "the actor of cpu 1 on b died" in lost
    assert lost & {"node c is gone", "the actor of cpu 2 on c died"}  # whichever is noticed first
    verdict = check([], read_left(f"sqlite:///{home}/secret.db", "long"))
    completed = [a.trial for a in ended if a.outcome == "complete"]
    twice = len(completed) - len(set(completed))
    note_fault(
        "F1",
        f"one Ray node of three and the actor of another killed: lost {TRIALS - len(set(completed))} of {TRIALS}, "
        f"twice {twice}, tried again {len(ended) - TRIALS}",
    )
    assert verdict.is_clean, verdict
    assert sorted(completed) == list(range(TRIALS))
    assert len(ended) == TRIALS + 2
    assert not workers_of("long-")


def test_a_training_of_a_node_that_is_lost_goes_on_from_its_last_checkpoint_on_one_that_joins(
    cluster: RayCluster,
    recipe: Recipe,
    images: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    note_fault: Callable[[str, str], None],
) -> None:
    monkeypatch.setattr("paretosearch.fleet.joining.LOOK_SECONDS", 0.5)
    cluster.add("d", without_cores=[0])
    cluster.wait()
    recipe = replace(recipe, epochs=200)
    said: list[str] = []
    with reserved(cluster, Wish(cpu="1"), said) as site:
        site.prepare([(f"folder:{images}", 16, None)])
        fleet = site.fleet(tmp_path)
        fleet.start()
        at = {device.host: device for device in fleet.devices}
        fleet.assign(at["d"], Assignment(1, 0, recipe, checkpoint_seconds=0.0))
        before = [wait_for(fleet, Progress) for _ in range(12)]
        wait_until(lambda: fleet.poll(0.1) is not None and list(tmp_path.glob("checkpoint-0-*.pt")), 10)
        cluster.kill("d")
        before += until(fleet, Lost)
        cluster.add("e", without_cores=[0])
        cluster.add("f", without_cores=[0, 1])
        new = next(event.device for event in until(fleet, Joined) if isinstance(event, Joined))
        assert (new.host, new.index) == ("e", len(at))
        assert list(cluster.home("e").rglob("train-images.npy"))
        wait_until(lambda: fleet.poll(0.1) == [] and new in fleet.idle())
        fleet.assign(new, Assignment(2, 0, recipe, checkpoint_seconds=0.0))
        after = [event for event in until(fleet, Done) if isinstance(event, Progress)]
        seen = {event.result for event in before if isinstance(event, Progress)}
        kept = [event.result for event in after if event.result in seen]  # with their seconds: not trained again
        again = len(seen) - len(kept)
        assert [event.result.epoch for event in after] == list(range(1, 201))
        assert len(kept) > 1
        note_fault(
            "F1", f"a training of a lost Ray node went on elsewhere: {again} of {len(seen)} epochs trained again"
        )
        assert not list(tmp_path.glob("checkpoint-*"))
        wait_until(lambda: said, 20)
        assert said[0].startswith("node f: CPU cores asked for: 1, free here: 0: core 0 is in use by")
        fleet.close()
    cluster.kill("e")
    cluster.kill("f")


def until(fleet: Fleet, kind: type[Event]) -> list[Event]:
    """Poll until an event of a kind comes; gives all that did."""
    events: list[Event] = []
    begin = time.monotonic()
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < begin + 60
        events += fleet.poll(0.5)
    return events


def test_the_last_node_that_is_lost_ends_the_launch_after_its_attempt(
    cluster: RayCluster, recipe: Recipe, tmp_path: Path
) -> None:
    with reserved(cluster, Wish(cpu="1")) as site, closing(only("b", site, tmp_path)) as fleet:
        fleet.start()
        fleet.assign(fleet.devices[0], Assignment(1, 0, recipe))
        cluster.kill("b")
        lost = wait_for(fleet, Lost)
        assert isinstance(lost, Lost)
        assert lost.message in ("node b is gone", f"the actor of {fleet.devices[0].label} on b died")
        with pytest.raises(DeviceError, match=f"{fleet.devices[0].label} gets no more trials: node b is gone"):
            while True:
                fleet.poll(1.0)
                fleet.idle()
