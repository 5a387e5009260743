"""Inconsistent SGD: more steps on a batch whose loss is out of control."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from paretosearch.axis import Int, Real, Value
from paretosearch.buffers import untouched
from paretosearch.method import Method, Slot
from paretosearch.randomness import drawing_again, random_state, set_random_state
from paretosearch.run import Run, Step
from paretosearch.surgery import Surgery

#: A learning rate that falls below this share of itself from one step to the next was dropped by its schedule. That of
#: one_cycle falls by a step's worth at a time, which is as much in the last three steps alone.
DROPPED = 0.75


class ControlChart:
    """The losses of the last batches, as a process whose limit is some deviations above its mean.

    Args:
        size: How many losses.

    Attributes:
        losses: They, the oldest first.
    """

    def __init__(self, size: int) -> None:
        self.losses: deque[float] = deque(maxlen=size)
        self._sum, self._squares = 0.0, 0.0

    @property
    def is_full(self) -> bool:
        """Whether there are as many losses as there shall be."""
        return 0 < len(self.losses) == self.losses.maxlen

    @property
    def mean(self) -> float:
        """Mean of the losses."""
        return self._sum / len(self.losses)

    @property
    def deviation(self) -> float:
        """Standard deviation of the losses, which are all there are."""
        return math.sqrt(max(0.0, self._squares / len(self.losses) - self.mean**2))

    def push(self, loss: float) -> None:
        """Note a finite loss; the oldest one leaves a full chart."""
        if self.is_full:
            self._add(self.losses[0], -1)
        self.losses.append(loss)
        self._add(loss, 1)

    def _add(self, loss: float, times: int) -> None:
        self._sum, self._squares = self._sum + times * loss, self._squares + times * loss * loss

    def limit(self, deviations: float) -> float | None:
        """Give the highest loss that is in control; None as long as the chart is not full."""
        return self.mean + deviations * self.deviation if self.is_full else None

    def state_dict(self) -> dict[str, Any]:
        """Give the losses, and their sums as rounding has made them."""
        return {
            "size": self.losses.maxlen,
            "losses": list(self.losses),
            "sum": self._sum,
            "squares": self._squares,
        }

    @classmethod
    def stored(cls, state: Mapping[str, Any]) -> ControlChart:
        """Make the chart that gave a state."""
        chart = cls(state["size"])
        chart.losses.extend(state["losses"])
        chart._sum, chart._squares = state["sum"], state["squares"]
        return chart


class ISGD(Method):
    """Make up to ``stop`` more steps on a batch whose loss is above the control limit of an epoch's batches.

    The limit is the mean of the last n losses plus ``limit`` standard deviations, n being the steps of an epoch, so the
    first epoch is plain; the loss is that of the classes alone, without what other Methods add. The further steps go
    down ``(loss - limit)**2 / 2 + epsilon / (2 n_w) * |w - w0|**2``, where ``w0`` are the ``n_w`` weights before the
    batch: plain gradient steps at the current learning rate, not through momentum, with the random numbers of the
    batch's own step, and without a trace in batch norm's running statistics. They end as soon as the loss is below the
    limit. They are no steps of the schedule, their losses do not count, and their seconds are events of the clock.

    The chart begins anew when the network, the size of batch or images, or the schedule changes: the rate falls below
    0.75 of itself from one step to the next. one_cycle lowers it a little in every step, which is no such change but in
    the last three; losses then fall during an epoch, the mean is half an epoch old, and fewer batches than chance would
    have are above the limit. Every step makes the host wait for the device once, and cannot be recorded.

    Paper: Wang et al. 2016, arXiv:1603.05544; the objective is that of the United States patent 10572800 on the method,
    which whoever trains for a business should know of. Whether the paper's limit has 3 deviations, at most 5 steps and
    the current learning rate could not be verified; no result of it could. It visits the same batches in the same order
    in every epoch, which is not done here.

    Args:
        limit: Standard deviations above the mean; 0 is off. Of normal losses 2 has one batch in 44 above it, 3 one in
            740.
        stop: Most further steps on a batch.
        epsilon: Weight of the distance from the weights before; the patent prefers 0.1.
    """

    name = "isgd"
    summary = "more steps on a batch whose loss is out of control"
    paper = "Wang et al. 2016, arXiv:1603.05544"
    slot = Slot.STEP
    space = {
        "limit": Real(0.0, 6.0, default=0.0),
        "stop": Int(1, 50, default=5),
        "epsilon": Real(0.0, 100.0, default=0.1),
    }
    switch = "limit"
    off = 0.0
    is_recordable = False

    limit: float
    stop: int
    epsilon: float

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._chart = ControlChart(0)
        self._made_for = [0, 0, 0, 0]  # parameters, batch size, steps of an epoch, edge of the images
        self._rate = 0.0  # of the last step
        self._triggered = self._steps = 0  # in this epoch

    def edit_step(self, step: Step) -> Step:
        """Look at the loss of every step."""
        if self.limit == self.off:
            return step

        def watched(run: Run, x: Tensor, y: Tensor) -> Tensor:
            self._follow(run)
            limit, random = self._chart.limit(self.limit), random_state(run.device)
            before = [] if limit is None else [p.detach().clone() for p in run.model.parameters()]
            told = step(run, x, y)
            assert run.loss is not None
            assert run.stepped is not None
            loss, stepped = torch.stack([run.loss.float(), run.stepped.float()]).tolist()
            if limit is not None and stepped and limit < loss < math.inf:
                self._triggered += 1
                with run.apart(), drawing_again(random, run.device), untouched(run.model):
                    self._steps += self._solve(run, x, y, before, limit, random)
            if stepped and math.isfinite(loss):
                self._chart.push(loss)
            return told

        return watched

    def _follow(self, run: Run) -> None:
        """Begin a new chart where losses will be other ones."""
        now = self._made_for
        if not run.epoch_step:  # what these are changes between epochs alone
            parameters = sum(p.numel() for p in run.model.parameters())
            now = [parameters, run.batch_size, run.steps_per_epoch, run.image_size]
        if now != self._made_for or run.learning_rate < DROPPED * self._rate:
            self._chart = ControlChart(run.steps_per_epoch)
        self._made_for, self._rate = now, run.learning_rate

    def _solve(
        self, run: Run, x: Tensor, y: Tensor, before: list[Tensor], limit: float, random: Sequence[Tensor]
    ) -> int:
        """Step down until the loss is in control; gives the number of steps."""
        weights: list[Tensor] = list(run.model.parameters())
        pull = run.learning_rate * self.epsilon / sum(weight.numel() for weight in weights)
        for made in range(self.stop):
            set_random_state(random, run.device)
            loss, gradients = run.gradients(x, y)
            excess = loss.item() - limit
            if not 0 < excess < math.inf or not _all_finite(gradients):
                return made
            descend(weights, gradients, before, run.learning_rate * excess, pull)
        return self.stop

    def quiet_until(self, run: Run) -> int:
        """Say that it never changes the shape: what it gives between epochs is a note."""
        return run.recipe.total_epochs

    def on_epoch_end(self, run: Run) -> Iterable[Surgery]:
        """Tell on how many batches there were more steps, and how many these were."""
        if self.limit != self.off:
            limit = self._chart.limit(self.limit)
            figures = {"triggered": self._triggered, "steps": self._steps}
            yield Surgery("isgd", (), figures if limit is None else {**figures, "limit": limit})
            self._triggered = self._steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Give the chart, and what tells that a new one must begin."""
        return {"chart": self._chart.state_dict(), "made_for": self._made_for, "rate": self._rate}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._chart = ControlChart.stored(state["chart"])
        self._made_for, self._rate = state["made_for"], state["rate"]


@torch.no_grad()
def descend(
    weights: list[Tensor],
    gradients: Sequence[Tensor | None],
    before: list[Tensor],
    step: float,
    pull: float,
) -> None:
    """Make a gradient step, and one back to where the weights were before: ``w -= step * g + pull * (w - w0)``.

    Args:
        weights: The weights, w, changed in place.
        gradients: Their gradients, g; None where there is none.
        before: The weights before, w0.
        step: Factor on the gradients.
        pull: Factor on the way from w0.
    """
    way = torch._foreach_sub(weights, before)
    torch._foreach_add_(weights, way, alpha=-pull)
    moved = [weight for weight, gradient in zip(weights, gradients, strict=True) if gradient is not None]
    torch._foreach_add_(moved, [gradient for gradient in gradients if gradient is not None], alpha=-step)


def _all_finite(gradients: Iterable[Tensor | None]) -> bool:
    norms = torch._foreach_norm([gradient for gradient in gradients if gradient is not None])
    return bool(torch.stack([norm.float() for norm in norms]).isfinite().all())
