"""Replays a search against a table: any sampler, any number of devices, no training."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState

from benchmarks.search.table import Table, Training
from paretosearch.methods import settled_at
from paretosearch.search.distributions import distribution
from paretosearch.search.stopping import Stopper
from paretosearch.search.study import DIRECTIONS


@dataclass
class Replayed:
    """What a search found, and when.

    Args:
        spent: Device-seconds when each trial ended.
        shares: The share of the true front's hypervolume that is found by then, for each reference point.
        trained: Trials that ended.
        duplicates: Those whose Recipe had been asked for before.
        stopped: Those that were stopped.
        audited: Those that were doomed and ran on.
        wrong: Audited ones that came on the front.
    """

    spent: list[float] = field(default_factory=list)
    shares: dict[str, list[float]] = field(default_factory=dict)
    trained: int = 0
    duplicates: int = 0
    stopped: int = 0
    audited: int = 0
    wrong: int = 0

    def until(self, reference: str, share: float) -> float:
        """Give the device-seconds until a share of the hypervolume is found; infinity if it never is."""
        found = np.flatnonzero(np.array(self.shares[reference]) >= share)
        return self.spent[found[0]] if len(found) else np.inf


@dataclass(order=True)
class _Busy:
    """A device at the end of an epoch."""

    moment: float
    trial: int
    digest: str = field(compare=False)
    training: Training = field(compare=False)
    begun: float = field(compare=False)
    epoch: int = field(compare=False, default=0)
    judged: bool = field(compare=False, default=False)
    cut: bool = field(compare=False, default=False)

    @property
    def is_complete(self) -> bool:
        return self.epoch == len(self.training.curve)

    def advance(self) -> None:
        self.epoch += 1
        share = self.training.curve[self.epoch - 1][0] / self.training.seconds
        self.moment = self.begun + share * self.training.device_seconds


class Replay:
    """A search against a table, one event after another.

    Args:
        table: What would come of every Recipe.
        sampler: Who asks.
        devices: How many train at a time.
        seed: Which of a Recipe's trainings is met, and who is audited.
        stopping: Whether doomed trainings are stopped.
    """

    def __init__(self, table: Table, sampler: BaseSampler, devices: int, seed: int, stopping: bool) -> None:
        self._table, self._stopper = table, Stopper(seed, settled_at) if stopping else None
        self._study = optuna.create_study(sampler=sampler, directions=DIRECTIONS)
        self._distributions = {name: distribution(axis) for name, axis in table.space.axes.items()}
        self._rng = np.random.default_rng(seed)
        self._asked: set[str] = set()
        self._complete: set[str] = set()
        self._results: list[tuple[float, float]] = []
        self._ended = 0.0  # device-seconds of trials that have ended
        self._queue: list[_Busy] = []
        self.found = Replayed(shares={reference: [] for reference in table.references})
        for _ in range(devices):
            self._begin(0.0)

    def advance(self) -> None:
        """Go on to the next end of an epoch."""
        busy = heapq.heappop(self._queue)
        if busy.is_complete or busy.cut:
            self._end(busy)
            self._begin(busy.moment)
            return
        if self._stopper and not busy.judged:
            recipe = self._table.space.recipe(self._study.trials[busy.trial].params)
            busy.judged = self._stopper.judge(recipe, busy.training.curve[: busy.epoch]) is not None
            # A wish to stop reaches a Worker in the epoch after it, which it still ends.
            busy.cut = busy.judged and not self._stopper.audits(busy.trial)
        busy.advance()
        heapq.heappush(self._queue, busy)

    def _begin(self, moment: float) -> None:
        trial = self._study.ask(self._distributions)
        digest = self._table.digest(trial.params)
        self.found.duplicates += digest in self._asked
        self._asked.add(digest)
        trainings = self._table.trainings[digest]
        busy = _Busy(moment, trial.number, digest, trainings[self._rng.integers(len(trainings))], moment)
        busy.advance()
        heapq.heappush(self._queue, busy)

    def _end(self, busy: _Busy) -> None:
        self._ended += busy.moment - busy.begun
        if busy.is_complete:
            self._completed(busy)
        else:
            self._study.tell(busy.trial, state=TrialState.PRUNED)
            self.found.stopped += 1
        self.found.trained += 1
        self.found.spent.append(self._ended + sum(busy.moment - other.begun for other in self._queue))
        for reference, shares in self.found.shares.items():
            shares.append(self._table.share(self._complete, reference))

    def _completed(self, busy: _Busy) -> None:
        seconds, accuracy = busy.training.curve[-1]
        self._study.tell(busy.trial, (seconds, accuracy))
        self.found.audited += busy.judged
        self.found.wrong += busy.judged and not any(s <= seconds and a >= accuracy for s, a in self._results)
        self._results.append((seconds, accuracy))
        self._complete.add(busy.digest)
        if self._stopper:
            self._stopper.learn(busy.trial, busy.training.curve)


def replay(
    table: Table, sampler: BaseSampler, devices: int, seed: int, stopping: bool, enough: float = 0.99, most: float = 1.5
) -> Replayed:
    """Search a table until its front is found.

    Args:
        table: What would come of every Recipe.
        sampler: Who asks.
        devices: How many train at a time.
        seed: Seed of the chances outside the sampler.
        stopping: Whether doomed trainings are stopped.
        enough: Share of the true front's hypervolume, for every reference point, at which to end.
        most: Device-seconds at which to end, in those of the whole table.
    """
    run = Replay(table, sampler, devices, seed, stopping)
    found = run.found
    while not found.spent or (
        min(shares[-1] for shares in found.shares.values()) < enough and found.spent[-1] < most * table.whole_seconds
    ):
        run.advance()
    return found
