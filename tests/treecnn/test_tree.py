"""A tree learns groups of classes, and every class has one way."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from paretosearch.recipe import Recipe
from paretosearch.studyfile.source import Source
from paretosearch.testing.images import image_set
from paretosearch.treecnn import tree as of_trees
from paretosearch.treecnn.nodes import Cost, Net
from paretosearch.treecnn.rules import Children, Rules, paths
from paretosearch.treecnn.study import Retraining, TreeStudy
from paretosearch.treecnn.tree import Increment, Tree, grow

CPU = torch.device("cpu")
IMAGES = image_set(classes=8, per_class=48)
RECIPE = Recipe(
    "stripes",
    "convnet",
    epochs=6,
    batch_size=16,
    reference_batch_size=16,
    learning_rate=0.05,
    augmentation="none",
    seed=3,
)
STUDY = TreeStudy("little", (4, 2, 2), Rules(), 0, 0, "always", RECIPE, Source(Path("little.toml"), ""), "little.toml")


@pytest.fixture(scope="module")
def increments() -> tuple[Increment, ...]:
    return tuple(grow(STUDY, IMAGES, CPU))


def test_every_class_has_exactly_one_way_after_every_group(
    increments: tuple[Increment, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert [one.seen for one in increments] == [4, 6, 8]
    with capsys.disabled():
        for one in increments:
            assert paths(one.children).keys() == set(range(one.seen))
            shares = f"tree {one.accuracy:.3f}, its root {one.routing_accuracy:.3f}, anew {one.retrained_accuracy:.3f}"
            print(f"\n{one.seen} classes, each by one way through {one.children}: {shares}", end="")
        print()


def test_a_tree_is_never_better_than_its_root_and_learns(increments: tuple[Increment, ...]) -> None:
    for one in increments:
        assert one.accuracy <= one.routing_accuracy
        assert one.accuracy > 1.5 / one.seen
        assert one.retrained_accuracy > 1.5 / one.seen


def test_the_first_group_is_the_network_that_is_trained_anew(increments: tuple[Increment, ...]) -> None:
    first = increments[0]
    assert first.children == ((0,), (1,), (2,), (3,))
    assert first.decisions == ()
    assert first.accuracy == first.routing_accuracy == first.retrained_accuracy
    assert first.cost == first.retrained_cost


def test_a_group_costs_its_root_its_changed_branches_and_the_look_at_its_images(
    increments: tuple[Increment, ...],
) -> None:
    for before, one in pairwise(increments):
        changed = [labels for labels in one.children if len(labels) > 1 and labels not in before.children]
        assert one.cost.nets == one.root_trained + len(changed)
        assert one.retrained_cost.nets == 1
        assert {decision.label for decision in one.decisions} == set(one.new)


def test_only_the_root_and_changed_branches_are_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The root takes class 2 for 0, class 3 for 1, and class 4 for 1."""
    looks = iter([(0.9, 0.1), (0.1, 0.9), (0.1, 0.9)])
    monkeypatch.setattr(of_trees, "likelihood", lambda *_: next(looks))
    study = replace(STUDY, recipe=replace(RECIPE, epochs=1), grown_epochs=2)
    tree = Tree(study, IMAGES, CPU)
    tree.learn((0, 1))
    tree.learn((2, 3))
    assert tree.children == ((0, 2), (1, 3))
    kept, lost = tree.branches[0, 2], tree.branches[1, 3]
    _, cost = tree.learn((4,))
    assert tree.children == ((0, 2), (1, 3, 4))
    assert tree.branches[0, 2] is kept
    assert tree.branches.keys() == {(0, 2), (1, 3, 4)}
    assert lost not in tree.branches.values()
    assert cost.nets == 2
    weights = sum(p.numel() for p in tree.root.model.parameters())
    seen = tree.root.cost.weights_times_images // weights
    assert seen == 2 * 5 * 48  # a root that goes on has epochs of its own


