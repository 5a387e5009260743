"""Impossible results never reach the sampler or the front."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from paretosearch.fleet import spool
from paretosearch.outcome import Outcome

GOOD = json.loads(Outcome("complete", train_seconds=2.0, wall_seconds=2.0, accuracy=0.5).to_json())

#: What a broken, or lying, Worker could write.
KINDS = [
    *(
        {name: value}
        for name in ("train_seconds", "accuracy")
        for value in (float("nan"), float("inf"), -1.0, "3", None)
    ),
    {"accuracy": 2.0},
    {"wall_seconds": -float("inf")},
]


@pytest.mark.faults
def test_no_impossible_value_is_accepted(tmp_path: Path, note_fault: Callable[[str, str], None]) -> None:
    accepted = 0
    for number, kind in enumerate(KINDS):
        (tmp_path / f"{number}.json").write_text(json.dumps({**GOOD, **kind}), encoding="utf-8")
        found = spool.read(tmp_path, number)
        assert found is not None
        accepted += found.status == "complete"
    note_fault("F18", f"accepted {accepted} of {len(KINDS)} kinds")
    (tmp_path / "99.json").write_text(json.dumps(GOOD), encoding="utf-8")
    good = spool.read(tmp_path, 99)
    assert (accepted, good is not None and good.status) == (0, "complete")
