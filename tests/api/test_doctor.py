"""Doctor shows what it knows while it looks for the rest."""

import io

import pytest
from rich.console import Console

from paretosearch.api import doctor
from paretosearch.api.doctor import Check, checks, row
from paretosearch.fleet.formats import Verdict


def test_a_check_is_given_before_the_next_one_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.devices, "gpus", lambda: pytest.fail("nobody asked yet"))
    assert next(checks()).what == "paretosearch"


@pytest.mark.parametrize("known", [False, True])
def test_a_measurement_that_may_take_a_minute_is_announced(monkeypatch: pytest.MonkeyPatch, known: bool) -> None:
    said: list[str] = []
    monkeypatch.setattr(doctor.devices, "gpus", tuple)
    monkeypatch.setattr(doctor.formats, "is_measured", lambda _: known)
    monkeypatch.setattr(doctor.formats, "verdicts", lambda _: said.append("verdicts") or {"fp32": Verdict(1.0)})
    monkeypatch.setattr(doctor, "_integer_kernels", lambda: Check("integer kernels", "note", ""))
    assert "cpu fp32" in [check.what for check in checks("sqlite:////nowhere.db", said.append)]
    before = [] if known else ["measuring the number formats of cpu (once, for up to 60 s)"]
    assert said == [*before, "verdicts"]


def test_rows_that_are_shown_one_by_one_stand_below_each_other() -> None:
    console = Console(file=io.StringIO(), width=60)
    for check in (Check("GPU", "note", "[none]"), Check("gpu 0 fp16-pure", "missing", "x " * 40)):
        console.print(row(check))
    assert isinstance(console.file, io.StringIO)
    first, second, *more = console.file.getvalue().splitlines()
    assert first.index("[none]") == second.index("x")
    assert all(line.startswith(" " * first.index("[none]")) for line in more)
