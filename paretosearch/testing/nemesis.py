"""Launches a study for real and kills parts of it, until it is done all the same."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import psutil

from paretosearch.testing.checker import Verdict, check, read_history, read_left
from paretosearch.testing.commands import environment
from paretosearch.testing.faults import CRASH, HISTORY, note
from paretosearch.testing.images import image_folder

#: A study whose trainings take some tenths of a second: a network of a few hundred parameters on tiny images.
STUDY = """
name    = "{name}"
dataset = "folder:images"
network = "convnet"
seed    = {seed}

[budget]
trials = {trials}

[search]
population     = 8
stop_dominated = false

[recipe]
image_size = 8
width      = 0.125

[space]
batch_size    = {{ low = 8, high = 32, log2 = true }}
learning_rate = {{ low = 0.01, high = 0.2, log = true }}
pooling       = ["max", "avg", "stochastic"]
epochs        = {{ low = 1, high = 3 }}
"""

#: Longest that a launch may take without a fault, Workers' start included.
PATIENCE_SECONDS = 240.0


@dataclass
class Casualties:
    """Who was killed how often, and who was left over.

    Args:
        workers: Workers that were killed.
        launchers: Launchers that were killed.
        late: Processes that were still there a second after their Launcher's end, be it for want of a core.
        orphans: Those that were there after ten seconds.
    """

    workers: int = 0
    launchers: int = 0
    late: int = 0
    orphans: int = 0

    def count_left_over(self, workers: Sequence[psutil.Process]) -> None:
        """Wait for the Workers of a Launcher that is gone."""
        late = _alive_after(workers, 1.0)
        self.late += late
        self.orphans += _alive_after(workers, 9.0) if late else 0

    @property
    def kills(self) -> int:
        return self.workers + self.launchers


@dataclass
class Victim:
    """A study to be launched for real, as a user would, with everything it does noted.

    Args:
        folder: An empty folder; what the study needs is made there.
        url: Database URL.
        trials: Budget.
        seed: Of the study.
        slots: CPU slots.
        name: Of the study.
        cache: Where compiled kernels are kept, which take seconds; None is a folder of its own.
    """

    folder: Path
    url: str
    trials: int
    seed: int = 1
    slots: str = "1"
    name: str = "victim"
    cache: Path | None = None
    casualties: Casualties = field(default_factory=Casualties)

    def __post_init__(self) -> None:
        if not (self.folder / "images").exists():
            image_folder(self.folder / "images", per_class=24, size=8)
        text = STUDY.format(name=self.name, seed=self.seed, trials=self.trials)
        (self.folder / f"{self.name}.toml").write_text(text, encoding="utf-8")

    @property
    def history(self) -> Path:
        return self.folder / f"{self.name}.history.jsonl"

    def start(self, crash: str | None = None, variables: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a launch.

        Args:
            crash: A crash point and the number of the time, at which the process that gets there dies.
            variables: More of its environment.
        """
        site = Path(__file__).parents[2] / "tests" / "faults" / "site"
        env = {
            **environment(self.folder),
            "PYTHONPATH": os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PARETOSEARCH_STORAGE": self.url,
            "XDG_CACHE_HOME": str(self.cache or self.folder / "cache"),
            HISTORY: str(self.history),
            **({CRASH: crash} if crash else {}),
            **(variables or {}),
        }
        command = [sys.executable, "-m", "paretosearch", "launch", f"{self.name}.toml", "--cpu", self.slots]
        with (self.folder / "launches.log").open("a") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=env,
                stdout=log,
                stderr=log,
                text=True,
                preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored behind the & of a shell
            )

    def finish(self, launcher: subprocess.Popen[str]) -> int:
        """Wait for the end of a launch, and for what it may leave over; gives its exit code."""
        workers = self.workers(launcher)
        code = launcher.wait(PATIENCE_SECONDS)
        self.casualties.count_left_over(workers)
        return code

    def launch(self, crash: str | None = None, variables: Mapping[str, str] | None = None) -> int:
        """Launch, and wait for the end."""
        return self.finish(self.start(crash, variables))

    def workers(self, launcher: subprocess.Popen[str]) -> Sequence[psutil.Process]:
        """Find the Workers of a launch that runs."""
        try:
            return [p for p in psutil.Process(launcher.pid).children() if "paretosearch.fleet.start" in p.cmdline()]
        except psutil.Error:
            return []

    def verdict(self) -> Verdict:
        """Compare what happened with what is left."""
        return check(read_history(self.history), read_left(self.url, self.name))

    def said(self) -> str:
        """Give what the launches have printed."""
        return (self.folder / "launches.log").read_text(encoding="utf-8")


class MakeVictim(Protocol):
    """Makes a study in the folder of the test."""

    def __call__(self, trials: int, url: str | None = None, slots: str = "1") -> Victim:
        """Make it; its database is an SQLite file unless another one is named."""


#: Most seconds from the begin of a training to a kill: with more, a quick machine would be done before its kills.
LONGEST_WAIT = 0.25


class Nemesis:
    """Kills Workers and Launchers of a study at random moments, until there were enough of each.

    Args:
        victim: The study.
        seed: Of the moments.
        workers: Workers to kill.
        launchers: Launchers to kill.
    """

    def __init__(self, victim: Victim, seed: int, workers: int, launchers: int) -> None:
        self._victim, self._chance = victim, random.Random(seed)
        self._plan = ["worker"] * workers + ["launcher"] * launchers
        self._chance.shuffle(self._plan)

    def run(self) -> int:
        """Go on until the study is done; gives the exit code of the last launch."""
        while True:
            launcher = self._victim.start()
            while launcher.poll() is None and self._plan:
                self._strike(launcher)
            code = self._victim.finish(launcher)
            if code != -signal.SIGKILL:
                return code

    def _strike(self, launcher: subprocess.Popen[str]) -> None:
        trained = _until_training(self._victim, launcher)
        time.sleep(self._chance.uniform(0.0, LONGEST_WAIT))
        what, workers = self._plan[-1], self._victim.workers(launcher)
        # One that is killed again and again before it is ready is a broken Device, and given up.
        able = [worker for worker in workers if worker.pid in trained]
        victims = able if what == "worker" else [psutil.Process(launcher.pid)] if trained else []
        if not victims or launcher.poll() is not None:
            return
        chosen = self._chance.choice(victims)
        note(self._victim.history, "killed", what=what, victim=chosen.pid)
        chosen.kill()
        self._plan.pop()
        if what == "worker":
            self._victim.casualties.workers += 1
            return
        self._victim.casualties.launchers += 1
        launcher.wait()
        self._victim.casualties.count_left_over(workers)


def _alive_after(processes: Sequence[psutil.Process], seconds: float) -> int:
    """Count who still runs after some time; one that has ended, and that init has not waited for yet, does not."""
    end = time.monotonic() + seconds
    while alive := sum(map(_runs, processes)):
        if time.monotonic() > end:
            return alive
        time.sleep(0.01)
    return 0


def _runs(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _until_training(victim: Victim, launcher: subprocess.Popen[str]) -> set[int]:
    """Wait until a Worker trains since the last kill; gives the Workers that ever did, or none if the launch ends."""
    while launcher.poll() is None:
        history = read_history(victim.history)
        last = max((place for place, event in enumerate(history) if event["event"] == "killed"), default=-1)
        if any(event["event"] == "training" for event in history[last + 1 :]):
            return {event["pid"] for event in history if event["event"] == "training"}
        time.sleep(0.05)
    return set()
