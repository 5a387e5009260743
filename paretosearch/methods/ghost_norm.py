"""Ghost batch norm: statistics of small parts of a large batch."""

from __future__ import annotations

from torch import nn

from paretosearch.axis import Choice
from paretosearch.errors import RecipeError
from paretosearch.ghost import GhostBatchNorm2d
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe


class GhostNorm(Method):
    """Let batch norm normalise every few images of a batch by their own statistics, as if the batch were small.

    The running averages are updated once by every part, in order. A batch that is no multiple of the size has the
    images that are left over in its last part. In evaluation it is batch norm, and is kept as such.

    Paper: Hoffer et al. 2017, arXiv:1705.08741; there each part has a pass of its own, here all parts go
    through the network together.

    Args:
        size: Images of a part; 0 is off. 16 to 64 is usual.
    """

    name = "ghost_norm"
    summary = "batch norm by small parts of the batch"
    paper = "Hoffer et al. 2017, arXiv:1705.08741"
    slot = Slot.NORMALISATION
    space = {"size": Choice((0, 4, 8, 16, 32, 64, 128, 256, 512), default=0)}
    switch = "size"
    off = 0

    size: int

    def check(self, recipe: Recipe) -> None:
        """Refuse parts that are no smaller than the batch."""
        if self.size >= recipe.batch_size:
            raise RecipeError(
                f"ghost_norm.size = {self.size} is no smaller than batch_size = {recipe.batch_size}, so a batch would "
                "be one part; lower it, or set it to 0"
            )

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Put ghost batch norm in the place of batch norm."""
        return model if not self.size else with_ghosts(model, self.size)


def with_ghosts(model: nn.Module, size: int) -> nn.Module:
    """Put ghost batch norm in the place of batch norm, with the same tensors.

    Args:
        model: The network, changed in place.
        size: Images of a part.

    Returns:
        The same network.

    Raises:
        RecipeError: If the network has no batch norm with parameters and running averages.
    """
    found = [(name, norm) for name, norm in model.named_modules() if isinstance(norm, nn.BatchNorm2d)]
    found = [(name, norm) for name, norm in found if norm.affine and norm.track_running_stats]
    if not found:
        raise RecipeError("ghost_norm needs batch norm, and this network has none; set ghost_norm.size to 0")
    for name, norm in found:
        model.set_submodule(name, GhostBatchNorm2d.of(norm, size))
    return model
