"""Guesses which of many children will add most to the front."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from paretosearch.search.coding import Array
from paretosearch.search.history import History, Result
from paretosearch.search.model import Process, Shape, fitted

#: Fewer results than this teach nothing.
LEAST_RESULTS = 6

#: Draws of both objectives with which the gain of a child is estimated.
DRAWS = 32

#: Scales of seconds on which a gain counts. A front has trainings of all lengths, and to be a second faster is worth
#: more at 2 than at 20; yet its area, by which fronts are compared, is nearly all at its long end.
SCALES: tuple[Callable[..., Any], ...] = (np.log, np.asarray)


@dataclass
class Model:
    """Two Gaussian processes: of the logarithm of seconds and of the logarithm of error.

    Both are near to sums over the axes: twice the epochs are twice the seconds, and half the error is half of it.
    """

    seconds: Process
    errors: Process

    def draws(self, codes: Array, rng: Generator) -> tuple[Array, Array]:
        """Draw seconds and accuracy of some codes, (M, D); each has shape (M, S)."""
        t, t_spread = self.seconds.predict(codes)
        e, e_spread = self.errors.predict(codes)
        z = rng.standard_normal((2, DRAWS))
        return np.exp(t[:, None] + t_spread[:, None] * z[0]), 1 - np.exp(e[:, None] + e_spread[:, None] * z[1])


class Picker:
    """Keeps what the model assumes between two questions, since to find that anew costs more than to ask."""

    def __init__(self) -> None:
        self._fitted_at = 0
        self._libraries = ThreadpoolController()
        self._shapes: tuple[Shape, Shape] | None = None

    def order(self, codes: Array, history: History, rng: Generator) -> NDArray[np.intp]:
        """Put children in order, the most promising first.

        Args:
            codes: What may be trained next, shape (M, D).
            history: What has been trained.
            rng: Where chance comes from.

        Returns:
            Their places in ``codes``, shape (M,).
        """
        if len(history.results) < LEAST_RESULTS:
            return np.arange(len(codes))
        with self._libraries.limit(limits=1):  # the other cores are measured, and small matrices gain nothing by them
            return np.argsort(-self._gains(codes, history, rng), kind="stable")

    def _gains(self, codes: Array, history: History, rng: Generator) -> Array:
        best = history.best()
        model = self._model(best, history)
        front = _front(np.array([(math.exp(r.log_seconds), r.accuracy) for r in best]))
        running = list(history.running.values())
        if running:
            t, a = model.draws(np.array([known.code for known in running]), rng)
            front = _front(np.vstack([front, np.column_stack([np.median(t, 1), np.median(a, 1)])]))
        # To divide the gain by the seconds that it costs was tried: no better on the table of benchmarks/search.
        seconds, accuracy = model.draws(codes, rng)
        # What takes longer than anything yet may be what the front lacks.
        slowest = max(float(np.median(seconds, 1).max()), math.exp(max(r.log_seconds for r in best)))
        gains = [expected_gain(seconds, accuracy, front, slowest, scale) for scale in SCALES]
        total: Array = np.sum(gains, axis=0)
        return total

    def _model(self, best: Sequence[Result], history: History) -> Model:
        columns, axes = history.coding.axis_of_column, history.coding.axes
        due = refit_at(len(history.results))
        if self._shapes is None or due != self._fitted_at:
            x, t, e = _observed(history.best(among=due))
            self._shapes, self._fitted_at = (fitted(x, t, columns, axes), fitted(x, e, columns, axes)), due
        x, t, e = _observed(best)
        return Model(Process(x, t, columns, self._shapes[0]), Process(x, e, columns, self._shapes[1]))


def _observed(results: Sequence[Result]) -> tuple[Array, Array, Array]:
    """Give codes, logarithms of seconds and of error, each with a row a result."""
    x = np.array([result.known.code for result in results])
    t = np.array([result.log_seconds for result in results])
    e = np.log([max(1 - result.accuracy, 1e-4) for result in results])
    return x, t, e


def refit_at(count: int) -> int:
    """Say how many of the first results the shapes of the model are from: the same for everybody with that history."""
    due = LEAST_RESULTS
    while (later := max(due + 2, round(due * 1.2))) <= count:
        due = later
    return due


def expected_gain(seconds: Array, accuracy: Array, front: Array, slowest: float, scale: Callable[..., Any]) -> Array:
    """Average what draws add to the hypervolume of a front.

    Args:
        seconds: Draws, shape (M, S).
        accuracy: Draws, shape (M, S).
        front: Seconds and accuracy of its members by seconds, shape (F, 2).
        slowest: Seconds beyond which nothing adds, but for a tenth.
        scale: Of seconds: the identity, or the logarithm.

    Returns:
        The gains, shape (M,), in shares of the box around the front.
    """
    t0, a0 = scale(front[0, 0]), front[0, 1]
    wide = max(scale(1.1 * slowest) - t0, 1e-6)
    high = max(front[-1, 1] - a0, 1e-3)
    t, a = (scale(seconds) - t0) / wide, (accuracy - a0) / high
    # Between two members in time the front is as high as the earlier one; before the first it has nothing.
    begins = np.concatenate([[-1.0], (scale(front[:, 0]) - t0) / wide])
    ends = np.append(begins[1:], 1.0)
    levels = np.concatenate([[-0.1], (front[:, 1] - a0) / high])
    width = np.clip(ends - np.maximum(begins, t[..., None]), 0, None)
    height = np.clip(a[..., None] - levels, 0, None)
    gains: Array = (width * height).sum(axis=-1).mean(axis=-1)
    return gains


def _front(points: Array) -> Array:
    order = np.lexsort((-points[:, 1], points[:, 0]))
    best = np.maximum.accumulate(points[order, 1])
    keep = np.append(True, best[1:] > best[:-1])
    front: Array = points[order][keep]
    return front
