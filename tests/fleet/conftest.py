"""A study in a real store, trained by a scripted Fleet."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import optuna
import pytest

from paretosearch.axis import Choice, Int, Real
from paretosearch.device import Device
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.early import EarlyStops
from paretosearch.fleet.launcher import Launcher
from paretosearch.fleet.repeats import Repeats
from paretosearch.fleet.replays import SHARE, Replays
from paretosearch.fleet.searching import Searching
from paretosearch.fleet.work import Work
from paretosearch.outcome import EpochResult, Outcome, Purpose
from paretosearch.recipe import Recipe
from paretosearch.search import Stopper, open_search
from paretosearch.space import Space
from paretosearch.store import Front, Store, StudyRecord, open_store
from paretosearch.studyfile import Budget
from paretosearch.testing.fleet import ScriptedFleet, cpu_device
from tests.fleet.worlds import World, wide_device

SPACE = Space(
    fixed={"dataset": "stripes", "network": "convnet", "seed": 0, "pooling": "native", "schedule": "one_cycle"},
    axes={
        "batch_size": Int(16, 1024, log2=True),
        "learning_rate": Real(0.01, 1.0, log=True),
        "epochs": Choice((1, 2, 3)),
    },
)


@dataclass
class Notes:
    """A watcher that remembers."""

    finished_trials: list[tuple[int, str, bool]] = field(default_factory=list)
    in_doubt: list[int] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    fronts: list[Front] = field(default_factory=list)

    def starting(self, workers: int) -> None: ...
    def joined(self, device: Device) -> None: ...
    def started(self, device: Device, trial: int, recipe: Recipe, purpose: Purpose) -> None: ...
    def epoch(self, device: Device, result: EpochResult) -> None: ...

    def finished(self, device: Device, trial: int, outcome: Outcome, on_front: bool, in_doubt: bool) -> None:
        self.finished_trials.append((trial, outcome.status, on_front))
        self.in_doubt += [trial] * in_doubt

    def front(self, front: Front) -> None:
        self.fronts.append(front)

    def message(self, text: str) -> None:
        self.messages.append(text)


Script = Callable[[Assignment], Outcome | None]


class Bench:
    """A study in a real store, to be launched again and again."""

    def __init__(self, folder: Path, space: Space) -> None:
        self.url = f"sqlite:///{folder}/search.db"
        self.store: Store = open_store(self.url)
        self.folder = spool.folder_for(self.url, "s")
        self.notes = Notes()
        self._space = space
        self.store.add_study(
            StudyRecord(
                "s", "", space.hash, {}, "random", 7, cpu_device().device_class, {}, datetime(2020, 1, 1, tzinfo=UTC)
            )
        )

    def launch(
        self,
        script: Script,
        trials: int | None = 8,
        devices: int = 2,
        hours: float | None = None,
        stopper: Stopper | None = None,
        repeats: int = 0,
        all_hours: float | None = None,
        hosts: Sequence[str] = ("test",),
        wide: int = 0,
        formats: Mapping[str, Sequence[str]] | None = None,
    ) -> int | None:
        """Run the study; ``hours`` are the search's, ``all_hours`` those that its repeats may use as well.

        ``wide`` Devices of another class come behind the others, and ``formats`` says what each class can do.
        """
        found = [replace(cpu_device(i), host=hosts[i % len(hosts)]) for i in range(devices)]
        found += [wide_device(devices + i) for i in range(wide)]
        fleet = ScriptedFleet(found, self.folder, script)
        self.fleet = fleet
        for device in fleet.devices:
            self.store.add_device(device)
        search = open_search(self.url, "s", self._space, "random", 8, 7)
        stops = EarlyStops(stopper, self.store) if stopper else None
        budget = Budget(trials=trials, device_hours=hours)
        self.classes = classes = Classes(cpu_device().device_class, fleet.devices, formats)
        self.replays = replays = Replays("s", self.store, classes, search, SHARE)
        searching = Searching("s", self._space, budget, search, self.store, classes, replays, stops, self.notes.message)
        work: list[Work] = [replays, searching]
        if repeats:
            work.append(Repeats("s", self.store, repeats, classes, all_hours))
        self.launcher = Launcher("s", work, self.store, fleet, self.folder, self.notes, classes)
        return self.launcher.run()

    def states(self) -> dict[str, int]:
        trials = optuna.load_study(study_name="s", storage=self.url).get_trials(deepcopy=False)
        names = [trial.state.name for trial in trials]
        return {name: names.count(name) for name in set(names)}


@pytest.fixture
def space() -> Space:
    """Give what is searched; a test module may have another one."""
    return SPACE


@pytest.fixture
def bench(space: Space) -> Iterator[Bench]:
    """Make a study in memory where there is such a place: a trial is dozens of synced writes."""
    memory = Path("/dev/shm")
    with TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        yield Bench(Path(folder), space)


@pytest.fixture
def world(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> World:
    """Let replays take whatever share: a scripted Attempt takes no time, so that shares mean nothing."""
    monkeypatch.setattr("tests.fleet.conftest.SHARE", 1.0)
    return World(bench)


class Crash(BaseException):
    """The Launcher dies here."""


DyingAt = Callable[[object, str], AbstractContextManager[None]]


@pytest.fixture
def dying_at(monkeypatch: pytest.MonkeyPatch) -> DyingAt:
    """Let a Launcher die where it calls a function first, as long as the context lasts."""

    def die(*_: object) -> None:
        raise Crash

    @contextmanager
    def dying_at(owner: object, name: str) -> Iterator[None]:
        with monkeypatch.context() as patched, pytest.raises(Crash):
            patched.setattr(owner, name, die)
            yield

    return dying_at
