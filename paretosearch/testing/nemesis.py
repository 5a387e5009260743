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
        orphans: Processes that were still there a second after their Launcher's end.
        running: Trials that seemed to run then, though their Launcher had ended by itself.
    """

    workers: int = 0
    launchers: int = 0
    orphans: int = 0
    running: int = 0

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
    """

    folder: Path
    url: str
    trials: int
    seed: int = 1
    slots: str = "1"
    name: str = "victim"
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
            HISTORY: str(self.history),
            **({CRASH: crash} if crash else {}),
            **(variables or {}),
        }
        command = [sys.executable, "-m", "paretosearch", "launch", f"{self.name}.toml", "--cpu", self.slots]
        with (self.folder / "launches.log").open("a") as log:
            return subprocess.Popen(command, cwd=self.folder, env=env, stdout=log, stderr=log, text=True)

    def finish(self, launcher: subprocess.Popen[str]) -> int:
        """Wait for the end of a launch, and for what it may leave over; gives its exit code."""
        workers = self.workers(launcher)
        code = launcher.wait(PATIENCE_SECONDS)
        _, alive = psutil.wait_procs(workers, timeout=1)
        self.casualties.orphans += len(alive)
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
        if not _until_training(self._victim, launcher):
            return
        time.sleep(self._chance.uniform(0.0, 1.0))
        what = self._plan[-1]
        victims = self._victim.workers(launcher) if what == "worker" else [psutil.Process(launcher.pid)]
        if not victims or launcher.poll() is not None:
            return
        chosen = self._chance.choice(victims)
        note(self._victim.history, "killed", what=what, victim=chosen.pid)
        workers = self._victim.workers(launcher)
        chosen.kill()
        self._plan.pop()
        if what == "worker":
            self._victim.casualties.workers += 1
            return
        self._victim.casualties.launchers += 1
        launcher.wait()
        _, alive = psutil.wait_procs(workers, timeout=1)
        self._victim.casualties.orphans += len(alive)


def _until_training(victim: Victim, launcher: subprocess.Popen[str]) -> bool:
    """Wait until an attempt has been started since the last kill; False if the launch ends before."""
    while launcher.poll() is None:
        events = [event["event"] for event in read_history(victim.history)]
        last = max((place for place, event in enumerate(events) if event in ("killed", "launched")), default=-1)
        if "started" in events[last + 1 :]:
            return True
        time.sleep(0.05)
    return False
