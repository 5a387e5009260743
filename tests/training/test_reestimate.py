"""The statistics of batch norm are those of the weights at the end."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import loop, train
from paretosearch.training.precision import Precision
from paretosearch.training.reestimate import reestimate

CPU = torch.device("cpu")
RECIPE = Recipe("stripes", "convnet", epochs=2, batch_size=32, reference_batch_size=32, learning_rate=0.05)


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(0)
    return [(2 * torch.randn(16, 3, 4, 4, generator=generator) + 5, torch.zeros(16)) for _ in range(count)]


def test_statistics_become_the_mean_of_the_batches() -> None:
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout(0.5))
    given = batches(6)
    reestimate(model, given, 4, Precision("fp32", CPU))
    norm = model[0]
    assert isinstance(norm, nn.BatchNorm2d)
    taken = [x for x, _ in given[:4]]
    torch.testing.assert_close(norm.running_mean, torch.stack([x.mean((0, 2, 3)) for x in taken]).mean(0))
    torch.testing.assert_close(norm.running_var, torch.stack([x.var((0, 2, 3)) for x in taken]).mean(0))
    assert norm.momentum == 0.1
    assert not model.training
    assert not norm.training


@pytest.mark.parametrize("model", [nn.Linear(2, 2), nn.BatchNorm2d(3, track_running_stats=False)])
def test_a_network_without_statistics_is_not_run(model: nn.Module) -> None:
    given = iter(batches(1))
    reestimate(model, given, 1, Precision("fp32", CPU))
    assert next(given, None) is not None


def test_none_are_estimated_where_a_recipe_says_so() -> None:
    norm = nn.BatchNorm2d(3)
    reestimate(norm, batches(1), 0, Precision("fp32", CPU))
    assert norm.num_batches_tracked == 0


def test_a_training_ends_with_it_and_keeps_its_weights() -> None:
    with_it, without = (train(replace(RECIPE, norm_batches=n), image_set(), CPU) for n in (8, 0))
    ours, theirs = with_it.model.state_dict(), without.model.state_dict()
    parameters = [name for name, _ in with_it.model.named_parameters()]
    assert all(torch.equal(ours[name], theirs[name]) for name in parameters)
    changed = [name for name in ours if "running" in name and not torch.equal(ours[name], theirs[name])]
    assert changed
    assert with_it.outcome.epochs[0].accuracy == without.outcome.epochs[0].accuracy  # not before the end


AVERAGING = [{"swa": {"start": 0.5}}, {"ema": {"decay": 0.9}}]


@pytest.mark.parametrize("methods", AVERAGING, ids=["swa", "ema"])
def test_they_are_those_of_the_averaged_weights_that_are_evaluated_and_kept(
    methods: dict[str, dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[nn.Module] = []

    def watched(model: nn.Module, *arguments: Any) -> None:
        seen.append(model)
        reestimate(model, *arguments)

    monkeypatch.setattr(loop, "reestimate", watched)
    training = loop.Training(replace(RECIPE, methods=methods), image_set(), CPU)
    trained = training.go(with_test=False)
    assert seen == [trained.model]
    assert trained.model is not training.run.model
    assert training.evaluator.accuracy(training.images.validation) == trained.outcome.accuracy
    means, lagging = (
        torch.cat([buffer for name, buffer in model.named_buffers() if name.endswith("running_mean")])
        for model in (trained.model, training.run.model)
    )
    assert not torch.equal(means, lagging)
    reestimate(trained.model, training.batches, len(training.batches), training.precision)
    norms = [module for module in trained.model.modules() if isinstance(module, nn.BatchNorm2d)]
    now = torch.cat([norm.running_mean for norm in norms if norm.running_mean is not None])
    assert (means - now).norm() < 0.1 * now.norm()


def test_a_stored_recipe_of_before_means_what_it_meant() -> None:
    from paretosearch.store.columns import RecipeJson

    old = RecipeJson().process_result_value({"dataset": "mnist", "network": "convnet"}, None)  # type: ignore[arg-type]
    assert old.norm_batches == 0
    assert Recipe("mnist", "convnet").norm_batches == 8
    assert old.digest != Recipe("mnist", "convnet").digest
