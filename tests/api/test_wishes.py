"""A call may wish for devices by number, and what says none is one line."""

from collections.abc import Callable

import pytest

from paretosearch import launch, train
from paretosearch.api.confirming import confirm
from paretosearch.api.retiming import retime
from paretosearch.api.wishes import typed
from paretosearch.errors import UsageError
from paretosearch.recipe import Recipe


@pytest.mark.parametrize(("wish", "text"), [(2, "2"), (0, "0"), ("1x4", "1x4"), (None, None)])
def test_a_number_is_what_somebody_would_type(wish: str | int | None, text: str | None) -> None:
    assert typed("cpu", wish) == text


@pytest.mark.parametrize("wish", [2.0, True, [0, 1], "two", 0])
def test_what_says_no_devices_is_one_line_wherever_it_is_said(wish: object) -> None:
    calls: list[Callable[..., object]] = [launch, retime, lambda **wishes: train(Recipe("mnist", "convnet"), **wishes)]
    for call in calls:
        arguments = {"trial": 0} if call is retime else {}
        with pytest.raises(UsageError, match=r"cpu.*allowed: 2, "):
            call(cpu=wish, **arguments)
    assert confirm.__annotations__["cpu"] == launch.__annotations__["cpu"]
