"""Views at test time: which there are, what they weigh, what they cost, and that nothing else changes."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import methods, nets
from paretosearch.data import ImageSet
from paretosearch.errors import RecipeError
from paretosearch.methods.test_views import ViewAveraging, views_of
from paretosearch.recipe import Recipe
from paretosearch.run import Sight
from paretosearch.testing.images import image_set
from paretosearch.training import Trained, Training, evaluation, train
from paretosearch.training import loop as loop_module
from paretosearch.training.portable import script_of, wide
from paretosearch.views import View, Views, seen, single

CPU = torch.device("cpu")
RECIPE = Recipe("stripes", "convnet", width=0.5, epochs=2, batch_size=32, reference_batch_size=32, learning_rate=0.1)


def images_to(flip: bool) -> ImageSet:
    return replace(image_set(per_class=32), flip=flip)


def with_views(count: int, **fields: object) -> Recipe:
    return replace(RECIPE, methods={"test_views": {"count": count}}, **fields)  # type: ignore[arg-type]  # as they are


def airbench(x: Tensor, network: nn.Module) -> Tensor:
    """The published weights: half for the image where it is, half for the moved ones; half of each for its mirror."""

    def both_sides(images: Tensor) -> Tensor:
        answer: Tensor = (network(images) + network(torch.flip(images, [-1]))) / 2
        return answer

    wide, edge = F.pad(x, [1] * 4, "reflect"), x.shape[-1]
    moved = [both_sides(wide[:, :, at : at + edge, at : at + edge]) for at in (0, 2)]
    return both_sides(x) / 2 + (moved[0] + moved[1]) / 4


def some_network() -> nn.Module:
    torch.manual_seed(0)
    return nets.build("convnet", classes=4, channels=1, image_size=12).eval()


@torch.no_grad()
def answer_of(count: int, flip: bool, network: nn.Module, x: Tensor) -> Tensor:
    method = ViewAveraging(count=count)
    method.see(Sight((0.5,), (0.25,), flip))
    answer: Tensor = method.eval_model(network)(x)
    return answer


@torch.no_grad()
def test_six_views_are_those_of_airbench() -> None:
    network, x = some_network(), torch.randn(5, 1, 12, 12)
    torch.testing.assert_close(answer_of(6, True, network, x), airbench(x, network))


@torch.no_grad()
def test_two_views_are_the_image_and_its_mirror_image() -> None:
    network, x = some_network(), torch.randn(5, 1, 12, 12)
    torch.testing.assert_close(answer_of(2, True, network, x), (network(x) + network(x.flip(3))) / 2)
    torch.testing.assert_close(answer_of(2, True, network, x), answer_of(2, True, network, x.flip(3)))


@torch.no_grad()
def test_where_nothing_may_be_mirrored_images_are_shifted_alone() -> None:
    network, x = some_network(), torch.randn(5, 1, 12, 12)
    moved = [network(seen(x, View(1, shift=shift))) for shift in (1, -1)]
    torch.testing.assert_close(answer_of(6, False, network, x), network(x) / 2 + (moved[0] + moved[1]) / 4)
    assert torch.equal(answer_of(2, False, network, x), network(x))


def test_a_network_that_has_seen_no_mirror_image_is_shown_none() -> None:
    with pytest.raises(RecipeError, match='with augmentation = "none" the network never learns what these show'):
        methods.active(with_views(2, augmentation="none"))
    six = Training(with_views(6, augmentation="none"), images_to(True), CPU)
    assert six.evaluator.passes == 3
    assert Training(with_views(6, augmentation="alternating"), images_to(True), CPU).evaluator.passes == 6


@pytest.mark.parametrize(
    ("count", "flip", "passes"), [(1, True, 1), (2, True, 2), (6, True, 6), (2, False, 1), (6, False, 3)]
)
def test_the_views_are_counted_and_their_weights_add_up_to_one(count: int, flip: bool, passes: int) -> None:
    views = views_of(count, flip)
    assert len(views) == len(set(views)) == passes
    assert sum(view.weight for view in views) == pytest.approx(1)
    method = ViewAveraging(count=count)
    method.see(Sight((0.5,), (0.25,), flip))
    assert method.passes() == passes


def test_a_shift_moves_an_image_by_a_pixel_and_reflects_the_border() -> None:
    x = torch.arange(16.0).view(1, 1, 4, 4)
    up, down = (seen(x, View(1, shift=shift)) for shift in (1, -1))
    assert torch.equal(up[0, 0, :3, :3], x[0, 0, 1:, 1:])
    assert torch.equal(down[0, 0, 1:, 1:], x[0, 0, :3, :3])
    assert up[0, 0, 3, 0] == x[0, 0, 2, 1]
    assert torch.equal(seen(x, View(1, mirrored=True)), x.flip(3))


def test_the_network_is_trained_as_it_is_without_views() -> None:
    plain, six = (train(recipe, images_to(True), CPU) for recipe in (RECIPE, with_views(6)))
    ours, theirs = plain.model.state_dict(), single(six.model).state_dict()
    assert isinstance(six.model, Views)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


class _Ticking:
    """A clock of the host on which every batch of an evaluation takes a second for each pass."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def trained_with_slow_views(monkeypatch: pytest.MonkeyPatch, count: int, with_test: bool) -> tuple[Trained, float]:
    """Train with evaluations of 12 seconds; gives the result and what was on the clock before the last one."""
    training, ticking = Training(with_views(count), images_to(True), CPU), _Ticking()
    measure, seconds = evaluation.accuracy, []

    def slow(*arguments: object) -> float:
        ticking.now += 12.0
        seconds.append(training.clock.train_seconds)
        return measure(*arguments)  # type: ignore[arg-type]  # as they were

    monkeypatch.setattr(evaluation, "accuracy", slow)
    monkeypatch.setattr(training.clock, "_now", ticking)
    monkeypatch.setattr(training.clock._delay, "seconds", lambda: 0.0)
    result = training.go(with_test)
    return result, seconds[RECIPE.epochs - 1]


