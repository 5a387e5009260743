"""A study with sensible trade-offs, in a real store."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from paretosearch.axis import Choice, Int, Real
from paretosearch.device import Device
from paretosearch.outcome import SEQUENCES, EpochResult, Outcome, SurgeryResult, failed
from paretosearch.recipe import Recipe
from paretosearch.report.export import export
from paretosearch.search import open_search
from paretosearch.space import Space
from paretosearch.store import AttemptRecord, Front, Store, StudyRecord, open_store
from paretosearch.store.engine import open_engine

STUDY = "fashion-mnist"
AXES = {
    "number_format": Choice(("fp32", "tf32", "bf16", "fp16")),
    "batch_size": Int(32, 1024, log2=True),
    "pooling": Choice(("max", "avg", "stochastic", "s3")),
    "learning_rate": Real(0.005, 0.6, log=True),
    "epochs": Int(1, 12),
    "label_smoothing.alpha": Real(0.0, 0.3),
}
SHAPE_AXES = {
    "prunetrain.penalty_ratio": Choice((0.0, 0.2)),
    "net2net.schedule": Choice(("none", "widen")),
}
TEXT = 'name = "fashion-mnist"\ndataset = "fashion-mnist"\nnetwork = "resnet8"\nseed = 7\n'
DEVICES = tuple(Device("cpu", f"cpu-box-{i}", "Ryzen 7", 2**34, "box", i, (i,)) for i in range(2))
#: Of two classes: the study's own, of one core, and one of two.
MIXED = DEVICES[0], Device("cpu", "cpu-box-2", "Ryzen 7", 2**34, "box", 1, (1, 2))

_EPOCH_SECONDS = {"fp32": 6.0, "tf32": 4.2, "bf16": 3.1, "fp16": 2.9}
_FORMAT_COST = {"fp32": 0.0, "tf32": 0.001, "bf16": 0.004, "fp16": 0.003}
_POOLING = {"max": (1.0, 0.0), "avg": (1.01, -0.004), "stochastic": (1.16, 0.006), "s3": (0.82, 0.002)}


def draw_recipe(rng: random.Random, trial: int) -> Recipe:
    alpha = rng.choice([0.0, round(rng.uniform(0.02, 0.3), 3)])
    return Recipe(
        "fashion-mnist",
        "resnet8",
        epochs=rng.randint(1, 12),
        batch_size=2 ** rng.randint(5, 10),
        learning_rate=round(0.005 * 120 ** rng.random(), 4),
        number_format=rng.choice(list(_EPOCH_SECONDS)),
        pooling=rng.choice(list(_POOLING)),
        methods={"label_smoothing": {"alpha": alpha}} if alpha else {},
        seed=trial,
    )


def train(rng: random.Random, recipe: Recipe) -> Outcome:
    """Invent an Outcome: more epochs and finer numbers cost time and buy accuracy, a bad learning rate only costs."""
    slower, better = _POOLING[recipe.pooling]
    seconds = _EPOCH_SECONDS[recipe.number_format] * (0.7 + 40 / recipe.batch_size) * slower
    misfit = 1 - math.exp(-0.35 * math.log10(recipe.peak_learning_rate / 0.12) ** 2)
    top = 0.93 + better - _FORMAT_COST[recipe.number_format] + 0.004 * bool(recipe.methods) - 0.15 * misfit
    slack = 0.22 * (recipe.batch_size / 128) ** 0.25
    epochs = tuple(
        EpochResult(
            epoch=e,
            train_seconds=e * seconds * rng.uniform(0.99, 1.01),
            accuracy=max(0.1, top - slack * math.exp(-0.55 * e) + rng.gauss(0, 0.002)),
            loss=0.2 + 2.1 * math.exp(-0.4 * e),
            learning_rate=recipe.peak_learning_rate * (1 - e / recipe.total_epochs),
            batch_size=recipe.batch_size,
            parameters=78_042,
            flops_per_image=25_000_000,
            step_seconds=seconds * recipe.batch_size / 50_000,
            step_seconds_iqr=0.001,
        )
        for e in range(1, recipe.total_epochs + 1)
    )
    last = epochs[-1]
    return Outcome(
        "complete",
        train_seconds=last.train_seconds,
        wall_seconds=last.train_seconds * rng.uniform(1, 1.07),
        accuracy=last.accuracy,
        training_flops=75_000_000 * 50_000 * recipe.total_epochs,
        inference_flops=25_000_000,
        parameters=78_042,
        noisy=rng.random() < 0.05,
        epochs=epochs,
    )


def reshape(rng: random.Random, recipe: Recipe, outcome: Outcome) -> tuple[Recipe, Outcome]:
    """Invent that every third network was pruned, every third grew, and every ninth did both."""
    pruned, grown = recipe.seed % 3 == 0, recipe.seed % 9 in (0, 1, 4, 7)
    channels, changes = 168, []
    for epoch in range(1, recipe.total_epochs):
        before = channels
        if grown and epoch == math.ceil(0.3 * recipe.total_epochs):
            channels = round(1.5 * channels)
            changes.append(SurgeryResult(epoch, "widen", before, channels, 0.05))
        elif pruned:
            channels = round(channels * rng.uniform(0.82, 1.0))
            changes.append(SurgeryResult(epoch, "prune", before, channels, 0.03, {"dead": 3.0, "weakest": 1e-5}))
    widths = {change.epoch: change.channels_after for change in changes}
    epochs, width = [], 168
    for epoch in outcome.epochs:
        epochs.append(replace(epoch, flops_per_image=round(25e6 * (width / 168) ** 2)))
        width = widths.get(epoch.epoch, width)
    methods = {
        **recipe.methods,
        **({"prunetrain": {"penalty_ratio": 0.2, "interval": 1}} if pruned else {}),
        **({"net2net": {"schedule": "widen"}} if grown else {}),
    }
    return replace(recipe, methods=methods), replace(outcome, epochs=tuple(epochs), surgeries=tuple(changes))


@dataclass
class StepClock:
    """A clock that moves when it is told to."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


