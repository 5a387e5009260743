"""A table of every Recipe of a finite space, each trained for real, from which the true front is known.

.venv/bin/paretosearch launch benchmarks/search/convnet.toml --cpu 2 --storage sqlite:///tables.db
.venv/bin/python -m benchmarks.search.table convnet sqlite:///tables.db      # writes benchmarks/search/convnet.json.gz
"""

from __future__ import annotations

import argparse
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from paretosearch.search import grid
from paretosearch.space import Genome, Space
from paretosearch.store import Store, open_store
from paretosearch.store.front import REFERENCE_FACTOR, hypervolume
from paretosearch.studyfile import load

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Training:
    """One training of a Recipe.

    Args:
        device_seconds: How long it kept its device.
        curve: Training seconds and accuracy after each epoch; the last is the result.
    """

    device_seconds: float
    curve: tuple[tuple[float, float], ...]

    @property
    def seconds(self) -> float:
        return self.curve[-1][0]

    @property
    def accuracy(self) -> float:
        return self.curve[-1][1]


@dataclass(frozen=True)
class Table:
    """Every Recipe of a space with its trainings, by digest."""

    name: str
    space: Space
    trainings: Mapping[str, Sequence[Training]]
    about: Mapping[str, Any]

    def digest(self, genome: Genome) -> str:
        return self.space.recipe(genome).digest

    @cached_property
    def truth(self) -> dict[str, tuple[float, float]]:
        """Mean seconds and accuracy of each Recipe."""
        return {
            digest: (sum(t.seconds for t in found) / len(found), sum(t.accuracy for t in found) / len(found))
            for digest, found in self.trainings.items()
        }

    @cached_property
    def whole_seconds(self) -> float:
        """What it takes to train every Recipe once."""
        return sum(sum(t.device_seconds for t in found) / len(found) for found in self.trainings.values())

    @cached_property
    def references(self) -> dict[str, tuple[float, float]]:
        """Reference points: the program's own, and one close to the front, in whose box the far end counts as well."""
        slowest = max(seconds for seconds, _ in self.truth.values())
        front = true_front(list(self.truth.values()))
        return {
            "program": (REFERENCE_FACTOR * slowest, 0.0),
            "front": (REFERENCE_FACTOR * front[-1][0], front[0][1] - 0.1 * (front[-1][1] - front[0][1])),
        }

    def share(self, digests: set[str], reference: str) -> float:
        """Give the hypervolume of some Recipes' true values, in shares of the true front's."""
        point = self.references[reference]
        of_all = hypervolume(list(self.truth.values()), point)
        return hypervolume([self.truth[digest] for digest in digests], point) / of_all if digests else 0.0


def true_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Give the non-dominated points, by seconds."""
    front: list[tuple[float, float]] = []
    for seconds, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((seconds, accuracy))
    return front


def space_of(name: str) -> Space:
    """Give the space of a table: that of its study, but for the seed."""
    space = load(str(FOLDER / f"{name}.toml")).space
    axes = {key: axis for key, axis in space.axes.items() if key != "seed"}
    return replace(space, axes=axes, fixed={**space.fixed, "seed": 1})


def read(name: str) -> Table:
    """Read a table from this folder."""
    with gzip.open(FOLDER / f"{name}.json.gz", "rt", encoding="utf-8") as file:
        plain = json.load(file)
    trainings = {
        digest: tuple(Training(t["device_seconds"], tuple(map(tuple, t["curve"]))) for t in found)
        for digest, found in plain["trainings"].items()
    }
    return Table(name, space_of(name), trainings, plain["about"])


def recorded(name: str, store: Store) -> dict[str, Any]:
    """Take a table from the store of its study, which must have trained every Recipe."""
    study = f"table-{name}"
    space = space_of(name)
    wanted: dict[str, list[dict[str, Any]]] = {space.recipe(genome).digest: [] for genome in grid(space)}
    for attempt in store.attempts(study):
        if attempt.outcome == "complete" and attempt.purpose == "search":
            epochs = store.epochs(attempt.id)
            curve = [(round(e.train_seconds, 4), round(e.accuracy, 5)) for e in epochs]
            assert attempt.train_seconds is not None
            assert attempt.accuracy is not None
            curve[-1] = (round(attempt.train_seconds, 4), round(attempt.accuracy, 5))
            wanted[attempt.digest].append({"device_seconds": round(attempt.device_seconds or 0.0, 3), "curve": curve})
    missing = sum(not found for found in wanted.values())
    if missing:
        raise SystemExit(f"{missing} of {len(wanted)} recipes have no training in {study}")
    seeds = min(len(found) for found in wanted.values())
    record = store.study(study)
    assert record is not None
    about = {"device": record.device_class, "versions": dict(record.versions), "recipes": len(wanted)}
    about["seeds"] = seeds
    return {"about": about, "trainings": {digest: found[:seeds] for digest, found in wanted.items()}}


def main() -> None:
    """Write a table from a store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", help="of a study file in this folder")
    parser.add_argument("storage", help="where the study is")
    asked = parser.parse_args()
    text = json.dumps(recorded(asked.name, open_store(asked.storage, create=False)), sort_keys=True)
    (FOLDER / f"{asked.name}.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))


if __name__ == "__main__":
    main()
