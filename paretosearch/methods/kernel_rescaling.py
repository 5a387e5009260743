"""Kernel rescaling: small images with smaller kernels first, which then grow together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor, nn

from paretosearch.axis import Real, Value
from paretosearch.errors import RecipeError
from paretosearch.kernels import LEAST, begin_smaller, large_kernels, smaller, unfinished
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe
from paretosearch.resolution import check_apart_from_growth, plain_share, resized, suited_edge, whole_epochs
from paretosearch.run import Anatomy, Run
from paretosearch.surgery import RescaleKernels, Surgery

#: What to do with a network that has no large kernel.
_INSTEAD = (
    "progressive_resolution does the same for 3x3 networks; or set kernel_rescaling.until = 0, or use a network with "
    "large kernels, such as convnet5"
)


class KernelRescaling(Method):
    """Train on small images with smaller kernels first, then scale both up, and refine at full size.

    Kernels of an odd edge of 5 or more begin smaller: 3 for 5, 5 for 7, 7 for 11; the others stay as they are in all of
    the training, for which a map of the small phase is that of a smaller object. The images of the small phase have the
    share of the edge that the largest kernel has, rounded as in progressive_resolution. At the change the kernels are
    interpolated, as a row of ``ps_surgery`` tells; their momentum begins at zero, batch norm takes its running
    statistics from one pass of a sample of the images, where methods-structure, section 6, has some 20 batches, and the
    learning rate goes on by its schedule. Every evaluation is of full size, so that those of the small phase are of
    images that the kernels are too small for.

    Paper: Porto Buarque de Gusmao et al. 2016, arXiv:1610.03623, of which the abstract alone could be read; which
    kernels begin smaller, and for how long, is ours.

    Args:
        until: Share of the training after which kernels and images have their full size, rounded down to whole epochs;
            0 is off.
    """

    name = "kernel_rescaling"
    summary = "small images with small kernels first, both scaled up"
    paper = "Porto Buarque de Gusmao et al. 2016, arXiv:1610.03623"
    slot = Slot.RESOLUTION
    space = {"until": Real(0.0, 0.8, default=0.0)}
    switch = "until"
    off = 0.0
    reshapes = True

    until: float

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._edge = 0  # of the small images

    def check(self, recipe: Recipe) -> None:
        """Refuse a training without an epoch of small kernels, and a change of size at a growth."""
        change = whole_epochs(self.until, recipe.total_epochs)
        if not change:
            raise RecipeError(
                f"kernel_rescaling.until = {self.until:g} leaves no epoch for smaller kernels in a training of "
                f"{recipe.total_epochs}; raise it or epochs, or set it to 0"
            )
        check_apart_from_growth(f"{self.name}.until = {self.until:g}", [change], recipe)

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the first epoch of full size ends."""
        return whole_epochs(self.until, recipe.total_epochs) + 1

    def canonical(self, recipe: Recipe) -> Mapping[str, Value] | None:
        """Spell the moment of the change in one way."""
        if not self.acts(recipe):
            return None
        change = whole_epochs(self.until, recipe.total_epochs)
        return {**recipe.methods[self.name], "until": plain_share(change, recipe.total_epochs, 0.5)}

    def check_anatomy(self, anatomy: Anatomy, network: str) -> None:
        """Refuse a network without a kernel that could begin smaller, or that takes no smaller images."""
        if not anatomy.large_kernels:
            raise RecipeError(_without_kernels(network))
        full = int(anatomy.images.shape[-1])
        if self._small_edge(anatomy) == full:
            raise RecipeError(
                f"kernel_rescaling.until = {self.until:g} needs smaller images than those of {full} pixels, and "
                f"{network} takes none, whose maps need multiples of {anatomy.total_stride}; use larger images or "
                "another network, or set it to 0"
            )

    def _small_edge(self, anatomy: Anatomy) -> int:
        if not self._edge:
            largest = max(anatomy.large_kernels.values())
            self._edge = suited_edge(anatomy, smaller(largest) / largest)
        return self._edge

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Make the large kernels smaller."""
        if self.until != self.off:
            if not large_kernels(model):
                raise RecipeError(_without_kernels("this network"))
            begin_smaller(model)
        return model

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Choose the size of the epoch's images, and scale the kernels up when they become large."""
        if self.until == self.off:
            return
        self.check_anatomy(run.anatomy, run.recipe.network)
        full = int(run.anatomy.images.shape[-1])
        is_small = run.epoch < whole_epochs(self.until, run.recipe.total_epochs)
        run.image_size = self._small_edge(run.anatomy) if is_small else full
        sizes = {} if is_small else unfinished(run.model)
        if sizes:
            figures = {"kernels": len(sizes), "pixels_before": self._small_edge(run.anatomy), "pixels": full}
            yield Surgery("rescale", (RescaleKernels(sizes),), figures)

    def quiet_until(self, run: Run) -> int:
        """Say when the kernels become large."""
        change = whole_epochs(self.until, run.recipe.total_epochs)
        return change if run.epoch < change else run.recipe.total_epochs

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Resize the images."""
        return (x, y) if self.until == self.off else (resized(x, run.image_size), y)


def _without_kernels(network: str) -> str:
    return (
        f"kernel_rescaling has nothing to scale in {network}: no kernel has an odd edge of {LEAST} or more; {_INSTEAD}"
    )
