"""Studies, devices and Outcomes to fill a store with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import count
from typing import Any

from sqlalchemy import Engine

from paretosearch.device import Device
from paretosearch.outcome import EpochResult, Outcome, PhaseResult, SurgeryResult
from paretosearch.recipe import Recipe
from paretosearch.store import Store, StudyRecord
from paretosearch.store.engine import open_engine

CPU = Device("cpu", "cpu-here-0", "Some CPU", 8 << 30, "here", 0, (0, 1))
GPU = Device("cuda", "GPU-1234", "NVIDIA GeForce RTX 2080 Ti", 11 << 30, "here", 0)

_numbers = count()


@contextmanager
def connected(url: str) -> Iterator[Engine]:
    """Connect to a database for as long as the context lasts."""
    engine = open_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def study_record(name: str, **changes: Any) -> StudyRecord:
    """Make a study on `CPU`."""
    values: dict[str, Any] = {
        "name": name,
        "text": f'name = "{name}"\n',
        "space_hash": "0123456789abcdef",
        "space": {"fixed": {"epochs": 3}, "axes": {"batch_size": {"low": 32, "high": 1024}}},
        "sampler": "nsga2",
        "seed": 7,
        "device_class": CPU.device_class,
        "versions": {"torch": "2.9.0"},
        "created": datetime.now(UTC),
        "number_formats": {"fp16": {"relative": 270.5, "reason": "is 270 times slower than fp32", "slow": True}},
        "data_sets": {"mnist": {"digest": "0a1b", "images": {"train": 54_000}, "classes": ["0", "é"]}},
    }
    return StudyRecord(**{**values, **changes})


def new_study(store: Store) -> str:
    """Add a study of a name of its own, and both devices."""
    name = f"study-{next(_numbers)}"
    store.add_study(study_record(name))
    for device in (CPU, GPU):
        store.add_device(device)
    return name


def recipe(**changes: Any) -> Recipe:
    """Make a Recipe with a Method that has parameters."""
    methods = {"label_smoothing": {"alpha": 0.1}}
    return Recipe(**{"dataset": "mnist", "network": "convnet", "methods": methods, **changes})


def complete(train_seconds: float = 10.0, accuracy: float = 0.5, **changes: Any) -> Outcome:
    """Make the Outcome of an attempt that was complete."""
    return Outcome(
        "complete", **{"train_seconds": train_seconds, "wall_seconds": train_seconds, "accuracy": accuracy, **changes}
    )


def epoch(number: int) -> EpochResult:
    """Make an epoch in which every value is another."""
    seconds, accuracy, loss, scale = 1.5 * number, 0.1 * number, 2.0 / number, 2.0 ** (number % 16)
    sizes = 128, 1000 + number, 5000
    return EpochResult(number, seconds, accuracy, loss, 0.05, *sizes, 0.01, 0.001, 1, scale, 0.125)


#: A change of shape, as a Surgeon outlines it.
RESIZED = {"do": "resize", "sizes": {"stem": 48}}


def full_outcome() -> Outcome:
    """Make an Outcome in which nothing is missing and every value is another."""
    return complete(
        30.25,
        0.875,
        wall_seconds=31.5,
        test_accuracy=0.8125,
        training_flops=4_503_599_627_370_497,
        inference_flops=9_007_199_254_740_993,
        parameters=271_117,
        peak_memory_bytes=11 << 30,
        images_per_second=1234.5,
        energy_joules=6789.0,
        noisy=True,
        epochs=tuple(epoch(number) for number in (1, 2, 3)),
        surgeries=(
            SurgeryResult(1, "prune", 64, 48, 0.25),
            SurgeryResult(2, "widen", 48, 96, 0.5, {"similarity": 0.75}),
        ),
        phases=(
            PhaseResult(0, 200, 128, "eager", "", 20.5, 0.1025, 0.001),
            PhaseResult(1, 100, 64, "graph", "some method shrinks", 9.0, 0.09, 0.002, (RESIZED,), 0.125),
        ),
    )


def train(store: Store, study: str, trial: int, outcome: Outcome, device: Device = CPU) -> int:
    """Start an attempt and finish it."""
    attempt = store.start_attempt(study, trial, device, recipe(seed=trial))
    assert store.finish_attempt(attempt, outcome)
    return attempt
