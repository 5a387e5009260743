"""A tree of networks that learns group after group of classes, beside a network that is trained anew each time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import torch
from torch import Tensor

from paretosearch.data import ImageSet, Split
from paretosearch.training.clock import Clock
from paretosearch.treecnn.fitting import fitting
from paretosearch.treecnn.nodes import Cost, Net, likelihood, logits, of_classes, restricted, trained
from paretosearch.treecnn.rules import Children, Decision, Growth, grown, paths
from paretosearch.treecnn.study import TreeStudy


@dataclass(frozen=True)
class Increment:
    """What a group of classes did.

    Args:
        new: The classes.
        children: The classes behind each output of the root now.
        decisions: Where each of the classes was attached; none for the first group, which makes the root.
        accuracy: Share of the validation images of all classes so far that the tree classifies correctly, in [0, 1].
        routing_accuracy: Share of them that the root sends to the right child, which is never less.
        root_trained: Whether the root was trained for them.
        cost: What the tree took for this group.
        retrained_accuracy: Accuracy, on the same images, of one network trained anew on all classes so far.
        retrained_cost: What that took.
    """

    new: tuple[int, ...]
    children: Children
    decisions: tuple[Decision, ...]
    accuracy: float
    routing_accuracy: float
    root_trained: bool
    cost: Cost
    retrained_accuracy: float
    retrained_cost: Cost

    @property
    def seen(self) -> int:
        """Classes so far."""
        return sum(map(len, self.children))


def grow(
    study: TreeStudy, images: ImageSet, device: torch.device, say: Callable[[str], None] = lambda _: None
) -> Iterator[Increment]:
    """Learn the classes of a data set group by group, by a tree and by training anew.

    Args:
        study: What to learn, and how.
        images: Its data set.
        device: Where.
        say: Told what comes next.

    Yields:
        What each group did, once it is learned.

    Raises:
        StudyFileError: If the data set has too few classes, or too few images for a batch, see `fitting`.
        RecipeError: If a network cannot be trained.
        DivergedError: If the loss of a training is not finite.
    """
    images = fitting(study, images)
    tree, labels = Tree(study, images, device), iter(range(sum(study.groups)))
    for size in study.groups:
        new = tuple(islice(labels, size))
        say(f"learning {', '.join(images.classes[label] for label in new)}")
        yield _increment(tree, new, say)


def _increment(tree: Tree, new: tuple[int, ...], say: Callable[[str], None]) -> Increment:
    before = tree.root if tree.children else None
    growth, cost = tree.learn(new)
    labels = tuple(sorted(paths(tree.children)))
    assert labels == tuple(range(new[-1] + 1)), "every class so far has one way"
    judged = of_classes(tree.images.validation, labels)
    routed, found = tree.predicted(judged)
    if growth is None:
        net = tree.root  # the first root is what training anew would give, weight by weight
    else:
        say(f"training anew on {len(labels)} classes")
        net = trained(tree.recipe, restricted(tree.images, tuple((label,) for label in labels)), tree.device)
    anew = torch.tensor(labels)[logits(net, judged, tree.images, tree.device).argmax(1)]
    output = {label: path[0] for label, path in paths(tree.children).items()}
    right = torch.tensor([output[label] for label in judged.labels.tolist()])
    return Increment(
        new,
        tree.children,
        growth.decisions if growth else (),
        _share(found == judged.labels),
        _share(routed == right),
        tree.root is not before,
        cost,
        _share(anew == judged.labels),
        net.cost,
    )


def _share(correct: Tensor) -> float:
    return int(correct.sum()) / len(correct)


class Tree:
    """A root that sends an image to a leaf, or to a branch that tells some classes apart.

    Args:
        study: How it learns.
        images: The data set, with those of its training images that are used.
        device: Where.

    Attributes:
        recipe: How a network is trained anew: that of the study, for as many epochs as its rules give.
        children: The classes behind each output of the root.
        root: The network of the root; there is one once the first group is learned.
        branches: The network of each branch, by its classes.
    """

    root: Net

    def __init__(self, study: TreeStudy, images: ImageSet, device: torch.device) -> None:
        self.images, self.device = images, device
        self._study = study
        # The images are those that are used by now, and the epochs as many as they are to be.
        of_all = replace(study.recipe, train_images=0, train_share=1.0, epochs_rule="fixed")
        self.recipe = replace(of_all, epochs=study.recipe.total_epochs)
        self.children: Children = ()
        self.branches: dict[tuple[int, ...], Net] = {}

    def learn(self, new: Sequence[int]) -> tuple[Growth | None, Cost]:
        """Learn new classes: attach them, go on with a root that has changed, train every such branch anew.

        Returns:
            How the tree has grown, None for the first classes; and what it took.
        """
        if not self.children:
            self.children = tuple((label,) for label in new)
            self.root = trained(self.recipe, restricted(self.images, self.children), self.device)
            return None, self.root.cost
        growth, cost = self._attached(new)
        has_other_outputs = growth.kept != tuple(range(len(self.children)))
        self.children = growth.children
        if has_other_outputs or self._study.retrain_root == "always":
            longer = replace(self.recipe, epochs=self._study.grown_epochs or self.recipe.epochs)
            parted = restricted(self.images, self.children)
            self.root = trained(longer, parted, self.device, self.root, growth.kept)
            cost += self.root.cost
        return growth, cost + self._branch_out()

    def _attached(self, new: Sequence[int]) -> tuple[Growth, Cost]:
        """Find the places of new classes; looking at their images is a part of learning them."""
        clock, table = Clock(self.device), {}
        with clock.event():
            for label in new:
                split = of_classes(self.images.train, [label])
                if count := self._study.likelihood_images:
                    split = Split(split.images[:count], split.labels[:count])
                table[label] = likelihood(self.root, split, self.images, self.device)
        return grown(self.children, table, self._study.rules), Cost(clock.train_seconds)

    def _branch_out(self) -> Cost:
        """Train a new network for each branch that is not as it was; forget those that are no more."""
        before, cost = self.branches, Cost()
        self.branches = {}
        for labels in (labels for labels in self.children if len(labels) > 1):
            net = before.get(labels)
            if net is None:
                net = trained(self.recipe, restricted(self.images, tuple((one,) for one in labels)), self.device)
                cost += net.cost
            self.branches[labels] = net
        return cost

    def predicted(self, split: Split) -> tuple[Tensor, Tensor]:
        """Classify images, each by the root and, behind a branch, by that as well.

        Returns:
            The output of the root that each took (N,), and its class (N,).
        """
        routed = logits(self.root, split, self.images, self.device).argmax(1)
        found = torch.empty_like(routed)
        for output, labels in enumerate(self.children):
            here = torch.nonzero(routed == output).flatten()
            if len(labels) == 1 or not len(here):
                found[here] = labels[0]
                continue
            part = Split(split.images[here], split.labels[here])
            answers = logits(self.branches[labels], part, self.images, self.device).argmax(1)
            found[here] = torch.tensor(labels)[answers]
        return routed, found
