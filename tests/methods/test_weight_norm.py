"""Weight normalisation: its formulas, what it begins with, and what is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.axis import Value
from paretosearch.errors import RecipeError
from paretosearch.methods import weight_norm
from paretosearch.methods.ema import EMA
from paretosearch.methods.weight_norm import WeightNorm, without_decay
from paretosearch.norms import replace_norms
from paretosearch.recipe import Recipe
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import TinyTraining
from paretosearch.testing.surgery import relative_change
from paretosearch.training import loop, train
from paretosearch.training.build import build_optimizer
from paretosearch.training.portable import plain
from paretosearch.training.precision import Precision
from paretosearch.training.reestimate import reestimate
from paretosearch.training.surgery import Surgeon
from paretosearch.weightnorm import MeanOnlyConv2d, WeightNormConv2d, with_lengths

CPU = torch.device("cpu")
FORMS = {"plain": WeightNormConv2d, "mean_only": MeanOnlyConv2d}
RECIPE = Recipe("stripes", "resnet8", width=0.5, epochs=3, batch_size=32, reference_batch_size=32)

every_form = pytest.mark.parametrize("form", FORMS)


def drawn(*shape: int, dtype: torch.dtype = torch.float64, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def images(count: int = 64, size: int = 16) -> Tensor:
    return drawn(count, 1, size, size, dtype=torch.float32, seed=3)


def network(name: str = "resnet8", form: str = "plain", width: float = 0.5) -> nn.Module:
    torch.manual_seed(0)
    model = nets.build(name, classes=4, channels=1, image_size=16, width=width)
    return WeightNorm(form=form).edit_model(model)


def layers(model: nn.Module) -> dict[str, WeightNormConv2d]:
    return {name: module for name, module in model.named_modules() if isinstance(module, WeightNormConv2d)}


@contextmanager
def watched(model: nn.Module) -> Iterator[dict[str, Tensor]]:
    """See what each weight-normalised convolution gives, before anybody writes over it."""
    seen: dict[str, Tensor] = {}
    handles = [
        layer.register_forward_hook(lambda *call, name=name: seen.update({name: call[-1].detach().double().clone()}))
        for name, layer in layers(model).items()
    ]
    yield seen
    for handle in handles:
        handle.remove()


def initialised(name: str = "resnet8", form: str = "plain", width: float = 0.5) -> tuple[nn.Module, TinyTraining]:
    """Give a network as it is before the first step, with its training."""
    tiny = TinyTraining((WeightNorm(form=form),), name, width)
    tiny.surgeon.images = images()
    tuple(tiny.methods[0].on_epoch_start(tiny.run))
    return tiny.run.model, tiny


def test_the_length_of_a_filter_is_its_gain() -> None:
    v, g = drawn(6, 3, 3, 3), drawn(6, seed=1)
    filters = with_lengths(v, g)
    torch.testing.assert_close(filters.flatten(1).norm(dim=1), g.abs())
    torch.testing.assert_close(filters, g.view(-1, 1, 1, 1) * v / v.flatten(1).norm(dim=1).view(-1, 1, 1, 1))


def test_the_gradients_are_those_of_the_paper() -> None:
    v, g = drawn(6, 3, 3, 3, dtype=torch.float32).requires_grad_(), drawn(6, dtype=torch.float32, seed=1)
    g.requires_grad_()
    filters = with_lengths(v, g)
    filters.retain_grad()
    (filters.pow(3) * drawn(6, 3, 3, 3, dtype=torch.float32, seed=2)).sum().backward()  # type: ignore[no-untyped-call]
    assert v.grad is not None
    assert g.grad is not None
    assert filters.grad is not None
    length = v.detach().flatten(1).norm(dim=1)
    of_w, of_v, direction = filters.grad.flatten(1), v.grad.flatten(1), v.detach().flatten(1) / length[:, None]
    of_g = (of_w * direction).sum(1)
    torch.testing.assert_close(g.grad, of_g)
    torch.testing.assert_close(of_v, (g.detach() / length)[:, None] * (of_w - of_g[:, None] * direction))
    across = ((of_v * direction).sum(1) / of_v.norm(dim=1)).abs().max().item()
    print(f"\ncosine of the gradient of v and v: at most {across:.1e}")
    assert across < 1e-5


@every_form
def test_at_the_beginning_every_channel_has_the_mean_0_and_the_deviation_1(form: str) -> None:
    model, tiny = initialised("resnet8", form)
    ends = {branch.last for branch in tiny.surgeon.channels.branches}
    assert len(ends) == 3 < len(layers(model))
    with watched(model.train()) as seen:
        model(images())
    worst = [0.0, 0.0]
    for name, y in seen.items():
        deviation = 3**-0.5 if name in ends else 1.0
        worst[0] = max(worst[0], y.mean((0, 2, 3)).abs().max().item())
        worst[1] = max(worst[1], (y.std((0, 2, 3)) / deviation - 1).abs().max().item())
    print(f"\n{form}: |mean| at most {worst[0]:.1e}, |std / wanted - 1| at most {worst[1]:.1e}")
    assert worst[0] < 1e-3
    assert worst[1] < 1e-2
    with watched(model.eval()) as seen:
        model(images())
    assert max(y.mean((0, 2, 3)).abs().max().item() for y in seen.values()) < 1e-3


def test_each_layer_begins_with_what_the_ones_before_it_then_give() -> None:
    model, _ = initialised()
    first = next(iter(layers(model).values()))
    begun = [layer.gain.detach().clone() for layer in layers(model).values()]
    with torch.no_grad():
        first.weight.mul_(7)  # which changes nothing
    again, _ = initialised()
    ours = [layer.gain.detach() for layer in layers(again).values()]
    assert all(map(torch.equal, ours, begun))
    assert any((gain - 1).abs().max() > 0.1 for gain in begun)


def test_the_sum_of_many_branches_does_not_grow() -> None:
    def at_the_end(model: nn.Module) -> float:
        seen: list[Tensor] = []
        handle = model[-2].register_forward_hook(lambda *call: seen.append(call[-1].detach()))  # type: ignore[index]
        with torch.no_grad():
            model(images())
        handle.remove()
        return seen[0].std().item()

    model, tiny = initialised("resnet56", width=0.25)
    scaled = at_the_end(model)
    weight_norm.initialise(dict.fromkeys(layers(model).values(), 1.0), lambda: model(images()))
    unscaled = at_the_end(model)
    print(f"\nresnet56, deviation of the last block's output: {scaled:.2f}, without the factor {unscaled:.2f}")
    assert len(tiny.surgeon.channels.branches) == 27
    assert 2.5 * scaled < unscaled
    assert scaled < 1


@every_form
def test_to_and_from_a_plain_convolution_nothing_changes(
    form: str, note_difference: Callable[[str, float], float]
) -> None:
    kind, x = FORMS[form], drawn(4, 3, 7, 6, dtype=torch.float32)
    for fields in ({"stride": 2}, {"padding": "same", "bias": False}, {"groups": 3, "dilation": 2}):
        conv = nn.Conv2d(3, 6, 3, **fields)  # type: ignore[arg-type]  # what a convolution takes
        layer = kind.of(conv).eval()
        back = layer.plain()
        again = kind.of(back).eval()
        assert type(back) is nn.Conv2d
        for other in (layer, back, again):
            assert note_difference("weight norm to and from plain", relative_change(conv(x), other(x))) < 1e-6


@every_form
def test_a_trained_network_is_kept_as_one_of_plain_convolutions(
    form: str, note_difference: Callable[[str, float], float]
) -> None:
    model = train(replace(RECIPE, methods={"weight_norm": {"form": form}}), image_set(), CPU).model.eval()
    x = images(8, 12)
    kept, logits = plain(model), model(x)
    assert not layers(kept)
    assert len(layers(model)) == 9
    assert not any("gain" in name or "running" in name for name in kept.state_dict())
    assert logits.std() > 0.1
    assert note_difference("logits of what is kept", relative_change(logits, kept(x))) < 1e-6


@every_form
def test_batch_norm_is_gone_and_only_the_decay_of_other_weights_is_left(form: str) -> None:
    method = WeightNorm(form=form)
    model = method.edit_model(nets.build("resnet8", classes=4, channels=1, image_size=16))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    optimizer = method.wrap_optimizer(build_optimizer(model, RECIPE))
    decayed = {p for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    every = [p for group in optimizer.param_groups for p in group["params"]]
    (dense,) = (module.weight for module in model.modules() if isinstance(module, nn.Linear))
    assert decayed == {dense}
    assert len(every) == len(set(every)) == len(list(model.parameters()))
    assert all("momentum_buffer" in optimizer.state[p] for p in every)


def test_a_group_that_loses_all_its_parameters_is_no_harm() -> None:
    conv = nn.Conv2d(1, 2, 3)
    optimizer = build_optimizer(conv, RECIPE)
    without_decay(optimizer, [conv.weight])
    before = conv.weight.detach().clone()
    for group in optimizer.param_groups:
        group["lr"] = 0.1
    conv(images(2)).sum().backward()
    optimizer.step()
    assert not torch.equal(conv.weight, before)


def test_mean_only_takes_the_mean_of_the_batch_and_then_of_the_running_average() -> None:
    layer = MeanOnlyConv2d.of(nn.Conv2d(3, 6, 3).double())
    assert layer.bias is not None
    nn.init.normal_(layer.bias)
    x, running = drawn(5, 3, 8, 8) + 1, torch.zeros(6, dtype=torch.float64)
    for number in range(3):
        y, raw = layer.train()(x * number), nn.functional.conv2d(x * number, layer.filters)
        torch.testing.assert_close(y.mean((0, 2, 3)), layer.bias)
        torch.testing.assert_close(y.std((0, 2, 3)), raw.std((0, 2, 3)))
        running = 0.9 * running + 0.1 * raw.mean((0, 2, 3))
    torch.testing.assert_close(layer.running_mean, running)
    expected = nn.functional.conv2d(x, layer.filters) + (layer.bias - running)[:, None, None]
    torch.testing.assert_close(layer.eval()(x), expected)
    torch.testing.assert_close(layer.plain()(x), expected)


def test_its_mean_is_part_of_the_gradient() -> None:
    layer = MeanOnlyConv2d.of(nn.Conv2d(1, 2, 1).double())
    x = drawn(3, 1, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: layer(x) ** 2, (x,))


def test_the_running_average_is_estimated_anew_at_the_end() -> None:
    layer = MeanOnlyConv2d.of(nn.Conv2d(3, 6, 3))
    given = [(drawn(4, 3, 6, 6, dtype=torch.float32, seed=seed) + seed, torch.zeros(4)) for seed in range(3)]
    reestimate(nn.Sequential(layer), given, 3, Precision("fp32", CPU))
    means = [nn.functional.conv2d(x, layer.filters).mean((0, 2, 3)) for x, _ in given]
    torch.testing.assert_close(layer.running_mean, torch.stack(means).mean(0).detach())
    assert layer.momentum == 0.1


@every_form
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_sixteen_bits_keep_their_format_and_lengths_are_computed_in_fp32(form: str, dtype: torch.dtype) -> None:
    conv = nn.Conv2d(512, 4, 3)
    with torch.no_grad():
        conv.weight.mul_(1e-3)  # whose squares fp16 does not have
    layer = FORMS[form].of(conv)
    layer.gain.data.fill_(1)
    exact = with_lengths(conv.weight.detach().to(dtype).double(), torch.ones(4, dtype=torch.float64))
    layer = layer.to(dtype)
    assert layer.filters.dtype is dtype
    assert relative_change(exact, layer.filters.double()) < torch.finfo(dtype).eps
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = FORMS[form].of(nn.Conv2d(3, 4, 3))(drawn(2, 3, 5, 5, dtype=torch.float32))
    assert y.dtype is torch.bfloat16


@pytest.mark.parametrize(
    ("number_format", "form"),
    [("fp32", "plain"), ("fp32", "mean_only"), ("bf16", "plain"), ("bf16-pure", "mean_only"), ("dfp16", "plain")],
)
def test_a_network_learns_without_batch_norm(number_format: str, form: str) -> None:
    small = {} if number_format == "fp32" else {"network": "convnet", "width": 1.0}
    methods: dict[str, dict[str, Value]] = {"weight_norm": {"form": form}}
    recipe = replace(RECIPE, number_format=number_format, learning_rate=0.05, methods=methods, **small)  # type: ignore[arg-type]
    outcome = train(recipe, image_set(), CPU).outcome
    assert outcome.epochs[-1].loss < 0.6 * outcome.epochs[0].loss
    assert outcome.accuracy is not None
    assert outcome.accuracy > 0.5


def test_the_first_pass_is_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*arguments: object) -> None:
        time.sleep(0.3)
        initialise(*arguments)  # type: ignore[arg-type]  # those of the function

    initialise = weight_norm.initialise
    monkeypatch.setattr(weight_norm, "initialise", slowly)
    training = loop.Training(replace(RECIPE, methods={"weight_norm": {"form": "plain"}}), image_set(), CPU)
    before = training.clock.train_seconds
    (method,) = (method for method in training.methods if method.name == "weight_norm")
    training.shape.change(iter(method.on_epoch_start(training.run)))
    assert training.clock.train_seconds - before < 0.3  # asking is on the clock, calling is not

    def asked() -> Iterator[object]:
        for method in training.methods:
            yield from method.on_epoch_start(training.run)

    before = training.clock.train_seconds
    training.shape.change(asked())  # type: ignore[arg-type]  # as the loop does it
    assert training.clock.train_seconds - before > 0.3


def test_later_epochs_do_not_begin_anew() -> None:
    model, tiny = initialised()
    with torch.no_grad():
        for layer in layers(model).values():
            layer.gain.fill_(2)
    tiny.run.epoch = 1
    tuple(tiny.methods[0].on_epoch_start(tiny.run))
    assert all(bool((layer.gain == 2).all()) for layer in layers(model).values())


def test_an_average_is_over_lengths_and_directions() -> None:
    tiny = TinyTraining((EMA(decay=0.5), WeightNorm(form="plain")), "resnet8")
    seen: list[dict[str, Tensor]] = []
    step = tiny.step

    def watched(*arguments: object) -> Tensor:
        loss = step(*arguments)  # type: ignore[arg-type]  # those of a Step
        seen.append({name: p.detach().clone() for name, p in tiny.run.model.named_parameters()})
        return loss

    tiny.step = watched
    tiny.epoch()
    shown = tiny.methods[0].eval_model(tiny.run.model)
    assert len(layers(shown)) == 9
    for name, mean in shown.named_parameters():
        torch.testing.assert_close(mean.detach(), seen[0][name] * 0.1 + seen[1][name] * 0.9)


def test_its_channels_stay_and_the_reason_is_given() -> None:
    channels = Surgeon(network(), images(2)).channels
    assert not channels.free
    assert any("divides its weights by their length" in str(s.frozen_reason) for s in channels.spaces.values())
    assert len(channels.branches) == 3


def test_a_network_without_batch_norm_has_all_its_convolutions_changed() -> None:
    model = WeightNorm(form="plain").edit_model(nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3)))
    assert len(layers(model)) == 2


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (
            nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 2, 3)),
            "weight_norm takes the place of batch norm right behind",
        ),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.BatchNorm2d(2)), "weight_norm takes the place of batch norm"),
        (nn.Sequential(nn.Flatten(), nn.Linear(4, 2)), "weight_norm changes convolutions, and this network has none"),
    ],
)
def test_a_network_in_which_it_cannot_act_is_refused_in_one_line(model: nn.Module, said: str) -> None:
    with pytest.raises(RecipeError, match=said) as caught:
        WeightNorm(form="plain").edit_model(model)
    assert "\n" not in str(caught.value)


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.conv(x)) if x.sum() > 0 else x  # type: ignore[no-any-return]


class Twice(nn.Module):
    """Uses one normalisation behind two convolutions, or reads a convolution beside it."""

    def __init__(self, shared: bool) -> None:
        super().__init__()
        self.shared = shared
        self.conv, self.other, self.norm = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 1), nn.BatchNorm2d(2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        y: Tensor = self.norm(self.other(self.norm(x))) if self.shared else x + self.norm(x)
        return y


@pytest.mark.parametrize(
    ("model", "said"), [(Branching(), "cannot be traced"), (Twice(True), "elsewhere"), (Twice(False), "elsewhere")]
)
def test_a_batch_norm_is_taken_only_where_its_convolution_is_its_own(model: nn.Module, said: str) -> None:
    with pytest.raises(RecipeError, match=said):
        replace_norms(model, WeightNormConv2d.of, "weight_norm")
