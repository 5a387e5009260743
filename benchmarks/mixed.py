"""One search over two classes of device, against full trainings of all its trials on each.

    python -m benchmarks.mixed --out benchmarks/results [--trials 24] [--cpu 1x1,1x2] [--work FOLDER]

The search trains each trial once, on whichever class is free, and times it again on the other. Then every trial is
trained anew on each class, so that nothing is compared with itself, and the fronts are compared. What was done is kept
in the working folder, and the same command goes on.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from paretosearch import launch
from paretosearch.device import Device
from paretosearch.fleet import spool
from paretosearch.fleet.base import Assignment, Done, Lost, Retired
from paretosearch.fleet.devices import Reservation, wanted
from paretosearch.fleet.local import LocalFleet
from paretosearch.store import Point, Store, open_store
from paretosearch.store.estimates import PRIOR_SPREAD
from paretosearch.store.front import front_of, hypervolume, reference_of

STUDY = Path(__file__).with_suffix(".toml")

#: Two results are told apart from here on: two spreads of single trainings, of the seconds and of the accuracy.
MARGIN = tuple(2 * spread for spread in PRIOR_SPREAD)

Objectives = tuple[float, float]

#: Training seconds, accuracy and device seconds of trainings, by class of device and trial.
Truth = Mapping[str, Mapping[int, Sequence[float]]]


@dataclass(frozen=True)
class Compared:
    """A class's front by the search, beside its front by trainings there.

    Args:
        device_class: The class.
        trained: Trials that the search trained there.
        replayed: Trials that it timed there.
        errors: How far each replay is from the training, as a share of that.
        hypervolume: Hypervolume of the search's front by that of the trainings', both with the search's accuracies.
        with_own_accuracy: The same, where trainings have the accuracies that they came to.
        members: Share of both fronts' members that the other front has, or beats by no more than the margin.
        device_seconds: Device seconds of trainings of all trials on the class.
    """

    device_class: str
    trained: int
    replayed: int
    errors: Sequence[float]
    hypervolume: float
    with_own_accuracy: float
    members: float
    device_seconds: float


def main() -> None:
    """Search, train, compare, and keep the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--cpu", default="1x1,1x2")
    parser.add_argument("--work", type=Path, default=Path("mixed-work"))
    wish = parser.parse_args()
    wish.work.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{wish.work.absolute()}/mixed.db"
    launch(str(STUDY), cpu=wish.cpu, storage=url, trials=wish.trials, console=Console())
    with closing(open_store(url, create=False)) as store:
        truth = train_all(store, wish.cpu, wish.work)
        classes = store.device_classes("mixed")
        found = [compared(store, name, truth) for name in classes]
        text = "\n".join(report(store, found))
    print(text)
    (wish.out / "mixed-cpu.md").write_text(text + "\n", encoding="utf-8")


def train_all(store: Store, cpu: str, work: Path) -> Truth:
    """Train every trial on every class; gives seconds, accuracy and device seconds by class and trial."""
    kept = work / "truth.json"
    known: dict[str, dict[str, list[float]]] = json.loads(kept.read_text()) if kept.exists() else {}
    folder = work / "spool"
    folder.mkdir(exist_ok=True)
    reservation = Reservation(wanted(None, cpu))
    with closing(LocalFleet(reservation.devices, folder)) as fleet:
        fleet.start()
        for point in store.completed("mixed"):
            for device in reservation.devices:
                of_class = known.setdefault(device.device_class, {})
                if str(point.trial) not in of_class:
                    of_class[str(point.trial)] = _trained(fleet, device, point, folder)
                    kept.write_text(json.dumps(known))
    reservation.release()
    return {name: {int(trial): tuple(values) for trial, values in of.items()} for name, of in known.items()}


