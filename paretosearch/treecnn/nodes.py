"""The networks of a tree: each trained by the ordinary loop, on the images of its classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from paretosearch.data import Batches, ImageSet, Split
from paretosearch.errors import RecipeError
from paretosearch.recipe import Recipe
from paretosearch.training import Training
from paretosearch.training.evaluation import EVALUATION_BATCH, answering
from paretosearch.training.meters import count_parameters
from paretosearch.training.precision import Precision
from paretosearch.treecnn.rules import Children

# Shapes: N images, M outputs of a network before it grows, K after that, F features.


@dataclass(frozen=True)
class Cost:
    """What was put into trainings.

    Args:
        seconds: Seconds on the training clock.
        weights_times_images: Sum over the networks of their weights times the images that went through them, with
            repetition. The training effort of the paper is a sum of weights times samples, of which the specification
            could not verify the formula; a network trained for more epochs counts for more here, as it costs more.
        nets: How many networks were trained.
    """

    seconds: float = 0.0
    weights_times_images: int = 0
    nets: int = 0

    def __add__(self, other: Cost) -> Cost:
        both = self.weights_times_images + other.weights_times_images
        return Cost(self.seconds + other.seconds, both, self.nets + other.nets)


@dataclass(frozen=True, eq=False)
class Net:
    """A trained network.

    Args:
        model: The network, on its device.
        precision: The number format that it was trained in.
        cost: What its training took.
    """

    model: nn.Module
    precision: Precision
    cost: Cost


def trained(
    recipe: Recipe,
    images: ImageSet,
    device: torch.device,
    before: Net | None = None,
    kept: Sequence[int | None] = (),
) -> Net:
    """Train a network as `paretosearch.training.train` does, anew or on from another one.

    Args:
        recipe: What to train.
        images: The images of its classes, see `restricted`.
        device: Where.
        before: The network to go on from. Momentum and learning rate begin anew.
        kept: For each output which one of ``before`` it goes on from; None is a new one.

    Raises:
        RecipeError: If the network does not fit the images, a batch is larger than they are many, or ``before`` cannot
            grow.
        DivergedError: If the loss is not finite at the end of an epoch.
    """
    training = Training(recipe, images, device)
    if before is not None:
        with training.clock.event():
            carry_over(before.model, training.run.model, kept)
    done = training.go(with_test=False)
    seconds, _ = done.outcome.objectives
    cost = Cost(seconds, count_parameters(done.model) * training.effort.images, 1)
    return Net(done.model, training.precision, cost)


def carry_over(old: nn.Module, new: nn.Module, kept: Sequence[int | None]) -> None:
    """Give a network the weights of another that has other outputs; rows of the last layer move, all else stays.

    Args:
        old: A network of M outputs.
        new: The same network of K outputs; a row that is new in it keeps its fresh weights.
        kept: For each of the K outputs the row of the old one, or None.

    Raises:
        RecipeError: If the network does not end in a linear layer.
    """
    before, after, last = old.state_dict(), new.state_dict(), last_layer(new, len(kept))
    rows = [(to, row) for to, row in enumerate(kept) if row is not None]
    targets, sources = ([pair[i] for pair in rows] for i in (0, 1))
    for name in (f"{last}.weight", f"{last}.bias"):
        if name in before:
            moved = after[name].clone()
            moved[targets] = before[name][sources]
            before[name] = moved
    new.load_state_dict(before)


def last_layer(model: nn.Module, outputs: int) -> str:
    """Name the linear layer that gives the logits.

    Raises:
        RecipeError: If there is none.
    """
    layers = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    last = layers[-1] if layers else ""
    if not layers or model.get_submodule(last).out_features != outputs:
        raise RecipeError(
            "this network does not end in a linear layer with an output for each class, so a node of a tree cannot "
            "grow; choose another network, such as convnet or resnet8"
        )
    return last


def restricted(images: ImageSet, children: Children) -> ImageSet:
    """Leave the images of some classes, labelled by the child that they belong to.

    Mean and deviation stay those of the whole data set, so that all networks of a tree see an image alike.

    Args:
        images: The data set.
        children: The classes of each output.
    """
    output = torch.full((len(images.classes),), -1)
    for place, labels in enumerate(children):
        output[list(labels)] = place
    train, validation, test = (_relabelled(part, output) for part in (images.train, images.validation, images.test))
    names = tuple(" + ".join(images.classes[label] for label in labels) for labels in children)
    return replace(images, classes=names, train=train, validation=validation, test=test, digest="")


def _relabelled(split: Split, output: Tensor) -> Split:
    labels = output[split.labels]
    kept = torch.nonzero(labels >= 0).flatten()
    return Split(split.images[kept], labels[kept])


def of_classes(split: Split, labels: Sequence[int]) -> Split:
    """Leave the images of some classes, with the labels that they have."""
    kept = torch.nonzero(torch.isin(split.labels, torch.tensor(labels))).flatten()
    return Split(split.images[kept], split.labels[kept])


def logits(net: Net, split: Split, images: ImageSet, device: torch.device) -> Tensor:
    """Give a network's answers to the images of a split, as they are: (N, M), fp32, on the CPU."""
    net.model.eval()
    batches = Batches.in_order(split, images, device, EVALUATION_BATCH[device.type])
    answer = answering(net.model, net.precision)
    with torch.no_grad():
        return torch.cat([answer(x).float() for x, _ in batches]).cpu()


def likelihood(net: Net, split: Split, images: ImageSet, device: torch.device) -> tuple[float, ...]:
    """Say how likely a network takes the images of a class for each of its own.

    Args:
        net: The network, of M outputs.
        split: Images of one class, which the network was not trained on.
        images: The data set.
        device: Where.

    Returns:
        Softmax of the logits' mean over the images: M numbers in [0, 1] that add up to 1.
    """
    mean = logits(net, split, images, device).double().mean(0)
    return tuple(mean.softmax(0).tolist())
