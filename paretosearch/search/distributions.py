"""Says the axes of a space in Optuna's words."""

from __future__ import annotations

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from paretosearch.axis import Choice, Real, SearchAxis


def distribution(axis: SearchAxis) -> BaseDistribution:
    """Say an axis in Optuna's words; values that can be listed stay readable as they are."""
    values = axis.values()
    if values is not None:
        return CategoricalDistribution(values)
    assert not isinstance(axis, Choice)
    if isinstance(axis, Real):
        return FloatDistribution(axis.low, axis.high, log=axis.log)
    return IntDistribution(axis.low, axis.high)
