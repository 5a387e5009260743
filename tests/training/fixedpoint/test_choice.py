"""Which way of computing is taken is measured once, and remembered."""

from pathlib import Path

import pytest
import torch

from paretosearch.training.fixedpoint import choice, kernel
from paretosearch.training.fixedpoint.convolution import Fast
from paretosearch.training.fixedpoint.integers import Integers
from paretosearch.training.precision import Precision

CPU = torch.device("cpu")


@pytest.mark.parametrize(("relative", "taken"), [(0.5, Integers), (0.97, Fast), (2.0, Fast)])
def test_integers_are_taken_where_they_are_faster(
    relative: float, taken: type[Fast], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel, "library", lambda: object())
    monkeypatch.setattr(choice, "relative_seconds", lambda _: relative)
    assert type(choice.back_end_for(CPU, headroom=2)) is taken
    assert type(choice.back_end_for(CPU, headroom=0)) is Fast  # no two products fit into 32 bits
    assert type(choice.back_end_for(torch.device("cuda"), headroom=2)) is Fast


def test_without_kernels_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "library", lambda: "no compiler")
    monkeypatch.setattr(choice, "relative_seconds", lambda _: pytest.fail("nothing to measure"))
    assert type(choice.back_end_for(CPU, headroom=2)) is Fast


def test_a_measurement_is_made_once_for_a_kind_of_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = iter([0.75, 0.5])
    monkeypatch.setattr(choice, "_measure", lambda _: next(found))
    measured = choice.relative_seconds.__wrapped__
    assert measured(1, tmp_path / "integers.json") == 0.75
    assert measured(1, tmp_path / "integers.json") == 0.75
    assert measured(2, tmp_path / "integers.json") == 0.5  # threads share caches, and may change what is faster
    (tmp_path / "integers.json").write_text("[]")
    monkeypatch.setattr(choice, "_measure", lambda _: 0.25)
    assert measured(1, tmp_path / "integers.json") == 0.25


def test_the_record_of_a_training_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "library", lambda: object())
    monkeypatch.setattr(kernel, "isa", lambda: "avx512-vnni")
    monkeypatch.setattr(choice, "relative_seconds", lambda _: 0.5)
    assert Precision("dfp16", CPU).pattern == "integers by avx512-vnni"
    assert Precision("dfp16", CPU, headroom=0).pattern == ""
    assert Precision("fp32", CPU).pattern == ""
