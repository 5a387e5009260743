"""Doctor shows what it knows while it looks for the rest."""

import io

import pytest
from rich.console import Console

from paretosearch.api import doctor
from paretosearch.api.doctor import Check, checks, row


def test_a_check_is_given_before_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.devices, "gpus", lambda: pytest.fail("nobody asked yet"))
    assert next(checks()).what == "paretosearch"


def test_rows_that_are_shown_one_by_one_stand_below_each_other() -> None:
    console = Console(file=io.StringIO(), width=60)
    for check in (Check("GPU", "note", "[none]"), Check("gpu 0 fp16-pure", "missing", "x " * 40)):
        console.print(row(check))
    assert isinstance(console.file, io.StringIO)
    first, second, *more = console.file.getvalue().splitlines()
    assert first.index("[none]") == second.index("x")
    assert all(line.startswith(" " * first.index("[none]")) for line in more)