def make_study(
    url: str,
    trials: int,
    seed: int = 3,
    name: str = STUDY,
    shapes: bool = False,
    poolings: Sequence[str] = (),
    devices: Sequence[Device] = DEVICES,
) -> Store:
    """Fill a store with a study, every 15th trial of which fails; of other poolings only the names are others."""
    open_store(url).close()
    clock, rng = StepClock(), random.Random(seed)
    store = Store(open_engine(url), clock)
    axes = {**AXES, **(SHAPE_AXES if shapes else {})}
    space = {"declared": Space({"dataset": "fashion-mnist", "network": "resnet8"}, axes).to_plain()}
    created = datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
    versions = {"torch": "2.14.1"}
    store.add_study(StudyRecord(name, TEXT, "0" * 16, space, "nsga2", 7, devices[0].device_class, versions, created))
    for device in devices:
        store.add_device(device)
    for trial in range(trials):
        device, recipe = devices[trial % 2], draw_recipe(rng, trial)
        outcome = train(rng, recipe) if trial % 15 != 14 else failed("diverged", f"=loss is nan in epoch {trial}")
        if shapes and outcome.status == "complete":
            recipe, outcome = reshape(rng, recipe, outcome)
        if poolings:
            recipe = replace(recipe, pooling=poolings[trial % len(poolings)], number_format="fp32")
        attempt = store.start_attempt(name, trial, device, recipe)
        clock.now += outcome.wall_seconds or 1.0
        store.finish_attempt(attempt, outcome)
        if outcome.status == "complete":
            store.record_front(name, trial, device.device_class)
    return store


def replay_all(store: Store, name: str = STUDY, speed_up: float = 0.6) -> None:
    """Time every training of a study of `MIXED` again on the other device, in half a second of it each."""
    clock = store._clock
    assert isinstance(clock, StepClock)
    for device, other in (MIXED, MIXED[::-1]):
        for point in store.completed(name, device.device_class):
            trained = store.attempts(name, point.trial)[0]
            if trained.device != device.uuid:
                continue
            # Large batches gain most by a second core, and so the order of trials is another.
            gain = speed_up + 0.4 * math.exp(-point.recipe.batch_size / 200)
            outcome = elsewhere(store, trained, gain if device is MIXED[0] else 1 / gain)
            attempt = store.start_attempt(name, point.trial, other, point.recipe, "replay")
            clock.now += 0.5
            store.finish_attempt(attempt, outcome)
            store.record_front(name, point.trial, other.device_class)


def elsewhere(store: Store, trained: AttemptRecord, ratio: float) -> Outcome:
    """Give the Outcome of a training as a replay does, whose seconds are so many times those of the training."""
    kept = [field.name for field in fields(Outcome) if field.name not in SEQUENCES and field.name not in ("status",)]
    values = {name: getattr(trained, name) for name in kept}
    times = {name: ratio * values[name] for name in ("train_seconds", "wall_seconds")}
    epochs = tuple(replace(epoch, train_seconds=ratio * epoch.train_seconds) for epoch in store.epochs(trained.id))
    surgeries = store.surgeries(trained.id)
    return Outcome("complete", **{**values, **times}, epochs=epochs, surgeries=surgeries)


def search_too(store: Store) -> None:
    """Give Optuna the trials of a study as well, as a launch does."""
    space = Space({"dataset": "fashion-mnist", "network": "resnet8"}, AXES)
    points = {point.trial: (point.train_seconds, point.accuracy) for point in store.completed(STUDY)}
    with closing(open_search(store.url, STUDY, space, "random", 4, 0)) as search:
        for attempt in store.attempts(STUDY):
            search.tell(search.ask().trial, points.get(attempt.trial))


