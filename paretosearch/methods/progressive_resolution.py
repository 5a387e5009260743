"""Progressive resolution: small images first, those of full size in the end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from torch import Tensor

from paretosearch.axis import Choice, Real, Value
from paretosearch.errors import RecipeError
from paretosearch.method import Method, Slot
from paretosearch.recipe import Recipe
from paretosearch.resolution import check_apart_from_growth, plain_share, resized, suited_edge, whole_epochs
from paretosearch.run import Anatomy, Run
from paretosearch.surgery import Surgery


class ProgressiveResolution(Method):
    """Train on smaller images first, and on those of full size in the end.

    An image costs about as much as it has pixels, where a device is busy with them: on a GPU steps of small networks on
    small images take as long as launching them does, and nothing is saved. The augmented images of a batch are resized
    on the device. Every size begins with an epoch, and is a phase of the training clock by itself: its steps are
    recorded, and compiled, anew. Sizes are the multiples of the network's total stride that are next to equal steps
    from the smallest to the full one, and on which it can work. Every evaluation is of full size, so that early
    ones are of a network that has never seen such images. Batch norm's statistics follow in the last epochs, and are
    estimated anew at the end (``norm_batches``).

    The form and the schedule are those of methods-structure, section 6, after the paper's kernels that grow with the
    images; no result of the paper is one of this.

    Paper: after Porto Buarque de Gusmao et al. 2016, arXiv:1610.03623.

    Args:
        smallest: Share of the edge that the first images have; 1 is off.
        full_at: Share of the training after which images have their full size, rounded down to whole epochs: at least
            the last 15 % are needed to learn what small images do not show.
        sizes: How many smaller sizes there are, each for as many epochs, if these are enough.
    """

    name = "progressive_resolution"
    summary = "small images first, those of full size in the end"
    paper = "after Porto Buarque de Gusmao et al. 2016, arXiv:1610.03623"
    slot = Slot.RESOLUTION
    space = {
        "smallest": Real(0.25, 1.0, default=1.0),
        "full_at": Real(0.1, 0.85, default=0.7),
        "sizes": Choice((1, 2), default=2),
    }
    switch = "smallest"
    off = 1.0
    reshapes = True

    smallest: float
    full_at: float
    sizes: int

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._edges: dict[float, int] = {}  # by their share

    def check(self, recipe: Recipe) -> None:
        """Refuse a training without an epoch of small images, and a change of size at a growth."""
        if not whole_epochs(self.full_at, recipe.total_epochs):
            raise RecipeError(
                f"progressive_resolution.full_at = {self.full_at:g} leaves no epoch for smaller images in a training "
                f"of {recipe.total_epochs}; raise it or epochs, or set progressive_resolution.smallest = 1"
            )
        check_apart_from_growth(f"{self.name}.full_at = {self.full_at:g}", self._changes(recipe.total_epochs), recipe)

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the first epoch of full size ends."""
        return whole_epochs(self.full_at, recipe.total_epochs) + 1

    def canonical(self, recipe: Recipe) -> Mapping[str, Value] | None:
        """Spell the moment of full size in one way, and leave out how many sizes a single epoch has."""
        if not self.acts(recipe):
            return None
        before = whole_epochs(self.full_at, recipe.total_epochs)
        spelled = plain_share(before, recipe.total_epochs, float(self.default("full_at")))
        inert = {"sizes": self.default("sizes")} if before == 1 else {}
        return {**recipe.methods[self.name], **inert, "full_at": spelled}

    def _share(self, epoch: int, epochs: int) -> float:
        """Give the share of the edge in an epoch, from 0, of so many."""
        before = whole_epochs(self.full_at, epochs)
        if epoch >= before:
            return 1.0
        return self.smallest + (1.0 - self.smallest) * (epoch * self.sizes // before) / self.sizes

    def _changes(self, epochs: int) -> list[int]:
        shares = [self._share(epoch, epochs) for epoch in range(epochs)]
        return [epoch for epoch in range(1, epochs) if shares[epoch] != shares[epoch - 1]]

    def check_anatomy(self, anatomy: Anatomy, network: str) -> None:
        """Refuse a network that has no use for smaller images."""
        full = int(anatomy.images.shape[-1])
        if self._edge(anatomy, self.smallest) == full:
            raise RecipeError(
                f"progressive_resolution.smallest = {self.smallest:g} finds no size below the {full} pixels of the "
                f"images that {network} takes, whose maps need multiples of {anatomy.total_stride}; use larger images "
                "or another network, lower it, or set it to 1"
            )

    def _edge(self, anatomy: Anatomy, share: float) -> int:
        if share not in self._edges:  # it does not change with the channels
            self._edges[share] = suited_edge(anatomy, share)
        return self._edges[share]

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Choose the size of the epoch's images."""
        if self.smallest != self.off:
            self.check_anatomy(run.anatomy, run.recipe.network)
            run.image_size = self._edge(run.anatomy, self._share(run.epoch, run.recipe.total_epochs))
        return ()

    def quiet_until(self, run: Run) -> int:
        """Say when images become larger next; it changes no shape of the network."""
        epochs = run.recipe.total_epochs
        return min((epoch for epoch in self._changes(epochs) if epoch > run.epoch), default=epochs)

    def on_batch(self, run: Run, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Resize the images."""
        return (x, y) if self.smallest == self.off else (resized(x, run.image_size), y)
