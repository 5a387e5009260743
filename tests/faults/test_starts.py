"""Several launches at once: one runs a study, and the first of all makes its tables."""

import multiprocessing
from collections.abc import Callable
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Queue
from typing import Any

import pytest

from paretosearch.axis import Choice
from paretosearch.errors import LockedError, ParetosearchError
from paretosearch.fleet.locks import Lock
from paretosearch.search import open_search
from paretosearch.store import open_store
from paretosearch.testing.spaces import whole_space

SPACE = whole_space({"batch_size": Choice(tuple(range(1, 101)))})

#: Without the threads of this process, and without importing everything again.
FORK = multiprocessing.get_context("fork")


def at_once(processes: int, target: Callable[..., None], *arguments: Any) -> list[Any]:
    """Call a function in several processes at the same moment; gives what they put into a queue."""
    answers: Queue[Any] = FORK.Queue()
    barrier = FORK.Barrier(processes)
    children = [FORK.Process(target=target, args=(barrier, answers, *arguments)) for _ in range(processes)]
    for child in children:
        child.start()
    found = [answers.get(timeout=120) for _ in children]
    for child in children:
        child.join()
    return found


def take(barrier: Barrier, answers: "Queue[str]", path: Path) -> None:
    barrier.wait()
    try:
        lock = Lock(path, "study 'x'")
    except LockedError as error:
        answers.put(str(error))
        barrier.wait()
        return
    answers.put("runs")
    barrier.wait()  # nobody lets go before everybody has tried
    lock.release()


@pytest.mark.faults
def test_one_of_twenty_launches_runs(tmp_path: Path, note_fault: Callable[[str, str], None]) -> None:
    rounds = [at_once(20, take, tmp_path / "launcher.lock") for _ in range(20)]
    ones = sum(answers.count("runs") == 1 for answers in rounds)
    assert all(answer == "runs" or answer.startswith("study 'x' is in use by ") for a in rounds for answer in a)
    note_fault("F4", f"exactly 1 of 20 launches runs in {ones} of 20")
    assert ones == 20


def begin(barrier: Barrier, answers: "Queue[str]", url: str) -> None:
    barrier.wait()
    try:
        open_store(url).close()
        open_search(url, "study", SPACE, "random", 4, 0).close()
        answers.put("ok")
    except ParetosearchError as error:
        answers.put(str(error))


@pytest.mark.faults
def test_first_starts_at_once_all_succeed(tmp_path: Path, note_fault: Callable[[str, str], None]) -> None:
    said = [answer for number in range(20) for answer in at_once(6, begin, f"sqlite:///{tmp_path}/{number}.db")]
    failures = [answer for answer in said if answer != "ok"]
    note_fault("F8", f"failed starts {len(failures)} of {len(said)}")
    assert (failures, len(said)) == ([], 120)


def claim(barrier: Barrier, answers: "Queue[list[int]]", url: str, lock: Path) -> None:
    """Ask for trials in turns with others, as launches that end and begin do."""
    claimed: list[int] = []
    barrier.wait()
    while True:
        try:
            held = Lock(lock, "study")
        except LockedError:
            continue
        with closing(open_search(url, "study", SPACE, "random", 4, 0)) as search:
            waiting = 100 - len(search.resume())  # what others have begun
            claimed += [search.ask().trial for _ in range(min(5, waiting))]
        held.release()
        if not waiting:
            answers.put(claimed)
            return


@pytest.mark.faults
def test_trials_that_wait_are_claimed_once(tmp_path: Path, note_fault: Callable[[str, str], None]) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    with closing(open_search(url, "study", SPACE, "random", 4, 0)) as search:
        assert search.plan([{"batch_size": size} for size in range(1, 101)]) == 100
    claimed = [trial for trials in at_once(4, claim, url, tmp_path / "launcher.lock") for trial in trials]
    twice = len(claimed) - len(set(claimed))
    note_fault("F7", f"claimed twice {twice} of {len(set(claimed))}")
    assert sorted(claimed) == list(range(100))