@pytest.mark.parametrize(
    ("looks", "children", "is_trained"),
    [
        (((0.1, 0.8, 0.1),), ((0,), (1, 3), (2,)), False),
        (((0.1, 0.8, 0.1), (0.8, 0.1, 0.1)), ((0, 4), (1, 3), (2,)), False),
        (((0.34, 0.33, 0.33),), ((0,), (1,), (2,), (3,)), True),
        (((0.18, 0.42, 0.40),), ((0,), (1, 2, 3)), True),  # those left are the first of before, and one less
        (((0.18, 0.42, 0.40), (0.34, 0.33, 0.33)), ((0,), (1, 2, 3), (4,)), True),  # as many, and others
    ],
)
@pytest.mark.parametrize("rule", ["changed", "always"])
def test_a_root_is_trained_once_its_outputs_are_others(
    monkeypatch: pytest.MonkeyPatch,
    looks: tuple[tuple[float, ...], ...],
    children: Children,
    is_trained: bool,
    rule: Retraining,
) -> None:
    waiting = iter(looks)
    monkeypatch.setattr(of_trees, "likelihood", lambda *_: next(waiting))
    monkeypatch.setattr(of_trees, "trained", lambda *_: Net(torch.nn.Identity(), None, Cost(1.0, 10, 1)))
    tree = Tree(replace(STUDY, retrain_root=rule), IMAGES, CPU)
    tree.learn((0, 1, 2))
    before, trains = tree.root, is_trained or rule == "always"
    _, cost = tree.learn(range(3, 3 + len(looks)))
    assert tree.children == children
    assert (tree.root is not before) == trains
    branches = sum(len(labels) > 1 for labels in children)
    assert (cost.nets, cost.weights_times_images) == (trains + branches, 10 * (trains + branches))
    assert tree.branches.keys() == {labels for labels in children if len(labels) > 1}


def test_a_group_says_whether_its_root_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([(0.9, 0.1), (0.5, 0.5)])
    monkeypatch.setattr(of_trees, "likelihood", lambda *_: next(looks))
    study = replace(STUDY, groups=(2, 1, 1), recipe=replace(RECIPE, epochs=1), rules=Rules(beta=0.6))
    found = list(grow(replace(study, retrain_root="changed"), IMAGES, CPU))
    assert [one.children for one in found] == [((0,), (1,)), ((0, 2), (1,)), ((0, 2), (1,), (3,))]
    assert [one.root_trained for one in found] == [True, False, True]
    assert [one.cost.nets for one in found] == [1, 1, 1]


def test_an_image_is_classified_by_the_branch_that_it_is_sent_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is right of a tree is what is routed right, times what the branch then tells right."""
    tree = Tree(STUDY, IMAGES, CPU)
    tree.children = ((0,), (1, 3), (2,))
    root, branch = (Net(torch.nn.Identity(), None, Cost()) for _ in range(2))
    tree.root, tree.branches = root, {(1, 3): branch}
    random = torch.Generator().manual_seed(5)
    answers = torch.randn(len(IMAGES.validation), 3, generator=random)
    of_branch = torch.randn(len(IMAGES.validation), 2, generator=random)
    monkeypatch.setattr(of_trees, "logits", lambda net, split, *_: answers if net is root else of_branch[: len(split)])
    routed, found = tree.predicted(IMAGES.validation)
    assert torch.equal(routed, answers.argmax(1))
    there = routed == 1
    assert torch.equal(found[there], torch.tensor([1, 3])[of_branch[: int(there.sum())].argmax(1)])
    assert set(found[routed == 0].tolist()) == {0}
    assert set(found[routed == 2].tolist()) == {2}
    labels = IMAGES.validation.labels
    asked = (labels == 1) | (labels == 3)
    right, told = asked & there, found == labels
    share = right[asked].double().mean() * told[right].double().mean()
    assert told[asked].double().mean() == pytest.approx(share.item())


def test_a_branch_is_never_larger_than_the_study_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_trees, "likelihood", lambda net, *_: (0.9, 0.1, *([0.0] * 9))[: len(net_outputs(net))])
    study = replace(STUDY, groups=(2, 6), rules=Rules(most_classes=3), recipe=replace(RECIPE, epochs=1))
    *_, last = grow(study, IMAGES, CPU)
    assert max(map(len, last.children)) == 3
    assert paths(last.children).keys() == set(range(8))


def net_outputs(net: Net) -> list[int]:
    return list(range(list(net.model.parameters())[-1].shape[0]))


def test_images_to_find_a_place_by_are_as_many_as_the_study_says(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = []
    plain = of_trees.likelihood
    monkeypatch.setattr(
        of_trees, "likelihood", lambda net, split, *rest: counts.append(len(split)) or plain(net, split, *rest)
    )
    study = replace(STUDY, groups=(2, 2), likelihood_images=10, recipe=replace(RECIPE, epochs=1))
    assert len(list(grow(study, IMAGES, CPU))) == 2
    assert counts == [10, 10]


def test_a_share_of_the_images_is_of_the_whole_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    used = []
    plain = of_trees.trained
    monkeypatch.setattr(
        of_trees,
        "trained",
        lambda recipe, images, *rest: used.append((len(images.train), recipe)) or plain(recipe, images, *rest),
    )
    shared = replace(RECIPE, train_share=0.5, epochs=2, epochs_rule="updates")
    (first,) = grow(replace(STUDY, groups=(4,), recipe=shared), IMAGES, CPU)
    ((count, recipe),) = used
    assert count == 4 * 24
    assert (recipe.train_share, recipe.total_epochs) == (1.0, 4)
    assert first.seen == 4
