"""Gradient approximation: which gradients are whose, what steps leave alone, and that the work is not done."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import methods, weight_gradients
from paretosearch.errors import RecipeError
from paretosearch.geometry import Geometry
from paretosearch.methods.gradient_approximation import GradientApproximation, behind_first, inner
from paretosearch.methods.prunetrain import PruneTrain
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import TinyTraining
from paretosearch.training import Training, train
from paretosearch.weight_gradients import Rule, convolve

GEOMETRIES = [
    Geometry((1, 1), (1, 1), (1, 1), 1),
    Geometry((2, 1), (0, 1), (1, 2), 1),
    Geometry((1, 1), (1, 1), (1, 1), 4),
]


def operands(geometry: Geometry, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    """Draw images of 8 channels, a weight to as many, and a bias."""
    torch.manual_seed(0)
    x, weight = torch.randn(6, 8, 7, 9, dtype=dtype), torch.randn(8, 8 // geometry.groups, 3, 3, dtype=dtype)
    bias = torch.randn(8, dtype=dtype)
    return (
        x.contiguous(memory_format=torch.channels_last).requires_grad_(),
        weight.requires_grad_(),
        bias.requires_grad_(),
    )


def gradients(
    function: Callable[[Tensor, Tensor, Tensor], Tensor], geometry: Geometry, dtype: torch.dtype = torch.float64
) -> tuple[Tensor | None, ...]:
    """Give the gradients of images, weight and bias of a function that convolves them."""
    given = operands(geometry, dtype)
    y = function(*given)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).to(y.dtype)
    return torch.autograd.grad(y, given, grad, allow_unused=True)


def of(rule: Rule, geometry: Geometry, dtype: torch.dtype = torch.float64) -> tuple[Tensor | None, ...]:
    return gradients(lambda x, w, b: convolve(x, w, b, geometry, rule), geometry, dtype)


def exactly(geometry: Geometry, dtype: torch.dtype = torch.float64) -> tuple[Tensor | None, ...]:
    return gradients(lambda x, w, b: F.conv2d(x, w, b, *geometry), geometry, dtype)


def spread() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


WHOLE = {
    "exact": weight_gradients.exact,
    "channels": partial(weight_gradients.of_channels, keep=1.0),
    "samples": partial(weight_gradients.of_samples, keep=1.0),
    "measured": partial(weight_gradients.measured, factor=1.0, spread=spread()),
}
PARTIAL: dict[str, Rule] = {
    "none": weight_gradients.none,
    "zero": weight_gradients.zero,
    "random": partial(weight_gradients.random, spread=spread()),
    "channels": partial(weight_gradients.of_channels, keep=0.5),
    "samples": partial(weight_gradients.of_samples, keep=0.5),
}


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("rule", WHOLE.values(), ids=WHOLE)
def test_where_all_is_kept_every_gradient_is_that_of_autograd(rule: Rule, geometry: Geometry) -> None:
    for ours, theirs in zip(of(rule, geometry), exactly(geometry), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("rule", PARTIAL.values(), ids=PARTIAL)
def test_the_gradients_of_images_and_bias_are_exact_whatever_the_weight_gets(rule: Rule, geometry: Geometry) -> None:
    (x, _, bias), (exact_x, _, exact_bias) = of(rule, geometry), exactly(geometry)
    torch.testing.assert_close(x, exact_x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(bias, exact_bias, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("geometry", GEOMETRIES[:2])
def test_the_channels_with_the_largest_gradients_are_exact_and_others_zero(geometry: Geometry) -> None:
    _, found, _ = of(PARTIAL["channels"], geometry)
    _, whole, _ = exactly(geometry)
    y = F.conv2d(*operands(geometry), *geometry)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1))
    largest = grad.abs().sum((0, 2, 3)).topk(4).indices
    expected = torch.zeros_like(whole)
    expected[largest] = whole[largest]
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)
    assert bool(found[largest].any())


def test_images_drawn_at_random_give_the_exact_gradient_in_the_mean() -> None:
    geometry = GEOMETRIES[0]
    _, whole, _ = exactly(geometry)
    torch.manual_seed(2)
    x, weight, bias = operands(geometry)
    torch.manual_seed(3)
    y = F.conv2d(x, weight, bias, *geometry)
    grad = torch.randn(y.shape, generator=torch.Generator().manual_seed(1)).double()
    draws = torch.stack([PARTIAL["samples"](grad, x.detach(), weight.detach(), geometry) for _ in range(3000)])
    error = draws.std(0) / len(draws) ** 0.5
    off = (draws.mean(0) - whole).abs() / error
    print(f"mean over 3000 draws is off by {off.max():.2f} standard errors at most, of {off.numel()} entries")
    assert off.max() < 4.5


def test_noise_has_the_size_of_the_last_exact_gradient() -> None:
    geometry, size = GEOMETRIES[0], spread()
    _, whole, _ = of(partial(weight_gradients.measured, factor=3.0, spread=size), geometry)
    _, exact, _ = exactly(geometry)
    torch.testing.assert_close(whole, 3 * exact, rtol=1e-9, atol=1e-9)
    assert size.item() == pytest.approx(exact.square().mean().sqrt().item())
    x, weight, _ = (tensor.detach() for tensor in operands(geometry))
    drawn = torch.stack([weight_gradients.random(x, x, weight, geometry, size) for _ in range(200)])
    assert drawn.std().item() == pytest.approx(size.item(), rel=0.02)
    assert abs(drawn.mean().item()) < 4 * size.item() / drawn.numel() ** 0.5
    before = size.clone()
    weight_gradients.measured(torch.full_like(x, torch.inf), x, weight, geometry, 1.0, size)
    assert torch.equal(size, before), "an overflow must not become the size of the noise"


@pytest.mark.parametrize("rule", ["channels", "samples", "zero"])
def test_autocast_computes_in_its_format_and_gives_gradients_in_that_of_the_weights(rule: str) -> None:
    geometry = GEOMETRIES[0]
    x, weight, bias = operands(geometry, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = convolve(x, weight, bias, geometry, PARTIAL[rule])
    assert y.dtype == torch.bfloat16
    found = torch.autograd.grad(y, (x, weight, bias), torch.randn_like(y))
    assert {grad.dtype for grad in found} == {torch.float32}


@pytest.mark.parametrize("rule", ["channels", "samples"])
def test_the_memory_format_of_weights_and_images_is_kept(rule: str) -> None:
    x, weight, bias = operands(GEOMETRIES[0])
    weight = weight.detach().contiguous(memory_format=torch.channels_last).requires_grad_()
    y = convolve(x, weight, bias, GEOMETRIES[0], PARTIAL[rule])
    assert y.is_contiguous(memory_format=torch.channels_last)
    of_x, of_weight = torch.autograd.grad(y, (x, weight), torch.ones_like(y))
    assert of_x.is_contiguous(memory_format=torch.channels_last)
    assert of_weight.is_contiguous(memory_format=torch.channels_last)


def names(model: nn.Module, convs: list[nn.Conv2d]) -> list[str]:
    return [name for name, module in model.named_modules() if module in convs]


def test_the_inner_convolutions_are_neither_the_first_nor_of_the_last_block() -> None:
    resnet, vgg, convnet = (TinyTraining((), name).run.model for name in ("resnet8", "vgg11", "convnet"))
    assert names(resnet, inner(resnet)) == ["1.conv1", "1.conv2", "3.conv1", "3.conv2"]
    assert names(convnet, inner(convnet)) == ["2.0", "4.0"]
    assert len(inner(vgg)) == 6
    flat = nn.Sequential(*(nn.Conv2d(2, 2, 3) for _ in range(4)))
    assert names(flat, inner(flat)) == ["1", "2"]
    assert len(behind_first(resnet)) == sum(isinstance(m, nn.Conv2d) for m in resnet.modules()) - 1


def test_what_is_more_than_a_convolution_is_left_alone() -> None:
    class Own(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            return -super().forward(x)

    circular, same = nn.Conv2d(2, 2, 3, padding_mode="circular", padding=1), nn.Conv2d(2, 2, 3, padding="same")
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3), Own(2, 2, 3), circular, same)
    assert behind_first(model) == [model[1]]


def test_a_network_without_such_a_convolution_is_refused() -> None:
    small = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Conv2d(2, 2, 3))
    with pytest.raises(RecipeError, match=r'layers = "inner" finds no convolution to approximate.*use layers = all'):
        GradientApproximation(kind="zero").edit_model(small)
    assert GradientApproximation(kind="zero", layers="all").edit_model(small) is small


def weights(training: TinyTraining) -> dict[str, Tensor]:
    """Copy the weights of all layers but batch norm, of which one of a single channel has no gradient."""
    return {name: p.detach().clone() for name, p in training.run.model.named_parameters() if p.ndim > 1}


def steps(training: TinyTraining, count: int) -> list[set[str]]:
    """Make steps of an epoch; gives the names of the weights that stay in each, bit by bit."""
    training.run.model.train()
    training.run.steps_per_epoch = count
    still = []
    for _ in range(count):
        before = weights(training)
        training._batch(*training.batch)
        after = weights(training)
        still.append({name for name in before if torch.equal(before[name], after[name])})
    return still


INNER = {"2.0.weight", "4.0.weight"}


@pytest.mark.parametrize("every", [2, 4])
def test_a_skipped_weight_stays_bit_by_bit_and_all_others_move(every: int) -> None:
    still = steps(TinyTraining((GradientApproximation(kind="zero", every=every),)), 8)
    assert still == [INNER if step % every else set() for step in range(8)]


@pytest.mark.parametrize(
    "parameters",
    [{"kind": "zero", "momentum_on_skip": True}, {"kind": "random"}, {"kind": "samples"}],
    ids=lambda parameters: parameters["kind"],
)
def test_weights_move_in_every_step_where_they_have_a_gradient(parameters: dict[str, str | bool]) -> None:
    assert steps(TinyTraining((GradientApproximation(**parameters),)), 4) == [set()] * 4


def test_momentum_goes_on_where_it_should() -> None:
    training = TinyTraining((GradientApproximation(kind="zero", momentum_on_skip=True),))
    weight = training.run.model.get_submodule("2.0").weight
    steps(training, 1)
    momentum, before = training.run.optimizer.state[weight]["momentum_buffer"].clone(), weight.detach().clone()
    training._batch(*training.batch)
    torch.testing.assert_close(training.run.optimizer.state[weight]["momentum_buffer"], 0.9 * momentum)
    torch.testing.assert_close(weight.detach(), before - 0.05 * 0.81 * momentum)  # Nesterov


def test_exact_gradients_count_for_the_skipped_ones_where_they_are_rescaled() -> None:
    moved = []
    for rescale in (False, True):
        training = TinyTraining((GradientApproximation(kind="zero", every=4, rescale=rescale),))
        before = weights(training)
        steps(training, 1)
        moved.append({name: after - before[name] for name, after in weights(training).items()})
    for name, plain in moved[0].items():
        torch.testing.assert_close(moved[1][name], (4 if name in INNER else 1) * plain, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind", ["zero", "random", "channels", "samples"])
def test_exact_steps_are_those_of_a_plain_training(kind: str) -> None:
    ours, plain = TinyTraining((GradientApproximation(kind=kind),)), TinyTraining(())
    for training in (ours, plain):
        steps(training, 1)
    for name, weight in weights(plain).items():
        torch.testing.assert_close(weights(ours)[name], weight, rtol=1e-5, atol=1e-7)


def test_sub_steps_of_others_are_exact() -> None:
    training = TinyTraining((GradientApproximation(kind="zero"),))
    steps(training, 2)
    assert training.methods[0].variant(training.run) == ""
    training.run.epoch_step = 1
    assert training.methods[0].variant(training.run) == "approximate"
    _, found = training.run.gradients(*training.batch)
    assert all(grad is not None for grad in found)


def with_penalty(form: str) -> tuple[TinyTraining, nn.Parameter]:
    """Make a training with a penalty on channels, before its first skipped step; gives a weight that is skipped."""
    made = GradientApproximation(kind="zero", every=4), PruneTrain(penalty_ratio=0.5, form=form)
    training = TinyTraining(made, width=1.0)
    made[1].on_epoch_start(training.run)
    steps(training, 1)
    return training, training.run.model.get_submodule("2.0").weight


def test_the_penalty_of_pruning_shrinks_weights_in_skipped_steps() -> None:
    training, weight = with_penalty("proximal")
    norms = []
    for _ in range(3):
        norms.append(weight.detach().norm().item())
        training._batch(*training.batch)
    assert norms[0] == norms[1] == norms[2] > weight.detach().norm().item()  # which has come to its fourth step


def test_the_gradient_of_pruning_is_there_in_skipped_steps() -> None:
    training, weight = with_penalty("subgradient")
    momentum = training.run.optimizer.state[weight]["momentum_buffer"]
    before, old = momentum.clone(), weight.detach().clone()
    training._batch(*training.batch)
    gradient = momentum - 0.9 * before
    assert bool(gradient.any())
    assert not torch.equal(weight, old)
    # Every channel's own share of it points along the channel's weights.
    assert F.cosine_similarity(gradient.flatten(), old.flatten(), dim=0) > 0.8


def test_the_network_is_itself_between_epochs_and_deepened_layers_take_part() -> None:
    training = TinyTraining((GradientApproximation(kind="zero"),)).epoch()
    convs = [m for m in training.run.model.modules() if isinstance(m, nn.Conv2d)]
    assert not any("_conv_forward" in vars(conv) for conv in convs)
    training.surgeon.insert_identity("0", torch.Generator())
    inserted = training.run.model.get_submodule("0_1.0").weight
    before = inserted.detach().clone()
    steps(training, 1)
    assert not torch.equal(inserted, before)
    before = inserted.detach().clone()
    training._batch(*training.batch)
    assert torch.equal(inserted, before)


RECIPE = Recipe("stripes", "resnet8", width=0.5, epochs=2, batch_size=32, reference_batch_size=32, learning_rate=0.05)


@pytest.mark.parametrize(
    ("parameters", "number_format"),
    [({"kind": "zero"}, "fp32"), ({"kind": "channels"}, "bf16"), ({"kind": "samples", "layers": "all"}, "bf16-pure")],
    ids=lambda value: value["kind"] if isinstance(value, dict) else value,
)
def test_a_real_training_learns_with_the_fused_forward_pass(
    parameters: dict[str, str], number_format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    called = []
    plain = convolve

    def counted(*arguments: object) -> Tensor:
        called.append(arguments)
        return plain(*arguments)  # type: ignore[arg-type]  # as they were

    monkeypatch.setattr("paretosearch.methods.gradient_approximation.convolve", counted)
    recipe = Recipe(
        **{**vars(RECIPE), "number_format": number_format, "methods": {"gradient_approximation": parameters}}
    )
    training = Training(recipe, image_set(per_class=32), torch.device("cpu"))
    outcome = training.go(with_test=False).outcome
    assert {phase.tier for phase in outcome.phases} == {"fused"}
    assert outcome.epochs[-1].loss < outcome.epochs[0].loss
    layers = len(behind_first(training.run.model) if "layers" in parameters else inner(training.run.model))
    assert len(called) == layers * 2 * training.run.steps_per_epoch // 2


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"number_format": "dfp16"}, 'gradient_approximation does not go with number_format = "dfp16"'),
        ({"compile": "default"}, 'gradient_approximation does not go with compile = "default"'),
    ],
)
def test_what_has_a_backward_pass_of_its_own_is_refused(fields: dict[str, str], said: str) -> None:
    recipe = Recipe(**{**vars(RECIPE), **fields, "methods": {"gradient_approximation": {"kind": "zero"}}})
    with pytest.raises(RecipeError, match=said):
        train(recipe, image_set(per_class=16), torch.device("cpu"))


def test_what_a_kind_has_no_use_for_makes_no_other_recipe() -> None:
    given = {"kind": "zero", "every": 4, "keep": 0.3, "layers": "all", "momentum_on_skip": True, "rescale": True}

    def canonical(kind: str) -> dict[str, object]:
        recipe = Recipe(**{**vars(RECIPE), "methods": {"gradient_approximation": {**given, "kind": kind}}})
        (method,) = (m for m in methods.active(recipe) if m.name == "gradient_approximation")
        return dict(method.canonical(recipe) or {})

    assert canonical("zero") == {**given, "keep": 0.5}
    assert canonical("random") == {**given, "kind": "random", "keep": 0.5, "momentum_on_skip": False}
    assert canonical("channels") == {**given, "kind": "channels", "momentum_on_skip": False, "rescale": False}


@pytest.mark.parametrize("kind", ["channels", "samples"])
def test_to_keep_everything_is_refused_and_makes_no_recipe_of_its_own(kind: str) -> None:
    recipe = Recipe(**{**vars(RECIPE), "methods": {"gradient_approximation": {"kind": kind, "keep": 1.0}}})
    with pytest.raises(
        RecipeError, match=rf'keep = 1 leaves nothing out where kind = "{kind}"; lower it, or set kind ='
    ):
        methods.active(recipe)
    assert GradientApproximation(kind=kind, keep=1.0).canonical(recipe) is None


def test_kinds_that_keep_nothing_by_number_may_have_any() -> None:
    recipe = Recipe(**{**vars(RECIPE), "methods": {"gradient_approximation": {"kind": "zero", "keep": 1.0}}})
    (method,) = (m for m in methods.active(recipe) if m.name == "gradient_approximation")
    assert method.canonical(recipe) == {"kind": "zero", "keep": 0.5}


@pytest.mark.parametrize("rule", [weight_gradients.of_channels, weight_gradients.of_samples])
def test_a_share_that_rounds_to_all_still_leaves_one_out(rule: Callable[..., Tensor]) -> None:
    x, weight, _ = (tensor.detach() for tensor in operands(GEOMETRIES[0]))
    grad = torch.randn(F.conv2d(x, weight, None, *GEOMETRIES[0]).shape, dtype=x.dtype)
    whole = weight_gradients.exact(grad, x, weight, GEOMETRIES[0])
    found = rule(grad, x, weight, GEOMETRIES[0], keep=0.99)
    assert not torch.allclose(found, whole)
    if rule is weight_gradients.of_channels:
        assert int((found.flatten(1).abs().amax(1) == 0).sum()) == 1


def test_of_one_nothing_can_be_left_out() -> None:
    x, weight, _ = (tensor.detach()[:1] for tensor in operands(GEOMETRIES[0]))
    grad = torch.randn(F.conv2d(x, weight, None, *GEOMETRIES[0]).shape, dtype=x.dtype)
    whole = weight_gradients.exact(grad, x, weight, GEOMETRIES[0])
    for rule in (weight_gradients.of_channels, weight_gradients.of_samples):
        torch.testing.assert_close(rule(grad, x, weight, GEOMETRIES[0], keep=0.3), whole)


def test_the_work_for_the_weight_is_not_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    plain = torch.ops.aten.convolution_backward

    def watched(*arguments: object) -> object:
        asked.append(arguments[-1])
        return plain(*arguments)

    monkeypatch.setattr(torch.ops.aten, "convolution_backward", watched)
    of(weight_gradients.none, GEOMETRIES[0])
    assert asked == [[True, False, True]]
    asked.clear()
    of(PARTIAL["samples"], GEOMETRIES[0])
    assert asked == [[True, False, True], [False, True, False]]


def step_of(convs: nn.Sequential, x: Tensor, rule: Rule | None) -> float:
    """Time forward and backward of some convolutions."""
    start, y = time.process_time(), x
    for conv in convs:
        geometry = Geometry.of(conv)
        y = conv(y) if rule is None else convolve(y, conv.weight, None, geometry, rule)
    torch.autograd.grad(y.square().sum(), (x, *convs.parameters()), allow_unused=True)
    return time.process_time() - start


def test_a_step_without_weight_gradients_takes_less_time() -> None:
    convs = nn.Sequential(*(nn.Conv2d(256, 256, 3, padding=1, bias=False) for _ in range(3)))
    convs = convs.to(memory_format=torch.channels_last)
    x = torch.randn(4, 256, 8, 8).contiguous(memory_format=torch.channels_last).requires_grad_()
    taken: dict[str, list[float]] = {"exact": [], "zero": []}
    for _ in range(12):
        taken["exact"].append(step_of(convs, x, None))
        taken["zero"].append(step_of(convs, x, weight_gradients.none))
    exact, zero = (statistics.median(times[2:]) for times in taken.values())
    print(f"256 channels: exact {1000 * exact:.1f} ms, without weight gradients {1000 * zero:.1f} ms")
    assert zero < 0.9 * exact


def test_the_first_step_of_an_epoch_is_exact() -> None:
    training = TinyTraining((GradientApproximation(kind="zero", every=4),))
    (method,) = training.methods
    said = []
    for training.run.epoch_step in range(6):
        said.append(method.variant(training.run))
    assert said == ["", "approximate", "approximate", "approximate", "", "approximate"]
    assert method.quiet_until(training.run) == training.run.recipe.epochs
    assert isinstance(training.run, Run)
