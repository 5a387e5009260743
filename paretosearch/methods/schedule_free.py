"""Schedule-free SGD: a constant learning rate, and the average of its weights in place of a schedule."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from paretosearch.average import Twin
from paretosearch.axis import Real
from paretosearch.method import Method, Slot
from paretosearch.run import Run

#: Less than any weight of a step in the average.
TINY = 1e-30


class ScheduleFreeSGD(torch.optim.Optimizer):
    """SGD on z, with the gradients of y, which is between z and the average x of all z.

    The parameters are y. Of z and x there is ``gap = z - x``, so that whoever else changes the parameters, such as by
    noise on copied channels, changes all three alike. A step of the learning rate r counts r**2 in the average, as in
    the paper's code. It counts for a weight that has no gradient there as well, whose z stays: x comes nearer to it,
    and is the mean over the same steps as that of any other weight.

    Args:
        given: The optimizer whose parameters it takes over, with their decay.
        beta: Share of x in y.

    Attributes:
        total: What the steps so far count, a scalar on the device.
    """

    def __init__(self, given: torch.optim.Optimizer, beta: float) -> None:
        groups = [{key: group[key] for key in ("params", "weight_decay")} for group in given.param_groups]
        super().__init__(groups, {"lr": 0.0, "weight_decay": 0.0})
        self._beta = beta
        self._step_supports_amp_scaling = True  # a GradScaler says in `found_inf` whether to skip
        for parameter in self._parameters():
            self._gap(parameter)
        self.total = torch.zeros((), device=self._parameters()[0].device)

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def _gap(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "gap" not in state:  # a layer that was inserted begins with all three alike
            state["gap"] = torch.zeros_like(parameter)
        gap: Tensor = state["gap"]
        return gap

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # no closures here
        """Make a step; a GradScaler that found a gradient that is not finite makes it one that changes nothing."""
        found_inf: Tensor | None = getattr(self, "found_inf", None)
        rate = self.param_groups[0]["lr"]  # a number, or a tensor where steps are recorded
        counts = rate * rate * (1.0 if found_inf is None else (found_inf == 0).float())
        self.total += counts
        share = counts / self.total.clamp(min=TINY)
        for group in self.param_groups:
            if group["params"]:
                self._move(group, rate, share, found_inf)

    def _move(self, group: Mapping[str, Any], rate: float | Tensor, share: Tensor, found_inf: Tensor | None) -> None:
        """Move z by the gradients and x towards z, then y to its place between them.

        From ``gap``, which becomes ``gap - rate * gradient``, x has ``share`` to go; y was ``(1 - beta) * gap`` from x
        and shall be ``(1 - beta) * (1 - share) * gap`` from the new one. Where nothing moves, both factors are equal.
        """
        gaps = [self._gap(parameter) for parameter in group["params"]]
        before = torch._foreach_mul(gaps, 1 - self._beta * torch.ones_like(share))
        self._descend(group, rate, found_inf)
        way = torch._foreach_mul(gaps, 1 - self._beta * (1 - share))
        torch._foreach_sub_(way, before)
        torch._foreach_add_(group["params"], way)
        torch._foreach_mul_(gaps, 1 - share)

    def _descend(self, group: Mapping[str, Any], rate: float | Tensor, found_inf: Tensor | None) -> None:
        """Move z of the weights that have a gradient."""
        trained = [parameter for parameter in group["params"] if parameter.grad is not None]
        if not trained:
            return
        gaps, gradients = [self._gap(parameter) for parameter in trained], [parameter.grad for parameter in trained]
        if group["weight_decay"]:
            torch._foreach_add_(gradients, trained, alpha=group["weight_decay"])
        plain = {"weight_decay": 0.0, "momentum": 0.0, "dampening": 0.0, "nesterov": False, "maximize": False}
        sgd(gaps, gradients, [], fused=True, found_inf=found_inf, lr=rate, **plain)  # type: ignore[arg-type]

    def average(self, model: nn.Module) -> Iterable[Tensor]:
        """Give x for the parameters of a model."""
        return (parameter.detach() - (1 - self._beta) * self._gap(parameter) for parameter in model.parameters())


class ScheduleFree(Method):
    """Train at a constant learning rate, and evaluate the average of the weights, which needs no schedule.

    Gradients are taken at ``y = (1 - beta) * z + beta * x``, plain SGD moves ``z``, and ``x`` is the average of all
    ``z``, each weighted by the square of its learning rate. Every evaluation is of ``x``, so that a training may end
    after any epoch; the running statistics of batch norm are those of ``y`` until they are estimated anew for ``x`` at
    the end (``norm_batches``). It sets the learning rate itself, whatever the schedule, and has no
    momentum beside this.

    Paper: Defazio et al. 2024, arXiv:2405.15682, algorithm 1 and section 4.

    Args:
        beta: Share of ``x`` where gradients are taken; 0 is off. The paper has 0.9.
        rate: Learning rate, as a factor on the peak of the Recipe, which is meant for momentum: without, ten times as
            much moves the weights as far as 0.9 does. Of convnet on 10 000 images of Fashion-MNIST in 6 epochs, peak
            0.2, 10 had 85.6 % (2 seeds) and 5 had 84.3 % (3 seeds), where one_cycle had 85.6 % (3 seeds), but 56 %
            after the first epoch, and schedule_free 76 %.
        warmup: Share of the training's steps in which the rate rises linearly.
    """

    name = "schedule_free"
    summary = "constant rate, average of the weights for a schedule"
    paper = "Defazio et al. 2024, arXiv:2405.15682"
    slot = Slot.OPTIMIZER
    space = {
        "beta": Real(0.0, 0.99, default=0.0),
        "rate": Real(0.1, 100.0, default=10.0, log=True),
        "warmup": Real(0.0, 0.5, default=0.05),
    }
    switch = "beta"
    off = 0.0

    beta: float
    rate: float
    warmup: float

    _optimizer: ScheduleFreeSGD | None = None

    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        if self.beta == self.off:
            return optimizer
        self._optimizer, self._twin = ScheduleFreeSGD(optimizer, self.beta), Twin()
        return self._optimizer

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Set the learning rate."""
        if self._optimizer is not None:
            risen = min(1.0, run.mid_step_progress / self.warmup) if self.warmup else 1.0
            run.learning_rate = self.rate * run.recipe.peak_learning_rate * risen
            self._twin.fall_behind()
        return x, y

    def eval_model(self, model: nn.Module) -> nn.Module:
        """Give the network with the average."""
        if self._optimizer is None:
            return model
        return self._twin.network(model, self._optimizer.average(model))

    def state_dict(self) -> dict[str, Any]:
        """Give what the steps count; the optimizer has the rest."""
        return {} if self._optimizer is None else {"total": self._optimizer.total}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take it back."""
        if self._optimizer is not None:
            self._optimizer.total.copy_(state["total"])
