"""What a launch asks for depends on the classes of device that a study has had."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from paretosearch.api.launching import _stops
from paretosearch.fleet.classes import Classes
from paretosearch.store import open_store
from paretosearch.testing.store.builders import CPU, GPU, complete, new_study, train


@pytest.mark.parametrize(
    ("earlier", "now", "stops"), [([CPU], [CPU], True), ([CPU, GPU], [CPU], False), ([], [CPU, GPU], False)]
)
def test_a_study_of_several_classes_ends_no_training_early_whatever_this_launch_has(
    tmp_path: Path, earlier: list[Any], now: list[Any], stops: bool
) -> None:
    store = open_store(f"sqlite:///{tmp_path}/study.db")
    name = new_study(store)
    for trial, device in enumerate(earlier):
        train(store, name, trial, complete(), device)
    file: Any = SimpleNamespace(name=name, seed=0, search=SimpleNamespace(stops=True))
    assert (_stops(file, store, Classes(CPU.device_class, now)) is not None) == stops
