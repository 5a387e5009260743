"""A training learns, repeats, measures and says what went wrong."""

from dataclasses import replace

import pytest
import torch

from paretosearch.errors import DivergedError, RecipeError
from paretosearch.methods.one_cycle import one_cycle
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.training import Trained, Training, train
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
        {"train_share": 0.5},
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


@pytest.mark.parametrize(("batch_size", "epochs"), [(32, 2), (64, 4), (256, 16)])
def test_equal_updates_are_as_many_steps_whatever_the_batch(batch_size: int, epochs: int) -> None:
    recipe = replace(RECIPE, width=0.25, epochs=2, epochs_rule="updates", batch_size=batch_size)
    training = Training(recipe, image_set(), CPU)
    rates: list[float] = []
    plain = training._batch

    def watched(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        loss = plain(x, y)
        rates.append(training.run.learning_rate / recipe.peak_learning_rate)
        return loss

    training._batch = watched  # type: ignore[method-assign]  # to look at every step
    outcome = training.go(with_test=False).outcome
    assert len(outcome.epochs) == epochs == recipe.total_epochs
    assert training.run.step == len(rates) == 2 * 256 // 32
    assert rates == pytest.approx([one_cycle((i + 0.5) / 16, 0.2) for i in range(16)])  # the schedule is stretched


def test_a_training_stretched_by_its_batch_changes_its_shape_at_the_same_shares() -> None:
    methods = {
        "net2net": {"schedule": "widen@0.25x2"},
        "prunetrain": {"penalty_ratio": 0.5, "interval": 3, "rest": 0.0},
        "swa": {"start": 0.75},
    }
    recipe = replace(RECIPE, network="resnet8", width=0.25, epochs=4, batch_size=64, methods=methods)
    outcomes = [train(replace(recipe, epochs_rule=rule), image_set(), CPU).outcome for rule in ("fixed", "updates")]
    assert [len(outcome.epochs) for outcome in outcomes] == [4, 8]
    changes = [[(surgery.kind, surgery.epoch) for surgery in outcome.surgeries] for outcome in outcomes]
    assert changes == [[("widen", 1), ("prune", 3)], [("widen", 2), ("prune", 6)]]


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
