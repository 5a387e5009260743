"""Which Methods do not go together, or not with a field of the Recipe, and why (methods-numerics, section 11)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from paretosearch.errors import RecipeError
from paretosearch.recipe import SIMULATED_FORMATS, Recipe

#: Modes of torch.compile.
_COMPILED = ("default", "max-autotune")


@dataclass(frozen=True)
class Conflict:
    """Two things that cannot be in one training.

    Args:
        method: Name of a Method.
        others: Names of other Methods, or values of ``field``.
        why: The reason, as the end of a sentence.
        field: Field of the Recipe whose values ``others`` are; empty where they are Methods.
    """

    method: str
    others: tuple[str, ...]
    why: str
    field: str = ""

    def found(self, recipe: Recipe, active: Collection[str]) -> str | None:
        """Give what a Recipe with some Methods has of ``others``, as it is written; None if it has nothing."""
        if self.method not in active:
            return None
        if self.field:
            value = getattr(recipe, self.field)
            return f'{self.field} = "{value}"' if value in self.others else None
        return next((other for other in self.others if other in active), None)


#: Beside those that take the same slot. In a search the Method that stands later in the catalogue is left out.
CONFLICTS: tuple[Conflict, ...] = (
    Conflict("schedule_free", ("swa", "ema"), "each evaluates an average of its own; keep one of them"),
    Conflict(
        "schedule_free",
        ("bfp16", "bfp8", "bf16-pure", "fp16-pure"),
        "what it averages must be kept in fp32, and this format rounds the weights; choose another, or beta = 0",
        field="number_format",
    ),
    Conflict(
        "schedule_free",
        ("prunetrain",),
        "the penalty counts on momentum, without which it has to be another one, and an average keeps what it has "
        "brought to zero; turn one of them off",
    ),
    Conflict(
        "isgd",
        ("bfp16", "bfp8"),
        "its further steps are not the optimizer's, and would leave weights that the format has not rounded",
        field="number_format",
    ),
    Conflict(
        "gradient_approximation",
        SIMULATED_FORMATS,
        "its convolutions have a backward pass of their own, which rounds what this one would leave out; use another "
        "number format",
        field="number_format",
    ),
    Conflict(
        "gradient_approximation",
        _COMPILED,
        'compiled code does the same in every step, and some steps leave work out; set compile = "off"',
        field="compile",
    ),
    Conflict(
        "gradient_pruning",
        _COMPILED,
        'compiled code does not see what is put into the backward pass between epochs; set compile = "off"',
        field="compile",
    ),
    Conflict(
        "weight_norm",
        ("prunetrain",),
        "a penalty that makes weights smaller does nothing where only their direction counts, and a cut would change "
        "the length by which they are divided; turn one of them off",
    ),
    Conflict(
        "weight_norm",
        ("net2net",),
        "copied channels would change the length by which weights are divided, and with it what the network computes, "
        "and layers that begin at zero have no direction; turn one of them off",
    ),
    Conflict(
        "weight_norm",
        ("kernel_rescaling",),
        "kernels of another size would have another length, by which weights are divided; turn one of them off, or use "
        "progressive_resolution",
    ),
    Conflict(
        "weight_norm",
        ("bfp16", "bfp8"),
        "its filters are computed from two parameters, and would be no numbers of that format; use another format, or "
        'set weight_norm.form to "off"',
        field="number_format",
    ),
    Conflict(
        "early_bird",
        ("prunetrain",),
        "each chooses the channels to cut, and presses towards zero what the other one judges by; turn one of them off",
    ),
    Conflict(
        "early_bird",
        ("weight_norm", "standardization_loss", "ssf"),
        "it judges channels by the scales of batch norm, which the other one takes away; turn one of them off",
    ),
    Conflict(
        "lottery_ticket",
        ("net2net", "prunetrain", "early_bird", "layer_replacement", "kernel_rescaling"),
        "the weights that it goes back to would be those of a network of another shape; turn one of them off",
    ),
    Conflict(
        "lottery_ticket",
        ("swa", "ema", "schedule_free"),
        "the average would be of the weights of both trainings, and keep what is left out; turn one of them off",
    ),
    Conflict(
        "lottery_ticket",
        ("isgd",),
        "early losses of the second training would be out of the control of the first, and steps that are not the "
        "optimizer's would bring back what the ticket leaves out; turn one of them off",
    ),
    Conflict(
        "lottery_ticket",
        ("weight_norm",),
        "a filter of which no weight is left has no direction; turn one of them off",
    ),
    Conflict(
        "ssf",
        ("prunetrain", "net2net", "lottery_ticket"),
        "its filters stay as they were learned, and would neither shrink nor do what copied or inserted channels need; "
        "turn one of them off",
    ),
    Conflict(
        "ssf",
        ("muon", "gradient_approximation"),
        "it changes how filters are trained, and here they are not; turn one of them off",
    ),
    Conflict(
        "layer_replacement",
        ("weight_norm", "ssf"),
        "there are no plain convolutions left to replace; turn one of them off",
    ),
    Conflict(
        "standardization_loss",
        ("default", "max-autotune"),
        "it listens to the convolutions in some passes and not in others, which compiled code does not tell apart; set "
        'compile = "off"',
        field="compile",
    ),
)


def check(recipe: Recipe, active: Collection[str]) -> None:
    """Refuse a Recipe whose Methods do not go together.

    Args:
        recipe: The Recipe.
        active: Names of the Methods that are on in it.

    Raises:
        RecipeError: If there is a conflict.
    """
    for conflict in CONFLICTS:
        other = conflict.found(recipe, active)
        if other is not None:
            raise RecipeError(f"{conflict.method} does not go with {other}: {conflict.why}")


def gives_way(method: str, recipe: Recipe, before: Collection[str]) -> bool:
    """Whether a Method does not go with a Recipe, or with one of those Methods in it that stand before it."""
    there = {method, *before}
    return any(method in (c.method, *c.others) and c.found(recipe, there) is not None for c in CONFLICTS)


def forbidden(first: str, second: str) -> bool:
    """Whether two Methods do not go together."""
    return any({first, second} == {c.method, other} for c in CONFLICTS if not c.field for other in c.others)
