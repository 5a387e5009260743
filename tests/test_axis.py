"""Ranges hold what they say, and refuse to be made wrong."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretosearch.axis import Choice, Int, Real
from paretosearch.errors import StudyFileError


@pytest.mark.parametrize("value", [0.5, 2, 1, 2.0])
def test_a_real_range_holds_its_ends_and_whole_numbers_between_them(value: float) -> None:
    assert Real(0.5, 2).contains(value)


@pytest.mark.parametrize("value", [0.49, 2.01, math.nan, math.inf, -math.inf, True, "1", None, 10**400])
def test_a_real_range_holds_nothing_else(value: object) -> None:
    assert not Real(0.5, 2).contains(value)


def test_a_whole_range_holds_no_real_number_and_no_truth_value() -> None:
    axis = Int(0, 4)
    assert [v for v in (0, 4, -1, 5, 1.0, True, False, "1", None, 10**400) if axis.contains(v)] == [0, 4]


@given(st.integers(1, 5000), st.integers(0, 20))
def test_a_doubling_range_holds_exactly_the_doublings(low: int, doublings: int) -> None:
    axis = Int(low, low * 2**doublings, log2=True)
    expected = [low]
    while expected[-1] < axis.high:
        expected.append(2 * expected[-1])
    assert axis.values() == tuple(expected)
    assert axis.count == len(expected)
    assert all(axis.contains(v) for v in expected)
    assert not axis.contains(3 * low)


def test_a_listed_value_is_told_from_its_equals_of_another_type() -> None:
    axis = Choice((1, "1", 0.5))
    assert [v for v in (1, "1", 0.5, 1.0, True, "0.5") if axis.contains(v)] == [1, "1", 0.5]
    assert Choice((True,)).contains(True)
    assert not Choice((True,)).contains(1)


@pytest.mark.parametrize(
    ("axis", "count"),
    [(Real(0, 1), None), (Real(1, 1), 1), (Int(3, 5), 3), (Int(32, 1024, log2=True), 6), (Choice(("a", "b")), 2)],
)
def test_a_range_knows_how_many_values_it_has(axis: Real | Int | Choice, count: int | None) -> None:
    assert axis.count == count


def test_only_lists_and_doublings_name_their_values() -> None:
    assert Choice(("a", "b")).values() == ("a", "b")
    assert Int(1, 3).values() is None
    assert Real(0, 1).values() is None  # type: ignore[func-returns-value]  # that it gives nothing is the point


def test_a_real_range_is_one_value_whichever_way_its_ends_are_written() -> None:
    assert repr(Real(0, 1)) == repr(Real(0.0, 1.0))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Real(0.3, 0.1), "low = 0.3 is above high = 0.1; exchange them"),
        (lambda: Int(1024, 32), "low = 1024 is above high = 32; exchange them"),
        (lambda: Real(0, 1, log=True), "log needs a low above 0, not 0"),
        (lambda: Int(0, 8, log2=True), "log2 needs a low of at least 1, not 0"),
        (lambda: Int(32, 1000, log2=True), "high = 1000 is not low = 32 doubled some times; write 512 or 1024"),
        (lambda: Choice(()), "a list of values needs at least one"),
        (lambda: Choice(("fp32", "fp32")), "'fp32' stands twice in the list"),
        (lambda: Choice((1, 1.0)), "1.0 stands twice in the list"),
        (lambda: Choice((True, True)), "true stands twice in the list"),
    ],
)
def test_a_range_that_cannot_be_meant_is_refused_with_the_reason(make: object, message: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        make()  # type: ignore[operator]  # a table of constructors
    assert str(caught.value) == message


def test_a_default_lies_in_its_own_range() -> None:
    with pytest.raises(AssertionError):
        Real(0, 1, default=2.0)
    with pytest.raises(AssertionError):
        Int(1, 8, default=3, log2=True)
    with pytest.raises(AssertionError):
        Choice(("a",), default="b")


@pytest.mark.parametrize(
    ("axis", "text"),
    [
        (Real(0, 0.3), "a number from 0 to 0.3"),
        (Int(1, 10), "a whole number from 1 to 10"),
        (Int(32, 128, log2=True), "a whole number from 32 to 128, doubling"),
        (Choice(("fp32", "bf16")), "one of fp32, bf16"),
        (Choice((False, True)), "one of false, true"),
    ],
)
def test_a_range_reads_as_the_end_of_is_not(axis: object, text: str) -> None:
    assert str(axis) == text
