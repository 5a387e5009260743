"""Muon: convolution filters move by their momentum made orthogonal."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from paretosearch.axis import Choice, Real, Value
from paretosearch.errors import RecipeError
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe
from paretosearch.run import Run

# Shapes: B matrices in a batch, O filters of a layer, K weights of a filter.

#: Coefficients of the quintic that takes singular values in (0, 1] to about 1 in few steps, as Jordan chose them.
QUINTIC = (3.4445, -4.7750, 2.0315)

#: Added to the norm of a matrix, which may be zero.
TINY = 1e-12


def orthogonalised(matrices: Tensor, steps: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Bring the singular values of matrices near 1, by steps of a quintic Newton-Schulz iteration.

    A matrix is first divided by its Frobenius norm; then each step takes a singular value s to
    ``3.4445 s - 4.7750 s**3 + 2.0315 s**5``, which does not converge and need not: five steps leave values between 0.7
    and 1.2, of those that were not tiny.

    Args:
        matrices: They (B, O, K), of any number format.
        steps: How many.
        dtype: Number format of the products.

    Returns:
        Matrices (B, O, K) of that format.
    """
    a, b, c = QUINTIC
    x = matrices.float()
    x = (x / (torch.linalg.matrix_norm(x, keepdim=True) + TINY)).to(dtype)
    is_tall = x.shape[1] > x.shape[2]
    x = x.mT if is_tall else x  # the smaller of the two Gram matrices
    for _ in range(steps):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


class MuonSGD(torch.optim.SGD):
    """SGD that moves some filters by their momentum made orthogonal.

    The gradients of the filters are replaced by what they shall move by, and SGD does the rest: it scales by the
    learning rate, decays, and makes no step where a gradient is not finite, without the host's knowing.

    Args:
        given: The SGD whose parameters it takes over, in its groups, with their state.
        momentum: Share of the momentum that stays from step to step.
        steps: Newton-Schulz steps.
        renormalise: Whether filters are kept at one size, instead of decayed.

    Attributes:
        factor: Rate of the filters as a factor on the learning rate of the groups.

    Raises:
        RecipeError: If it has no such filters.
    """

    def __init__(self, given: torch.optim.Optimizer, momentum: float, steps: int, renormalise: bool) -> None:
        groups = [part for group in given.param_groups for part in _parts(group, decays=not renormalise)]
        if not any(group["muon"] for group in groups):
            raise RecipeError(
                "muon needs convolution filters that read two channels or more, and this network has none; "
                "set muon.rate = 0"
            )
        super().__init__(groups, lr=0.0, fused=bool(given.param_groups[0]["fused"]))
        self.state.update(given.state)
        for parameter in self._filters():
            self.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self._momentum, self._steps, self._renormalise = momentum, steps, renormalise
        self.factor = 1.0

    def _filters(self) -> list[Tensor]:
        return [parameter for group in self.param_groups if group["muon"] for parameter in group["params"]]

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:
        """Make a step."""
        filters = [parameter for parameter in self._filters() if parameter.grad is not None]
        found_inf: Tensor | None = getattr(self, "found_inf", None)  # set by a GradScaler
        is_skipped = None if found_inf is None else found_inf > 0
        directions = self._directions(filters, is_skipped)
        for parameter, direction in zip(filters, directions, strict=True):
            parameter.grad.copy_(direction)  # type: ignore[union-attr]  # it has one
        if self._renormalise:
            _renormalise(filters, is_skipped)
        return super().step(closure)

    def _directions(self, filters: Sequence[Tensor], is_skipped: Tensor | None) -> list[Tensor]:
        """Take the gradients into the momentum, and give what the filters shall move by, of their shapes."""
        gradients = [parameter.grad for parameter in filters if parameter.grad is not None]
        momenta = [self.state[parameter]["momentum_buffer"] for parameter in filters]
        stays: float | Tensor = self._momentum
        if is_skipped is not None:  # no number that is not finite may get into the momentum
            gradients = [torch.where(is_skipped, 0.0, gradient) for gradient in gradients]
            stays = torch.where(is_skipped, 1.0, self._momentum)
        torch._foreach_mul_(momenta, stays)
        torch._foreach_add_(momenta, gradients)
        ahead = torch._foreach_add(gradients, momenta, alpha=self._momentum)  # Nesterov's
        return in_batches(ahead, self._direction)

    def _direction(self, filters: Tensor) -> Tensor:
        """Make filters of one shape (B, O, K) orthogonal, and larger where O is above K."""
        size = math.sqrt(max(1.0, filters.shape[1] / filters.shape[2]))
        return orthogonalised(filters, self._steps, _product_type(filters.device)) * (self.factor * size)


