"""Which layers could stand in the place of convolutions, by measured seconds and the damage that they do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from paretosearch.replacement import alone, damage, empty, fitted, forms

#: Share of a layer's time that another one must save to be worth its damage.
LEAST_GAIN = 0.2

#: Added to the damage, so that a layer that does none is not worth endlessly much.
LEAST_DAMAGE = 0.01

#: Keeps the draws of patches apart from those of a training with the same seed.
_STREAM = 0x524C_5200

#: Seconds of forward and backward of a layer with an input.
Cost = Callable[[nn.Module, Tensor], float]


@dataclass(frozen=True)
class Candidate:
    """A layer that could stand in the place of a convolution.

    Args:
        layer: Qualified name of the convolution.
        form: What stands there then, as `replacement.empty` reads it.
        stage: Size (H, W) of the maps that it writes.
        saved: Seconds of a step that this saves, above 0.
        damage: Difference between its answers and the convolution's, relative to these.
    """

    layer: str
    form: str
    stage: tuple[int, ...]
    saved: float
    damage: float

    @property
    def score(self) -> float:
        """Seconds saved for the damage done."""
        return self.saved / (self.damage + LEAST_DAMAGE)


def is_worth_it(before: float, after: float) -> bool:
    """Whether a layer that takes ``after`` seconds is faster enough than one that takes ``before``."""
    return after <= (1 - LEAST_GAIN) * before


def chosen(candidates: Iterable[Candidate], goal: float) -> list[Candidate]:
    """Choose greedily by score, at most one for each stage, until together they save enough.

    Args:
        candidates: What there is to choose from.
        goal: Seconds of a step to be saved; the last one that is chosen may save more.
    """
    taken: list[Candidate] = []
    for candidate in sorted(candidates, key=lambda candidate: -candidate.score):
        if sum(other.saved for other in taken) >= goal:
            break
        if all(candidate.stage != other.stage for other in taken):
            taken.append(candidate)
    return taken


def candidates(
    convolutions: Mapping[str, nn.Conv2d], inputs: Mapping[str, Tensor], batch_size: int, cost: Cost, seed: int
) -> list[Candidate]:
    """Measure all layers that could stand in the place of convolutions, and keep those that are worth it.

    Args:
        convolutions: The convolutions by name.
        inputs: What each gets (N, C, H, W) for some images; with or without a gradient, as in training.
        batch_size: Images of a step.
        cost: Measures a layer; convolutions of one shape are measured once.
        seed: Of the choice of patches.
    """
    known: dict[tuple[object, ...], float] = {}
    found = []
    for name, x in inputs.items():
        conv = convolutions[name]
        batch = _repeated(x, batch_size)

        def seconds(form: str, conv: nn.Conv2d = conv, batch: Tensor = batch) -> float:
            alike = conv.weight.shape, conv.stride, conv.padding, conv.bias is None
            key = (form, *alike, batch.shape, batch.requires_grad)
            if key not in known:
                known[key] = cost(empty(conv, form) if form else alone(conv), batch)
            return known[key]

        for form in forms(conv):
            saved = seconds("") - seconds(form)
            if is_worth_it(seconds(""), seconds(form)) and saved > 0:
                wrong = damage(conv, fitted_to(conv, form, x, seed), x)
                found.append(Candidate(name, form, _stage(conv, x), saved, wrong))
    return found


def fitted_to(conv: nn.Conv2d, form: str, x: Tensor, seed: int) -> nn.Module:
    """Make the layers of a form for the place of a convolution; see `replacement.fitted`.

    Args:
        conv: The convolution.
        form: The form.
        x: What the convolution gets (N, C, H, W) for some images.
        seed: Of the choice of patches.
    """
    return fitted(conv, form, x, torch.Generator().manual_seed(_STREAM + seed))


def _stage(conv: nn.Conv2d, x: Tensor) -> tuple[int, ...]:
    with torch.no_grad():
        return tuple(conv(x[:1].to(conv.weight.dtype)).shape[2:])


def _repeated(x: Tensor, count: int) -> Tensor:
    """Give so many images, in the memory order of a training."""
    index = torch.arange(count, device=x.device) % len(x)
    images = x.detach()[index].contiguous(memory_format=torch.channels_last)
    return images.requires_grad_(x.requires_grad)
