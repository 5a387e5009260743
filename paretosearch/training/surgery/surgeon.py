"""Operates on one network for as long as it is trained, remembering how to do it again."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from paretosearch.channels import ChannelMap, ChannelSpace, Noise, Shadow
from paretosearch.errors import SurgeryError
from paretosearch.kernels import large_kernels
from paretosearch.replacement import empty
from paretosearch.snapshot import Snapshot
from paretosearch.surgery import (
    InsertIdentity,
    Lineage,
    Remap,
    RemoveBranch,
    ReplaceLayers,
    RescaleKernels,
    Surgery,
    TakeBack,
)
from paretosearch.training.surgery.analysis import analyze
from paretosearch.training.surgery.deepen import insert_identity
from paretosearch.training.surgery.remap import remap
from paretosearch.training.surgery.removal import remove_branch
from paretosearch.training.surgery.replacing import inputs_of, replace_layers
from paretosearch.training.surgery.rescale import rescale_kernels
from paretosearch.training.surgery.sizes import takes, total_stride
from paretosearch.training.surgery.stages import stages


class Surgeon:
    """A network with its optimizer and the map of its channels, all of which every operation keeps in step.

    Args:
        model: The network.
        images: A few training images (N, C, H, W), for shapes and for the statistics of inserted layers.
        optimizer: Its optimizer.

    Attributes:
        history: What was done, as JSON can hold it.
    """

    def __init__(self, model: nn.Module, images: Tensor, optimizer: Optimizer | None = None) -> None:
        self.model, self.images, self.optimizer = model, images, optimizer
        self.history: list[dict[str, Any]] = []
        self._channels: ChannelMap | None = None
        self._lineages: dict[tuple[str, str], Lineage] = {}
        self._repeated: Snapshot | None = None  # the shape before the last replacement that was repeated

    @property
    def channels(self) -> ChannelMap:
        """The map of the network as it is now."""
        if self._channels is None:
            self._channels = analyze(self.model, self.images)
        return self._channels

    @property
    def stages(self) -> tuple[str, ...]:
        """The modules behind which `insert_identity` can stand, the last one for each size of the maps."""
        return stages(self.model, self.channels, self.images)

    @property
    def total_stride(self) -> int:
        """Pixels of an image for each one of the smallest maps; see `total_stride`."""
        return total_stride(self.model, self.images)

    @property
    def large_kernels(self) -> Mapping[str, int]:
        """Edge, in the end, of the kernels that may begin smaller, by the name of their convolution."""
        return large_kernels(self.model)

    def takes(self, edge: int) -> bool:
        """Whether the network can work on images of another edge in pixels."""
        return takes(self.model, self.images, edge)

    def inputs_of(self, layers: Collection[str], count: int) -> dict[str, Tensor]:
        """Give what layers get in training for so many of the images; see `inputs_of`."""
        return inputs_of(self.model, layers, self.images[:count])

    def lineage(self, space: ChannelSpace) -> Lineage:
        """Tell what became of the channels of a space since it last grew."""
        known = (self._lineages[key] for key in _makers(space) if key in self._lineages)
        return next(known, None) or Lineage.fresh(space.size)

    def operate(self, surgery: Surgery, shadows: Iterable[Shadow] = ()) -> None:
        """Do what a Method asks for.

        Args:
            surgery: The operations.
            shadows: State of Methods by parameter.

        Raises:
            SurgeryError: If the network does not allow one of them; those before it are done by then.
        """
        shadows = tuple(shadows)
        for operation in surgery.operations:
            match operation:
                case Remap(plan, noise):
                    self.remap(plan, shadows, noise)
                case RemoveBranch(block):
                    self.remove_branch(block)
                case InsertIdentity(after, generator):
                    self.insert_identity(after, generator)
                case RescaleKernels(sizes):
                    self.rescale_kernels(sizes, shadows)
                case ReplaceLayers(made, forms):
                    self.replace_layers(made, forms)
                case TakeBack(snapshot):
                    self.take_back(snapshot)

    def remap(self, plan: Mapping[str, Tensor], shadows: Iterable[Shadow] = (), noise: Noise | None = None) -> None:
        """Prune, widen or permute channels; see `remap`."""
        before = self.channels
        self._channels = remap(self.model, before, plan, self.optimizer, shadows, noise)
        for name, index in plan.items():
            lineage = self.lineage(before.spaces[name]).after(index.cpu())
            # By the makers and not by the name, which may be another one when the network is analysed again.
            self._lineages |= dict.fromkeys(_makers(before.spaces[name]), lineage)
        self.history.append({"do": "remap", "plan": {name: index.tolist() for name, index in plan.items()}})

    def insert_identity(self, after: str, generator: torch.Generator) -> str:
        """Insert layers that pass on what they get, and give their name; see `insert_identity`."""
        name = insert_identity(self.model, self.channels, after, self.images, generator, self.optimizer)
        self._channels = None
        self.history.append({"do": "insert_identity", "after": after})
        return name

    def remove_branch(self, block: str, constant: bool | None = None) -> tuple[nn.Parameter, ...]:
        """Take a residual branch away, and give its parameters; see `remove_branch`."""
        gone = remove_branch(self.model, block, self.optimizer, constant)
        self._channels = None
        kept = any(name == "constant" for name, _ in self.model.get_submodule(block).named_children())
        self.history.append({"do": "remove_branch", "block": block, "constant": kept})
        return gone

    def rescale_kernels(self, sizes: Mapping[str, int], shadows: Iterable[Shadow] = ()) -> None:
        """Give kernels another edge; see `rescale_kernels`. The channels stay, and so does their map."""
        rescale_kernels(self.model, sizes, self.images, self.optimizer, shadows)
        self.history.append({"do": "rescale_kernels", "sizes": dict(sizes)})

    def replace_layers(self, made: Mapping[str, nn.Module], forms: Mapping[str, str]) -> None:
        """Put other layers in the place of convolutions; see `replace_layers`."""
        replace_layers(self.model, made, self.optimizer)
        self._channels = None
        self.history.append({"do": "replace", "layers": dict(forms)})

    def take_back(self, snapshot: Snapshot) -> None:
        """Undo the last replacement, with what was trained since."""
        snapshot.put_back(self.model, self.optimizer)
        self._channels = None
        self.history.append({"do": "take_back"})

    @property
    def outline(self) -> list[dict[str, Any]]:
        """What was done, without saying to which channels: enough for another network of the same shapes."""
        return [_sizes(event) for event in self.history]

    def replay(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Bring a network as it was built into the shape that another one has got; its state dict then fits.

        An optimizer gets the same parameters in the same order, so that its state fits as well.

        Args:
            history: What was done to the other, or its outline, after which the shapes fit and nothing else.

        Raises:
            SurgeryError: If the history is of another network, or is none.
        """
        for event in history:
            try:
                self._repeat(event)
            except (KeyError, TypeError, AttributeError, ValueError, SurgeryError) as error:
                raise SurgeryError(f"{event!r} is no event in the history of this network: {error}") from None

    def _repeat(self, event: Mapping[str, Any]) -> None:
        if event["do"] == "remap":
            self.remap({name: torch.tensor(index, dtype=torch.int64) for name, index in event["plan"].items()})
        elif event["do"] == "resize":
            spaces = self.channels.spaces
            self.remap({name: torch.arange(size) % spaces[name].size for name, size in event["sizes"].items()})
        elif event["do"] == "insert_identity":
            self.insert_identity(event["after"], torch.Generator())
        elif event["do"] == "remove_branch":
            self.remove_branch(event["block"], event["constant"])
        elif event["do"] == "rescale_kernels":
            self.rescale_kernels(event["sizes"])
        elif event["do"] == "replace":
            self._repeat_replacement(event["layers"])
        elif event["do"] == "take_back" and self._repeated is not None:
            self.take_back(self._repeated)
        else:
            raise KeyError(event["do"])

    def _repeat_replacement(self, forms: Mapping[str, str]) -> None:
        before = Snapshot.of(self.model, self.optimizer, forms, values=False)
        self.replace_layers({name: empty(conv, forms[name]) for name, conv in self._convolutions(forms)}, forms)
        self._repeated = before

    def _convolutions(self, names: Iterable[str]) -> Iterator[tuple[str, nn.Conv2d]]:
        for name in names:
            conv = self.model.get_submodule(name)
            if not isinstance(conv, nn.Conv2d):
                raise SurgeryError(f"{name!r} is no convolution")
            yield name, conv


def _sizes(event: Mapping[str, Any]) -> dict[str, Any]:
    if event["do"] != "remap":
        return dict(event)
    return {"do": "resize", "sizes": {name: len(index) for name, index in event["plan"].items()}}


def _makers(space: ChannelSpace) -> list[tuple[str, str]]:
    return [(place.module, place.tensor) for place in space.producers]
