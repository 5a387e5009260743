"""A Gaussian process of few observations, to guess what a training will come to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from paretosearch.search.coding import Array, Columns

#: Priors of every length, in ranges of an axis, and of the noise's share: centre and width of their logarithms.
LENGTH_PRIOR = (np.log(1.0), 0.8)
NOISE_PRIOR = (np.log(0.02), 1.0)

#: Prior variance of the linear part for each column, in variances of the rest. Twice the epochs are twice the seconds
#: whatever else is set; a model that assumes so learns long trainings from short ones.
SLOPE = 4.0

#: Of the range of a column, where effects are nought.
MIDDLE = 0.5

#: Factors tried for each parameter in turn.
STEPS = (0.7, -0.7)


@dataclass(frozen=True)
class Shape:
    """What a Gaussian process assumes: logarithms of a length for each axis, shape (A,), and of the noise's share."""

    lengths: Array
    noise: float

    @classmethod
    def prior(cls, axes: int) -> Shape:
        return cls(np.full(axes, LENGTH_PRIOR[0]), NOISE_PRIOR[0])

    def moved(self, number: int, step: float) -> Shape:
        if number == len(self.lengths):
            return Shape(self.lengths, self.noise + step)
        lengths = self.lengths.copy()
        lengths[number] += step
        return Shape(lengths, self.noise)


class Process:
    """A Gaussian process: effects of each axis that add up, and a Matérn kernel of smoothness 5/2 for the rest.

    Source: Rasmussen & Williams 2006, Gaussian Processes for Machine Learning, equations 2.25, 2.26, 2.30 and 4.17, and
    table 4.1 for the linear kernel.

    Args:
        x: Codes of the observations, shape (N, D).
        y: What was observed, shape (N,); the process is of its deviation from the mean, in standard deviations.
        axis_of_column: The axis of each column of ``x``, shape (D,).
        shape: What to assume.
    """

    def __init__(self, x: Array, y: Array, axis_of_column: Columns, shape: Shape) -> None:
        self._x, self._columns, self.shape = x, axis_of_column, shape
        self._mean, self._scale = float(y.mean()), float(y.std()) or 1.0
        self._y = (y - self._mean) / self._scale
        self._variance = 1.0
        gram = self._kernel(x, x)
        gram[np.diag_indices_from(gram)] += np.exp(shape.noise) + 1e-8
        self._factor = np.linalg.cholesky(gram)
        self._weights = np.linalg.solve(self._factor, self._y)
        # The variance that fits best has a closed form when the noise is a share of it.
        self._variance = float(self._weights @ self._weights + 1) / (len(y) + 1)

    @property
    def evidence(self) -> float:
        """Logarithm of the marginal likelihood times the prior of the shape, but for a constant."""
        count = len(self._y)
        likelihood = -0.5 * count * np.log(self._variance) - float(np.log(np.diag(self._factor)).sum())
        lengths = (self.shape.lengths - LENGTH_PRIOR[0]) / LENGTH_PRIOR[1]
        noise = (self.shape.noise - NOISE_PRIOR[0]) / NOISE_PRIOR[1]
        return float(likelihood - 0.5 * (lengths @ lengths + noise**2))

    def predict(self, x: Array) -> tuple[Array, Array]:
        """Guess the mean and the standard deviation, noise left out, at some codes, (M, D); each has shape (M,)."""
        cross = np.linalg.solve(self._factor, self._kernel(self._x, x))
        mean = self._weights @ cross
        prior = 1 + SLOPE * ((x - MIDDLE) ** 2).sum(axis=1)
        variance = self._variance * np.maximum(prior - (cross**2).sum(axis=0), 1e-9)
        return self._mean + self._scale * mean, self._scale * np.sqrt(variance)

    def _kernel(self, left: Array, right: Array) -> Array:
        inverse = np.exp(-self.shape.lengths)[self._columns]
        a, b = left * inverse, right * inverse
        squared = (a**2).sum(1)[:, None] + (b**2).sum(1)[None] - 2 * a @ b.T
        r = np.sqrt(5 * np.maximum(squared, 0.0))
        similar: Array = (1 + r + r**2 / 3) * np.exp(-r)
        return similar + SLOPE * (left - MIDDLE) @ (right - MIDDLE).T


def fitted(x: Array, y: Array, axis_of_column: Columns, axes: int, sweeps: int = 2) -> Shape:
    """Find a shape of much evidence, by changing one parameter after another from the prior's centre.

    Args:
        x: Codes, shape (N, D).
        y: Observations, shape (N,).
        axis_of_column: The axis of each column, shape (D,).
        axes: How many axes there are.
        sweeps: How often to go through the parameters; the steps halve each time.
    """
    best = Process(x, y, axis_of_column, Shape.prior(axes))
    for sweep in range(sweeps):
        for number in range(axes + 1):
            for step in STEPS:
                while (
                    tried := Process(x, y, axis_of_column, best.shape.moved(number, step / 2**sweep))
                ).evidence > best.evidence:
                    best = tried
    return best.shape