@pytest.mark.parametrize(("count", "extra"), [(1, 0.0), (2, 6.0), (6, 10.0)])
@pytest.mark.parametrize("with_test", [False, True])
def test_the_passes_beyond_the_first_of_the_last_evaluation_are_on_the_clock(
    monkeypatch: pytest.MonkeyPatch, count: int, extra: float, with_test: bool
) -> None:
    result, before = trained_with_slow_views(monkeypatch, count, with_test)
    outcome = result.outcome
    assert outcome.train_seconds == pytest.approx(before + extra)
    assert outcome.epochs[-1].train_seconds == outcome.train_seconds
    assert outcome.epochs[0].train_seconds == pytest.approx(before)  # whose steps take no time here


def test_an_inference_costs_a_forward_pass_for_each_view_and_a_step_does_not() -> None:
    outcomes = {count: train(with_views(count), images_to(True), CPU).outcome for count in (1, 6)}
    one, six = outcomes[1], outcomes[6]
    assert six.inference_flops == 6 * one.inference_flops  # type: ignore[operator]
    assert six.training_flops == one.training_flops
    assert six.epochs[-1].flops_per_image == one.epochs[-1].flops_per_image
    assert six.parameters == one.parameters


def test_statistics_are_estimated_on_images_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    seen_models: list[nn.Module] = []
    monkeypatch.setattr(loop_module, "reestimate", lambda model, *_: seen_models.append(model))
    training = Training(with_views(6), images_to(True), CPU)
    training.go(with_test=False)
    assert seen_models == [training.run.model]


@pytest.mark.parametrize("averaging", [{"ema": {"decay": 0.9}}, {"swa": {"start": 0.5}}])
def test_averaged_weights_are_seen_in_all_views(averaging: dict[str, dict[str, float]]) -> None:
    recipe = replace(RECIPE, methods={"test_views": {"count": 2}, **averaging})
    result = train(recipe, images_to(True), CPU)
    plain = train(replace(RECIPE, methods=averaging), images_to(True), CPU)
    ours, theirs = single(result.model).state_dict(), plain.model.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    names = [method.name for method in methods.CATALOGUE]
    assert names[-1] == "test_views", "whatever chooses the weights to evaluate must stand before it"


def test_the_answer_of_half_precision_is_averaged_in_fp32() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 3)).to(torch.bfloat16)
    assert Views(network, views_of(2, True))(torch.ones(2, 1, 4, 4, dtype=torch.bfloat16)).dtype == torch.float32


def test_it_is_written_down_for_other_programs_with_all_its_views() -> None:
    images = images_to(True)
    model = wide(train(with_views(6), images, CPU).model)
    scope: dict[str, object] = {}
    exec(compile(script_of(model, images, "fp32"), "network.py", "exec"), scope)
    written = scope["Network"]()  # type: ignore[operator]  # the class of the file
    written.load_state_dict(model.state_dict())
    x = torch.randn(3, 1, 12, 12)
    torch.testing.assert_close(written.eval()(x), airbench(x, single(model)))
