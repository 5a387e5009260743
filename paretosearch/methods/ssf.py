"""SSF: filters learned from the images without labels, of which only the strengths are trained."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch.axis import Choice, Real, Value
from paretosearch.dictionary import learned
from paretosearch.method import Method, Slot
from paretosearch.norms import replace_norms
from paretosearch.patches import is_ordinary, patches
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.structure import StrengthConv2d
from paretosearch.surgery import Surgery

#: Patches that the filters of a layer are learned from; fewer than in methods-structure, since this is on the clock.
PATCHES = 4096

#: Images whose patches they are.
IMAGES = 128

#: Patches that differ from their mean by less than this share of the largest say nothing of the images.
LEAST_CONTRAST = 0.01

#: Keeps the draws of a dictionary apart from those of a training with the same seed.
_STREAM = 0x5353_4600


class SSF(Method):
    """Learn the structure of filters from training images without labels, and train only their strengths and biases.

    Layer by layer, from what the layers before give for some images, patches are drawn, their means taken away and
    their lengths made equal; a dictionary is learned in which they are sparse, and its atoms become the filters. Each
    filter has a strength, 1 at first, which is trained, as are biases and the classifier; the filters have no gradient,
    and the work for it is not done.

    A strength behind which batch norm stands would be undone by it. So batch norm is taken out, and strength and bias
    are in the place of its scale and shift, at the convolutions that it followed; in a network without batch norm all
    convolutions are changed but a classifier. Filters are scaled, and biases chosen, so that what each layer first
    gives has the mean 0 and the deviation 1, at the end of residual branches ``1 / sqrt(branches)``: this is ours, as
    is the learner (see `dictionary`). Convolutions with groups, dilation or another border than zeros keep the filters
    that they begin with. It is for few images, and promises no speed; learning the filters is on the clock. As without
    batch norm everywhere, learning rates must be smaller than usual.

    Paper: Keshari et al. 2018, arXiv:1803.11405. Its steps are written partly from memory and could not be verified;
    none of its figures are claimed.

    Args:
        structure: ``dictionary`` learns filters from the images; ``initial`` keeps the network's random ones, scaled in
            the same way, which tells what the dictionary is worth; ``off`` is off.
        sparsity: Weight of the sum of absolute codes of a patch of length 1, beside half of the squared error; beside
            all of it, it would be twice as much.
        unfreeze: Share of the training after which the filters are trained as well, at the rate of the schedule; from 1
            on they never are.
    """

    name = "ssf"
    summary = "filters from a dictionary; train their strengths only"
    paper = "Keshari et al. 2018, arXiv:1803.11405"
    slot = Slot.NORMALISATION
    space = {
        "structure": Choice(("off", "dictionary", "initial"), default="off"),
        "sparsity": Real(0.001, 1.0, default=0.1, log=True),
        "unfreeze": Real(0.0, 1.0, default=1.0),
    }
    switch = "structure"
    off = "off"

    structure: str
    sparsity: float
    unfreeze: float

    def canonical(self, recipe: Recipe) -> Mapping[str, Value] | None:
        """Leave out how sparse codes are that nobody computes, and say by 1 that filters are never trained."""
        inert: dict[str, Value] = {} if self.structure == "dictionary" else {"sparsity": self.default("sparsity")}
        if self._trains_all_from(recipe) >= recipe.total_epochs:
            inert["unfreeze"] = 1.0
        return {**recipe.methods[self.name], **inert}

    def _trains_all_from(self, recipe: Recipe) -> int:
        return math.floor(self.unfreeze * recipe.total_epochs + 0.5)

    def _trains_all(self, run: Run) -> bool:
        return self.structure != self.off and run.epoch >= self._trains_all_from(run.recipe)

    def edit_model(self, model: nn.Module) -> nn.Module:
        """Put convolutions with strengths in the place of convolutions with batch norm."""
        if self.structure == self.off:
            return model
        last = [module for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)][-1:]
        return replace_norms(model, lambda conv: conv if conv in last else StrengthConv2d.of(conv), self.name)

    def on_epoch_start(self, run: Run) -> Iterable[Surgery]:
        """Learn the filters before the first step, and say whether they are trained."""
        layers = {name: layer for name, layer in run.model.named_modules() if isinstance(layer, StrengthConv2d)}
        if layers and run.epoch == 0:
            ends = {branch.last for branch in run.anatomy.channels.branches}
            self._initialise(run, layers, {name: len(ends) ** -0.5 for name in ends})
        for layer in layers.values():
            layer.weight.requires_grad_(self._trains_all(run))
        return ()

    def _initialise(self, run: Run, layers: Mapping[str, StrengthConv2d], deviations: Mapping[str, float]) -> None:
        """Learn layer after layer, each from what the ones before it then give."""
        generator = torch.Generator().manual_seed(_STREAM + run.recipe.seed)
        for name in run.anatomy.inputs_of(layers, 2):  # for their order
            x, layer = run.anatomy.inputs_of([name], IMAGES)[name], layers[name]
            if self.structure == "dictionary" and is_ordinary(layer):
                filters = structure_of(x, layer, self.sparsity, generator)
                with torch.no_grad():
                    layer.weight.copy_(filters)
            layer.initialise(x, deviations.get(name, 1.0))

    def pattern(self, run: Run) -> str:
        """Say in which epochs the filters are trained."""
        return "all filters" if self._trains_all(run) else ""

    def quiet_until(self, run: Run) -> int:
        """Say when filters begin to be trained; the shape stays."""
        begins = self._trains_all_from(run.recipe)
        return begins if run.epoch < begins < run.recipe.total_epochs else run.recipe.total_epochs

    def settled_at(self, recipe: Recipe) -> int:
        """Say when the first epoch ends in which filters are trained, if there is one."""
        begins = self._trains_all_from(recipe)
        return begins + 1 if begins < recipe.total_epochs else 0


def structure_of(x: Tensor, conv: nn.Conv2d, sparsity: float, generator: torch.Generator) -> Tensor:
    """Learn filters for a convolution from what it gets.

    Args:
        x: Images (N, C, H, W) as they come there.
        conv: The convolution; see `patches` for which.
        sparsity: As `dictionary.learned` has it.
        generator: Source of all choices, on the CPU.

    Returns:
        Filters of length 1 (O, C, kh, kw), float32; the convolution's own, where the images are all of one colour.
    """
    rows = centred(patches(x, conv, PATCHES, generator).float().flatten(1))
    if not len(rows):
        return conv.weight.detach().float()
    return learned(rows, len(conv.weight), sparsity, generator).reshape(conv.weight.shape)


def centred(rows: Tensor) -> Tensor:
    """Take the mean of each patch away and make its length 1; without those that have next to no contrast.

    Args:
        rows: Patches (P, L).

    Returns:
        Patches (P', L).
    """
    rows = rows - rows.mean(1, keepdim=True)
    lengths = rows.norm(dim=1)
    return F.normalize(rows[lengths > LEAST_CONTRAST * lengths.max()])
