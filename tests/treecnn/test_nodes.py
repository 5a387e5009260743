"""A node is trained by the ordinary loop, and its last layer grows without a change of what it said."""

from dataclasses import replace

import pytest
import torch

from paretosearch import nets
from paretosearch.errors import RecipeError
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import Training, train
from paretosearch.treecnn.nodes import (
    Cost,
    carry_over,
    last_layer,
    likelihood,
    logits,
    of_classes,
    restricted,
    trained,
)

CPU = torch.device("cpu")
RECIPE = Recipe("stripes", "convnet", epochs=2, batch_size=32, reference_batch_size=32, learning_rate=0.05, seed=3)


@pytest.mark.parametrize("network", ["convnet", "resnet8", "vgg11"])
def test_a_grown_layer_keeps_the_logits_that_it_had(network: str, capsys: pytest.CaptureFixture[str]) -> None:
    size = {"channels": 1, "image_size": 16}
    old, new = (nets.build(network, classes=classes, **size).eval() for classes in (4, 6))
    fresh = new.get_submodule(last_layer(new, 6)).weight[[1, 5]].clone()
    carry_over(old, new, (0, None, 3, 1, 2, None))
    images = torch.randn(8, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        before, after = old(images), new(images)
    off = (after[:, [0, 3, 4, 2]] - before).abs().max().item() / before.abs().max().item()
    with capsys.disabled():
        print(f"\n{network}: a last layer that grew from 4 to 6 outputs changed old logits by {off:.1e} of the largest")
    assert off < 1e-6
    assert torch.equal(new.get_submodule(last_layer(new, 6)).weight[[1, 5]], fresh)


def test_a_grown_layer_can_lose_the_output_of_a_child_that_is_no_more() -> None:
    old, new = (nets.build("convnet", classes=n, channels=1, image_size=16).eval() for n in (4, 3))
    carry_over(old, new, (0, 2, 3))
    images = torch.randn(8, 1, 16, 16)
    assert torch.allclose(new(images), old(images)[:, [0, 2, 3]], atol=1e-6)


def test_a_network_without_a_last_linear_layer_cannot_grow() -> None:
    with pytest.raises(RecipeError, match="does not end in a linear layer with an output for each class"):
        last_layer(torch.nn.Sequential(torch.nn.Linear(4, 3)), 4)
    with pytest.raises(RecipeError, match="cannot grow; choose another network"):
        last_layer(torch.nn.Conv2d(1, 4, 1), 4)


def test_images_are_labelled_by_the_child_that_they_belong_to() -> None:
    images = image_set(classes=5, per_class=8)
    part = restricted(images, ((3,), (0, 4)))
    assert part.classes == ("class 3", "class 0 + class 4")
    assert torch.bincount(part.train.labels).tolist() == [8, 16]
    assert torch.bincount(part.validation.labels).tolist() == [16, 32]
    assert torch.equal(part.train.images[part.train.labels == 0], images.train.images[images.train.labels == 3])
    assert (part.mean, part.std) == (images.mean, images.std)
    assert set(of_classes(images.train, (1, 2)).labels.tolist()) == {1, 2}


def test_a_network_that_is_trained_anew_is_that_of_the_ordinary_loop() -> None:
    images = restricted(image_set(), ((0,), (1,), (2,)))
    ours, plain = trained(RECIPE, images, CPU), train(RECIPE, images, CPU)
    for one, other in zip(ours.model.parameters(), plain.model.parameters(), strict=True):
        assert torch.equal(one, other)
    weights = sum(p.numel() for p in plain.model.parameters())
    assert ours.cost.weights_times_images == weights * 2 * 6 * 32  # two epochs of six batches
    assert ours.cost.nets == 1
    assert ours.cost.seconds > 0


def test_a_network_that_goes_on_begins_with_the_weights_and_without_the_momentum(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    images = image_set()
    before = trained(RECIPE, restricted(images, ((0,), (1,))), CPU)
    begun: list[Training] = []
    go = Training.go

    def watched(training: Training, with_test: bool, *rest: object) -> object:
        begun.append(training)
        model, optimizer = training.run.model, training.run.optimizer
        assert torch.equal(model[0][0].weight, before.model[0][0].weight)
        assert all(not state["momentum_buffer"].any() for state in optimizer.state.values())
        assert len(optimizer.param_groups[0]["params"]) + len(optimizer.param_groups[1]["params"]) == len(
            list(model.parameters())
        )
        return go(training, with_test, *rest)

    monkeypatch.setattr(Training, "go", watched)
    after = trained(RECIPE, restricted(images, ((0,), (1,), (2,))), CPU, before, (0, 1, None))
    assert len(begun) == 1
    assert not torch.equal(after.model[0][0].weight, before.model[0][0].weight)


def test_a_likelihood_is_the_softmax_of_the_mean_of_logits() -> None:
    images = image_set()
    net = trained(RECIPE, restricted(images, ((0,), (1,), (2,))), CPU)
    split = of_classes(images.train, [3])
    answers = logits(net, split, images, CPU)
    assert answers.shape == (64, 3)
    found = likelihood(net, split, images, CPU)
    mean = [sum(answers[:, output].tolist()) / 64 for output in range(3)]
    plain = torch.tensor(mean).exp() / torch.tensor(mean).exp().sum()
    assert found == pytest.approx(plain.tolist(), rel=1e-4)
    assert sum(found) == pytest.approx(1)


def test_costs_add_up() -> None:
    assert Cost(1.0, 10, 1) + Cost(2.0, 5, 2) == Cost(3.0, 15, 3)
    assert replace(Cost(), nets=1).seconds == 0
