"""A training learns, repeats, measures and says what went wrong."""

from dataclasses import replace

import pytest
import torch

from paretosearch.errors import DivergedError, RecipeError
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import Trained, train
from paretosearch.training.build import build_optimizer

CPU = torch.device("cpu")
RECIPE = Recipe("stripes", "convnet", epochs=3, batch_size=32, reference_batch_size=32, learning_rate=0.05, seed=3)


def trained(recipe: Recipe = RECIPE, **options: object) -> Trained:
    return train(recipe, image_set(), CPU, **options)  # type: ignore[arg-type]


def weights(result: Trained) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in result.model.parameters()])


def test_a_network_learns_stripes() -> None:
    outcome = trained(replace(RECIPE, epochs=6)).outcome
    assert outcome.status == "complete"
    assert outcome.accuracy is not None
    assert outcome.accuracy > 0.9
    assert outcome.epochs[-1].loss < outcome.epochs[0].loss


def test_the_same_recipe_gives_the_same_weights() -> None:
    assert torch.equal(weights(trained()), weights(trained()))


def test_another_seed_gives_other_weights() -> None:
    assert not torch.equal(weights(trained()), weights(trained(replace(RECIPE, seed=4))))


@pytest.mark.parametrize(
    "change",
    [
        {"batch_size": 64},
        {"learning_rate": 0.01},
        {"momentum": 0.0},
        {"weight_decay": 0.1},
        {"augmentation": "none"},
        {"pooling": "s3"},
        {"schedule": "constant"},
        {"train_images": 128},
        {"methods": {"label_smoothing": {"alpha": 0.1}}},
        {"width": 2.0},
        {"learning_rate_rule": "sqrt", "reference_batch_size": 128},
    ],
)
def test_every_field_of_a_recipe_matters(change: dict[str, object]) -> None:
    changed = weights(trained(replace(RECIPE, epochs=1, **change)))  # type: ignore[arg-type]
    plain = weights(trained(replace(RECIPE, epochs=1)))
    assert changed.shape != plain.shape or not torch.equal(changed, plain)


def test_an_outcome_is_complete_and_survives_json() -> None:
    outcome = trained().outcome
    assert Outcome.from_json(outcome.to_json()) == outcome
    assert len(outcome.epochs) == 3
    assert outcome.test_accuracy is None
    for name in ("train_seconds", "wall_seconds", "parameters", "inference_flops", "peak_memory_bytes"):
        assert getattr(outcome, name) > 0, name
    assert outcome.training_flops == 3 * outcome.inference_flops * 256 * 3  # type: ignore[operator]
    assert outcome.images_per_second == pytest.approx(3 * 256 / outcome.train_seconds)
    assert outcome.epochs[-1].train_seconds == outcome.train_seconds


def test_the_test_split_is_looked_at_only_when_asked() -> None:
    assert trained(with_test=True).outcome.test_accuracy is not None


def test_every_epoch_is_reported_and_the_reporter_may_end_the_training() -> None:
    seen: list[int] = []

    def report(result: object) -> None:
        seen.append(result.epoch)  # type: ignore[attr-defined]
        if len(seen) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trained(on_epoch=report)
    assert seen == [1, 2]


def test_a_learning_rate_far_too_high_is_called_diverged() -> None:
    with pytest.raises(DivergedError, match="training loss is (nan|inf) in epoch"):
        trained(replace(RECIPE, learning_rate=100.0, momentum=0.99, schedule="constant", epochs=20))


def test_a_pruned_training_that_diverges_is_called_diverged() -> None:
    pruned = {"prunetrain": {"penalty_ratio": 0.3, "interval": 1}}
    with pytest.raises(DivergedError, match="training loss is (nan|inf) in epoch"):
        trained(replace(RECIPE, learning_rate=100.0, weight_decay=1.0, schedule="constant", methods=pruned))


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(RecipeError, match="batch_size"):
        trained(replace(RECIPE, batch_size=1024))


def test_norms_and_biases_do_not_decay() -> None:
    # With no gradient signal left (learning rate times decay only), decayed weights shrink and the others stay.
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    groups = build_optimizer(model, replace(RECIPE, weight_decay=0.01)).param_groups
    assert [len(g["params"]) for g in groups] == [1, 3]
    assert [g["weight_decay"] for g in groups] == [0.01, 0.0]