class Muon(Method):
    """Move each layer's convolution filters, as one matrix, by their momentum with all its singular values near 1.

    A matrix (filters, weights of a filter) moves by ``rate`` times an orthogonal one at the peak of the schedule, so
    that no direction waits for a large gradient. That is done to convolutions whose filters read two channels or more,
    the first one of colour images among them; what is left follows plain SGD at the Recipe's learning rate: biases,
    normalisation, dense layers, depthwise convolutions, the first one of grey images. In a grouped convolution the
    filters of all groups are one matrix. Matrices of one shape are multiplied together, in bf16 on a GPU that has it,
    and in fp32 elsewhere, where they take no time that would be noticed.

    As filters move as far whatever the size of their gradient is, a penalty of prunetrain has more to work against, and
    fewer channels go (of the 25 154 parameters of convnet, trained as below but for 12 epochs at ratio 0.25, 17 954 and
    20 354 were left, 15 554 and 17 954 without muon); in its subgradient form it is a part of the gradient, and changes
    in strength with it.

    Paper: Jordan et al. 2024, github.com/KellerJordan/Muon; filters and defaults are those of the code of
    airbench (KellerJordan/cifar10-airbench), whose first layer is not trained, and whose rate is 0.24.

    Args:
        rate: Peak learning rate of the filters, whatever that of the others is; 0 is off. As filters have about the
            size of an orthogonal matrix, it is the share of themselves by which they change in a step. Of convnet on
            10 000 images of Fashion-MNIST in 6 epochs of one_cycle, rate 0.2, 0.1 had 86.7 % and 0.2 had 86.3 %, where
            SGD alone had 85.6 % (means of 3 seeds, which differ by up to 1.2); of resnet8 in 4 epochs, rate 0.1, 0.1
            had 87.3 % and SGD alone 81.8 %, and without augmentation 90.0 % and 86.5 % (3 seeds each).
        momentum: Share of the momentum that stays from step to step, by Nesterov's rule.
        newton_schulz: Steps towards an orthogonal matrix.
        renormalise: Whether filters are scaled to the size of an orthogonal matrix before every step, as airbench does,
            instead of decayed; for networks in which batch norm follows every convolution, and undoes it. It made no
            difference to the accuracy of that training, and no channel of such filters ever gets to zero.

    Raises:
        RecipeError: If prunetrain is to cut filters that are renormalised.
    """

    name = "muon"
    summary = "filters move by orthogonal matrices"
    paper = "Jordan et al. 2024, github.com/KellerJordan/Muon"
    slot = Slot.OPTIMIZER
    space = {
        "rate": Real(0.0, 1.0, default=0.0),
        "momentum": Real(0.0, 0.99, default=0.6),
        "newton_schulz": Choice((3, 5), default=3),
        "renormalise": Choice((False, True), default=False),
    }
    switch = "rate"
    off = 0.0

    rate: float
    momentum: float
    newton_schulz: int
    renormalise: bool

    _optimizer: MuonSGD | None = None

    def check(self, recipe: Recipe) -> None:
        """Refuse to keep filters at one size that prunetrain is to bring to zero."""
        if self.renormalise and _prunes(recipe):
            raise RecipeError(
                "muon.renormalise keeps filters at one size, so that prunetrain would never cut one; set it to false"
            )

    def canonical(self, recipe: Recipe) -> Mapping[str, Value] | None:
        """Let filters decay where they are pruned."""
        return {**recipe.methods[self.name], **({"renormalise": False} if _prunes(recipe) else {})}

    def wrap_optimizer(self, optimizer: torch.optim.Optimizer) -> torch.optim.Optimizer:
        if self.rate == self.off:
            return optimizer
        self._optimizer = MuonSGD(optimizer, self.momentum, self.newton_schulz, self.renormalise)
        return self._optimizer

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Tell the optimizer what the learning rate that it gets is a part of; it is the same in every step."""
        if self._optimizer is not None:
            self._optimizer.factor = self.rate / run.recipe.peak_learning_rate
        return x, y


def _prunes(recipe: Recipe) -> bool:
    return bool(recipe.methods.get("prunetrain", {}).get("penalty_ratio"))


def _parts(group: dict[str, Any], decays: bool) -> list[dict[str, Any]]:
    """Split a group of SGD into filters and others, but for those that would be empty."""
    filters = [parameter for parameter in group["params"] if parameter.ndim == 4 and parameter.shape[1] > 1]
    chosen = set(filters)
    others = [parameter for parameter in group["params"] if parameter not in chosen]
    # As much decay as momentum makes of it elsewhere.
    decay = group["weight_decay"] / (1 - group["momentum"]) if decays else 0.0
    plain = {"momentum": 0.0, "nesterov": False, "weight_decay": decay}
    parts = [{**group, "params": others, "muon": False}, {**group, **plain, "params": filters, "muon": True}]
    return [part for part in parts if part["params"]]


def in_batches(tensors: Sequence[Tensor], function: Callable[[Tensor], Tensor]) -> list[Tensor]:
    """Call a function once for all tensors of a shape.

    Args:
        tensors: Filters of layers, each (O, ...).
        function: Makes (B, O, K) of (B, O, K).

    Returns:
        What became of each, in their shapes and order.
    """
    alike: dict[torch.Size, list[int]] = defaultdict(list)
    for number, tensor in enumerate(tensors):
        alike[tensor.shape].append(number)
    made: dict[int, Tensor] = {}
    for shape, numbers in alike.items():
        stacked = torch.stack([tensors[number].flatten(1) for number in numbers])
        made |= dict(zip(numbers, function(stacked).reshape(len(numbers), *shape), strict=True))
    return [made[number] for number in range(len(tensors))]


def _renormalise(filters: list[Tensor], is_skipped: Tensor | None) -> None:
    """Scale filters to the norm of an orthogonal matrix; not before a step that is skipped."""
    for parameter, norm in zip(filters, torch._foreach_norm(filters), strict=True):
        factor = math.sqrt(len(parameter)) / (norm + TINY)
        parameter.mul_(factor if is_skipped is None else torch.where(is_skipped, 1.0, factor))


def _product_type(device: torch.device) -> torch.dtype:
    if device.type != "cuda" or not torch.cuda.is_bf16_supported(including_emulation=False):
        return torch.float32
    return torch.bfloat16
