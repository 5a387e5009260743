"""Dynamic mini-batch: larger batches when pruning has made room for them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from paretosearch.axis import Int, Value
from paretosearch.errors import RecipeError
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe
from paretosearch.run import Run, StepCost
from paretosearch.surgery import Surgery

#: A larger batch must train so many times as many images a second: each of its steps is worth less.
WORTH_IT = 1.05

#: Batches that memory decides about are multiples of this, as methods-structure, section 1.4, has it.
QUANTUM = 32

#: Methods that change the shape of the network.
SHAPING = {"early_bird", "net2net", "prunetrain"}

#: Trying another size takes as long as some twenty steps, so with fewer than this to come it cannot pay.
LEAST_STEPS = 400

#: Share of a device's memory that a step may take.
FILL = 0.9


class DynamicBatch(Method):
    """Enlarge the batch after a change of shape, at most twofold, if measured steps say that this saves time.

    With few steps to come it is not tried, since that takes as long as twenty; on a GPU it is, as a network that has
    grown may not fit.

    On a GPU the batch must fit the memory, by a line through the peaks of two batch sizes; where the network has grown
    it becomes smaller if it must. The learning rate follows the batch over one epoch, by the Recipe's rule: in
    proportion, by the square root, or not at all. Larger batches make fewer updates in the epochs that are left, of
    which there are as many as before, with ``epochs_rule = "updates"`` as well; after Hoffer et al. 2017,
    arXiv:1705.08741, one must expect that this costs accuracy. {grow, keep} x {linear, sqrt} is the experiment that
    tells: see studies/batch_size.toml.

    Paper: Lym et al. 2019, arXiv:1901.09290, which enlarges as far as the memory goes. Whether that saves
    time is measured here because on most devices memory is not what limits small images.

    Args:
        largest: Largest batch size; 0 keeps the Recipe's.
    """

    name = "dynamic_batch"
    summary = "larger batches when pruning has made room for them"
    paper = "Lym et al. 2019, arXiv:1901.09290"
    slot = Slot.BATCH
    space = {"largest": Int(0, 65_536, default=0)}
    switch = "largest"
    off = 0

    largest: int

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._parameters = 0  # of the network that the batch size was chosen for
        self._before = 0.0  # batch size before the last change
        self._since = 0  # epochs done at the last change
        self._followed: list[Method] = []

    def beside(self, others: Sequence[Method]) -> None:
        """Learn what to follow; not layers on trial, with which a batch would have to become smaller again."""
        self._followed = [other for other in others if other.reshapes]

    def check(self, recipe: Recipe) -> None:
        """Refuse a limit that is no larger than the batch, and a network that keeps its shape."""
        if self.largest <= recipe.batch_size:
            raise RecipeError(
                f"dynamic_batch.largest = {self.largest} is no larger than batch_size = {recipe.batch_size}, so the "
                f"batch could never grow; raise it, or set it to 0"
            )
        if not SHAPING & recipe.methods.keys():
            raise RecipeError(
                f"dynamic_batch.largest = {self.largest} acts when the network changes its shape; turn one of "
                f"{', '.join(sorted(SHAPING))} on, or set it to 0"
            )

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Choose the batch size again if the network has another shape than at the last epoch."""
        parameters = sum(parameter.numel() for parameter in run.model.parameters())
        pays = _steps_left(run) >= LEAST_STEPS or run.device.type == "cuda"
        if self._parameters not in (0, parameters) and pays and not self._is_over(run):
            yield from self._choose(run)
        self._parameters = parameters

    def _is_over(self, run: Run) -> bool:
        settled = (other.settled_at(run.recipe) for other in self._followed)
        return run.epoch >= max(settled, default=run.recipe.total_epochs)

    def quiet_until(self, run: Run) -> int:
        """Say that it acts when another Method does, and on its own account never."""
        return run.recipe.total_epochs

    def _choose(self, run: Run) -> Iterator[Surgery]:
        old, now = run.batch_size, run.step_cost(run.batch_size)
        if now.seconds == math.inf:
            self._take(run, _shrunk(run))
            yield Surgery("batch", (), {"tried": old, "batch_size": run.batch_size})
            return
        tried = min(2 * old, self.largest, run.steps_per_epoch * old)
        if tried <= old:
            return
        then = run.step_cost(tried)
        size = fitting((old, now), (tried, then))
        speedup = size / old * now.seconds / (then if size == tried else run.step_cost(size)).seconds
        if size < old or speedup >= WORTH_IT:
            self._take(run, size)
        yield Surgery("batch", (), {"tried": size, "speedup": speedup, "batch_size": run.batch_size})

    def _take(self, run: Run, size: int) -> None:
        self._before, self._since, run.batch_size = float(run.batch_size), run.epoch, size

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Scale the learning rate as the rule has it for the batch, which is thought to grow over one epoch."""
        if self._before:
            done = min(1.0, run.epoch - self._since + run.epoch_step / run.steps_per_epoch)
            size = self._before + done * (run.batch_size - self._before)
            run.learning_rate *= run.recipe.learning_rate_at(size) / run.recipe.peak_learning_rate
        return x, y

    def state_dict(self) -> dict[str, Any]:
        """Give what the learning rate follows; the batch size itself is the Run's."""
        return {"parameters": self._parameters, "before": self._before, "since": self._since}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        self._parameters, self._before, self._since = state["parameters"], state["before"], state["since"]


def _steps_left(run: Run) -> int:
    return run.steps_per_epoch * (run.recipe.total_epochs - run.epoch)


def _shrunk(run: Run) -> int:
    """Halve a batch that does not fit until it does; one image must."""
    size = run.batch_size
    while size > 1 and run.step_cost(size).seconds == math.inf:
        size //= 2
    return size


def fitting(small: tuple[int, StepCost], large: tuple[int, StepCost]) -> int:
    """Give the largest batch size that fits, by a line through two measured ones (methods-structure, section 1.4).

    Args:
        small: A batch size that fits, and what its steps cost.
        large: A larger one.

    Returns:
        At most ``large``, at least `QUANTUM` or the small one if that is less; ``large`` where memory has no limit.
    """
    (least, cheap), (most, dear) = small, large
    slope = (dear.peak_bytes - cheap.peak_bytes) / (most - least)
    if cheap.memory_bytes is None or (slope <= 0 and dear.seconds < math.inf):
        return most
    if slope <= 0:
        return least
    room = (FILL * cheap.memory_bytes - (cheap.peak_bytes - slope * least)) / slope
    return most if room >= most else max(min(QUANTUM, least), int(room // QUANTUM) * QUANTUM)
