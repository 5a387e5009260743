"""Spaces are narrowed to what a device can do, and compared in words."""

import json
from collections.abc import Collection
from typing import Any

import pytest

from paretosearch.axis import Choice, Int, Real, Value
from paretosearch.errors import DeviceError
from paretosearch.space import Space
from paretosearch.studyfile import differences, narrowed

SPACE = Space(
    {"dataset": "cifar10", "epochs": 12, "augmentation": "standard"},
    {"number_format": Choice(("fp32", "bf16", "fp16")), "batch_size": Int(32, 1024, log2=True)},
)


def test_a_narrowed_list_keeps_its_order_and_the_rest_of_the_space() -> None:
    space = narrowed(SPACE, "number_format", {"fp16", "fp32", "tf32"})
    assert space == Space(SPACE.fixed, {**SPACE.axes, "number_format": Choice(("fp32", "fp16"))})
    assert list(space.axes) == list(SPACE.axes)


def test_a_list_with_one_option_left_is_fixed() -> None:
    space = narrowed(SPACE, "number_format", ["fp32"])
    assert space.fixed == {**SPACE.fixed, "number_format": "fp32"}
    assert list(space.axes) == ["batch_size"]


@pytest.mark.parametrize(
    ("key", "allowed"), [("number_format", ("fp32", "bf16", "fp16")), ("augmentation", ("standard",))]
)
def test_a_space_that_fits_stays_as_it_is(key: str, allowed: Collection[Value]) -> None:
    assert narrowed(SPACE, key, allowed) is SPACE


def test_narrowing_leaves_the_given_space_alone() -> None:
    before = json.dumps(SPACE.to_plain())
    narrowed(SPACE, "number_format", ["fp32"])
    assert json.dumps(SPACE.to_plain()) == before


@pytest.mark.parametrize(
    ("key", "allowed", "message"),
    [
        ("number_format", ["tf32"], "number_format: none of fp32, bf16, fp16 is possible here (possible: tf32)"),
        ("number_format", [], "number_format: none of fp32, bf16, fp16 is possible here (possible: none)"),
        ("augmentation", ["flip"], "augmentation: none of standard is possible here (possible: flip)"),
    ],
)
def test_a_space_without_an_option_left_is_refused(key: str, allowed: list[Value], message: str) -> None:
    with pytest.raises(DeviceError) as caught:
        narrowed(SPACE, key, allowed)
    assert str(caught.value) == message


def changed(fixed: dict[str, Value] | None = None, axes: dict[str, Any] | None = None) -> dict[str, Any]:
    return Space({**SPACE.fixed, **(fixed or {})}, {**SPACE.axes, **(axes or {})}).to_plain()


def test_equal_spaces_differ_in_nothing_even_after_a_trip_through_json() -> None:
    assert differences(json.loads(json.dumps(SPACE.to_plain())), SPACE.to_plain()) == []


@pytest.mark.parametrize(
    ("new", "line"),
    [
        (changed(axes={"batch_size": Int(64, 512, log2=True)}), "batch_size: 32..1024 doubling -> 64..512 doubling"),
        (changed(axes={"batch_size": Int(32, 1024)}), "batch_size: 32..1024 doubling -> 32..1024"),
        (changed(axes={"batch_size": Choice((32, 64))}), "batch_size: 32..1024 doubling -> 32 | 64"),
        (changed(axes={"momentum": Real(0.5, 0.9)}), "momentum: absent -> 0.5..0.9"),
        (changed(axes={"momentum": Real(0.5, 0.9 + 1e-15)}), "momentum: absent -> 0.5..0.900000000000001"),
        (changed(axes={"learning_rate": Real(0.01, 1, log=True)}), "learning_rate: absent -> 0.01..1.0 logarithmic"),
        (changed(axes={"muon.renormalise": Choice((False, True))}), "muon.renormalise: absent -> false | true"),
        (changed(fixed={"muon.renormalise": True}), "muon.renormalise: absent -> true"),
        (changed(fixed={"epochs": 100_000_000}), "epochs: 12 -> 100000000"),
        (changed(axes={"number_format": Choice(("fp32", "bf16"))}), "number_format: fp32 | bf16 | fp16 -> fp32 | bf16"),
    ],
)
def test_a_difference_is_one_line_that_anybody_can_read(new: dict[str, Any], line: str) -> None:
    assert differences(SPACE.to_plain(), new) == [line]


def test_a_key_that_is_searched_now_and_was_fixed_is_one_difference() -> None:
    new = Space({"dataset": "cifar10", "augmentation": "standard"}, {**SPACE.axes, "epochs": Int(1, 5)}).to_plain()
    assert differences(SPACE.to_plain(), new) == ["epochs: 12 -> 1..5"]
    assert differences(new, SPACE.to_plain()) == ["epochs: 1..5 -> 12"]


def test_a_key_that_went_away_is_a_difference() -> None:
    new = Space({"dataset": "cifar10", "epochs": 12}, SPACE.axes).to_plain()
    assert differences(SPACE.to_plain(), new) == ["augmentation: standard -> absent"]


def test_every_change_of_the_hash_shows_as_a_difference() -> None:
    reordered = changed(axes={"number_format": Choice(("bf16", "fp32", "fp16"))})
    assert differences(SPACE.to_plain(), reordered) == ["number_format: fp32 | bf16 | fp16 -> bf16 | fp32 | fp16"]