@pytest.fixture(scope="session")
def searched(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Make a database with a study of twenty trials, in our tables and in Optuna's; gives its URL."""
    url = f"sqlite:///{tmp_path_factory.mktemp('searched')}/study.db"
    with closing(make_study(url, 20)) as store:
        search_too(store)
    return url


def confirm(store: Store, name: str = STUDY, repeats: int = 2) -> None:
    """Repeat every member of a front, with a little chance and a look at the test split."""
    rng, device = random.Random(1), DEVICES[0]
    for point in store.front(name).points:
        for seed in range(1, repeats + 1):
            attempt = store.start_attempt(name, point.trial, device, replace(point.recipe, seed=1000 + seed), "confirm")
            seconds, accuracy = (
                point.train_seconds * rng.uniform(0.97, 1.03),
                point.accuracy - 0.003 + rng.gauss(0, 0.003),
            )
            measured = {"train_seconds": seconds, "wall_seconds": seconds, "accuracy": accuracy}
            store.finish_attempt(attempt, Outcome("complete", **measured, test_accuracy=accuracy - 0.004))


@pytest.fixture(scope="session")
def shaped(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A study whose networks changed their shape, and whose front was repeated."""
    store = make_study(f"sqlite:///{tmp_path_factory.mktemp('shaped')}/study.db", 60, shapes=True)
    confirm(store)
    return store


#: Names of poolings and of a study that every format must show as they are, and none may obey.
HOSTILE = ("$\\frac$", "a_b,c%", "\\input{/etc/passwd}", '漢 "q" #{}~^&|')
HOSTILE_STUDY = 'a_$tudy & 100% #1 {x} \\input{/etc/passwd} ~^ <b>é</b> `x` "q"'


@pytest.fixture(scope="session")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A study that was trained on one core and on two, whose trainings were each timed again on the other."""
    store = make_study(f"sqlite:///{tmp_path_factory.mktemp('mixed')}/study.db", 60, shapes=True, devices=MIXED)
    replay_all(store)
    return store


@pytest.fixture(scope="session")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The same of hostile names."""
    url = f"sqlite:///{tmp_path_factory.mktemp('hostile')}/study.db"
    store = make_study(url, 30, name=HOSTILE_STUDY, shapes=True, poolings=HOSTILE)
    confirm(store, HOSTILE_STUDY)
    return store


@pytest.fixture(scope="session")
def hostile_study() -> str:
    return HOSTILE_STUDY


@pytest.fixture(scope="session")
def study() -> str:
    return STUDY


@pytest.fixture(scope="session")
def axes() -> tuple[str, ...]:
    return tuple(AXES)


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_study(f"sqlite:///{tmp_path_factory.mktemp('store')}/study.db", 60)


@pytest.fixture(scope="session")
def front(store: Store) -> Front:
    return store.front(STUDY)


@pytest.fixture(scope="session")
def exported(store: Store, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("export")
    return {path.name: path for path in export(store, STUDY, folder / "new" / "folder")}


@pytest.fixture
def new_store(tmp_path: Path) -> Callable[[int], Store]:
    """Make a study of so many trials in a database of its own."""
    return lambda trials: make_study(f"sqlite:///{tmp_path}/new.db", trials)


@pytest.fixture
def made() -> Callable[[str, int], Store]:
    """Make a study of so many trials in a database, in our tables and in Optuna's."""

    def made(url: str, trials: int) -> Store:
        store = make_study(url, trials)
        search_too(store)
        return store

    return made


@pytest.fixture
def retrained() -> Callable[[Store, int], None]:
    """Repeat a trial of a study twice, with other seeds and a look at the test split."""

    def retrained(store: Store, trial: int) -> None:
        recipe = store.attempts(STUDY, trial)[0].recipe
        for seed in (901, 902):
            again = replace(recipe, seed=seed)
            outcome = replace(train(random.Random(seed), again), test_accuracy=0.8)
            attempt = store.start_attempt(STUDY, trial, DEVICES[0], again, "confirm")
            store._clock.now += outcome.wall_seconds
            store.finish_attempt(attempt, outcome)

    return retrained


@pytest.fixture
def again() -> Callable[[Store, int, int], None]:
    """Train the Recipe of a trial with another seed, as another trial."""

    def again(store: Store, trial: int, number: int) -> None:
        recipe = replace(store.attempts(STUDY, trial)[0].recipe, seed=900 + number)
        attempt = store.start_attempt(STUDY, number, DEVICES[0], recipe)
        store.finish_attempt(attempt, train(random.Random(number), recipe))
        store.record_front(STUDY, number, DEVICES[0].device_class)

    return again