def _trained(fleet: LocalFleet, device: Device, point: Point, folder: Path) -> list[float]:
    while device not in fleet.idle():
        fleet.poll(1.0)
    number, begun = 10 * point.trial + device.index, time.monotonic()
    fleet.assign(device, Assignment(number, point.trial, point.recipe))
    while not any(isinstance(event, Done | Lost | Retired) for event in fleet.poll(1.0)):
        pass
    outcome = spool.read(folder, number)
    assert outcome is not None
    print(f"trial {point.trial} on {device.device_class}: {outcome.objectives}", flush=True)
    return [*outcome.objectives, time.monotonic() - begun]


def compared(store: Store, device_class: str, truth: Truth) -> Compared:
    """Compare what the search says of a class with trainings of all its trials there."""
    points = store.completed("mixed", device_class)
    here = truth[device_class]
    replays = {a.id for a in store.attempts("mixed") if a.purpose == "replay"}
    errors = [abs(p.train_seconds / here[p.trial][0] - 1) for p in points if p.attempt in replays]
    all_points = store.completed("mixed")
    same_accuracy = [_moved(p, here[p.trial][0], p.accuracy) for p in all_points]
    own_accuracy = [_moved(p, here[p.trial][0], here[p.trial][1]) for p in all_points]
    return Compared(
        device_class,
        len(points) - len(errors),
        len(errors),
        errors,
        _ratio(points, same_accuracy),
        _ratio(points, own_accuracy),
        _common(points, own_accuracy),
        sum(values[2] for values in here.values()),
    )


def _moved(point: Point, train_seconds: float, accuracy: float) -> Point:
    return Point(point.trial, train_seconds, accuracy, point.recipe, point.device_class, point.attempt)


def _ratio(found: Sequence[Point], true: Sequence[Point]) -> float:
    """Give the hypervolume of one front by that of the other, from a reference point beyond both."""
    reference = reference_of([*found, *true])
    areas = [
        hypervolume([(p.train_seconds, p.accuracy) for p in front_of(points).points], reference)
        for points in (found, true)
    ]
    return areas[0] / areas[1]


def _common(found: Sequence[Point], true: Sequence[Point]) -> float:
    """Count the members of either front that the other one beats by no more than the margin."""
    fronts = front_of(found).points, front_of(true).points
    values = [{p.trial: (p.train_seconds, p.accuracy) for p in points} for points in (found, true)]
    members = {(side, p.trial) for side in (0, 1) for p in fronts[side]}
    kept = [_is_near(values[1 - side].get(trial), list(values[1 - side].values())) for side, trial in members]
    return sum(kept) / len(kept)


def _is_near(point: Objectives | None, others: Sequence[Objectives]) -> bool:
    if point is None:
        return False
    seconds, accuracy = point[0] * (1 - MARGIN[0]), point[1] + MARGIN[1]
    return not any(s <= seconds and a >= accuracy for s, a in others)


def report(store: Store, found: Sequence[Compared]) -> list[str]:
    """Write the figures as Markdown."""
    replayed, spent = store.device_seconds("mixed", "replay"), store.device_seconds("mixed")
    apart = sum(one.device_seconds for one in found)
    trials = len(store.completed("mixed"))
    lines = [
        f"# One search on two classes of device ({trials} trials, `python -m benchmarks.mixed`)",
        "",
        "| class | trained | timed | replay error, median | worst | hypervolume | own accuracy | members |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in found:
        errors = [f"{statistics.median(one.errors):.1%}", f"{max(one.errors):.1%}"] if one.errors else ["", ""]
        cells = [one.device_class, one.trained, one.replayed, *errors, f"{one.hypervolume:.2%}"]
        lines.append("| " + " | ".join(map(str, [*cells, f"{one.with_own_accuracy:.2%}", f"{one.members:.0%}"])) + " |")
    return [
        *lines,
        "",
        f"Replays took {replayed:.0f} s of {spent:.0f} s of device time ({replayed / spent:.1%}). Trainings of all",
        f"trials on each class alone take {apart:.0f} s: {apart / spent:.2f} times as much as this one search.",
    ]


if __name__ == "__main__":
    main()
