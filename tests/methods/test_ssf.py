"""SSF: the filters stay, the strengths learn, and what a filter would have cost is not computed."""

from __future__ import annotations

import copy
import io
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paretosearch import methods, nets
from paretosearch.methods import ssf
from paretosearch.methods.ssf import SSF, centred, structure_of
from paretosearch.recipe import Recipe
from paretosearch.structure import StrengthConv2d
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import TinyTraining
from paretosearch.training import Training, train
from paretosearch.training.portable.wide import plain

CPU = torch.device("cpu")
IMAGES = image_set(per_class=32)
RECIPE = Recipe(
    "stripes",
    "resnet8",
    width=0.5,
    epochs=3,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.02,
    methods={"ssf": {"structure": "dictionary"}},
)

Note = Callable[[str, float], float]


def layer(stride: int = 1, dtype: torch.dtype = torch.float64) -> StrengthConv2d:
    torch.manual_seed(0)
    made = StrengthConv2d.of(nn.Conv2d(3, 5, 3, stride, padding=1, bias=False).to(dtype))
    nn.init.normal_(made.strength, 1.0, 0.3)
    nn.init.normal_(made.bias)  # type: ignore[arg-type]  # it has one
    return made


def structures(model: nn.Module) -> list[StrengthConv2d]:
    return [module for module in model.modules() if isinstance(module, StrengthConv2d)]


def weights(model: nn.Module) -> list[Tensor]:
    return [module.weight.detach().clone() for module in structures(model)]


def test_the_answer_is_strength_times_filters_plus_bias() -> None:
    made, x = layer(), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    expected = nn.functional.conv2d(x, made.weight * made.strength[:, None, None, None], made.bias, padding=1)
    torch.testing.assert_close(made(x), expected)
    torch.testing.assert_close(made.plain()(x), expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_the_gradients_of_strengths_and_biases_are_finite_differences(stride: int, note_difference: Note) -> None:
    made, x = layer(stride), torch.randn(2, 3, 6, 6, dtype=torch.float64)
    direction = torch.randn_like(made(x))

    def loss() -> Tensor:
        return (made(x).tanh() * direction).sum()

    loss().backward()  # type: ignore[no-untyped-call]
    for name in ("strength", "bias"):
        parameter, step = getattr(made, name), 1e-5
        for i in range(len(parameter)):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    parameter[i] += sign * step
                    values.append(loss().item())
                    parameter[i] -= sign * step
            numeric = (values[0] - values[1]) / (2 * step)
            error = abs(parameter.grad[i].item() - numeric) / max(1.0, abs(numeric))
            assert note_difference("ssf gradients and finite differences", error) < 1e-4


def convolution_node(y: Tensor) -> Any:
    """Find the convolution in what autograd has written down."""
    todo: list[Any] = [y.grad_fn]
    while todo:
        node = todo.pop()
        if "Convolution" in type(node).__name__:
            return node
        todo += [before for before, _ in node.next_functions if before is not None]
    raise AssertionError("there is no convolution")


def test_the_gradient_of_the_filters_is_not_computed() -> None:
    made, x = layer(dtype=torch.float32), torch.randn(2, 3, 6, 6, requires_grad=True)
    y = made(x)
    (_, _), (of_weight, _), *_ = convolution_node(y).next_functions
    assert of_weight is None
    y.sum().backward()
    assert made.weight.grad is None
    assert not made.weight.requires_grad
    assert x.grad is not None
    made.weight.requires_grad_(True)
    assert convolution_node(made(x)).next_functions[1][0] is not None


@pytest.mark.parametrize("network", ["convnet", "resnet8", "vgg11", "resnet18", "torchvision:squeezenet1_1"])
def test_at_strength_one_the_network_is_the_plain_one_with_those_weights(network: str, note_difference: Note) -> None:
    training = TinyTraining((SSF(structure="dictionary"),), network)
    list(training.methods[0].on_epoch_start(training.run))
    model, x = training.run.model, training.batch[0]
    found = structures(model)
    assert found
    assert all(torch.equal(made.strength, torch.ones_like(made.strength)) for made in found)
    reference = copy.deepcopy(model)
    for name, made in list(reference.named_modules()):
        if isinstance(made, StrengthConv2d):
            conv = nn.Conv2d(
                made.in_channels, made.out_channels, made.kernel_size, made.stride, made.padding, groups=made.groups
            )
            conv.weight, conv.bias = made.weight, made.bias
            reference.set_submodule(name, conv)
    with torch.no_grad():
        ours, theirs = model.eval()(x), reference.eval()(x)
        exported = plain(model)(x)
    scale = float(theirs.abs().max())
    assert note_difference("ssf at strength 1 and the plain network", float((ours - theirs).abs().max()) / scale) < 1e-5
    assert float((ours - exported).abs().max()) / scale < 1e-5


def test_batch_norm_is_gone_and_the_classifier_is_as_it_was() -> None:
    model = nets.build("resnet8", classes=4, channels=1, image_size=16)
    SSF(structure="initial").edit_model(model)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
    assert all(isinstance(m, StrengthConv2d) for m in model.modules() if isinstance(m, nn.Conv2d))
    squeezenet = nets.build("torchvision:squeezenet1_1", classes=4, channels=1, image_size=40)
    SSF(structure="initial").edit_model(squeezenet)
    convolutions = [module for module in squeezenet.modules() if isinstance(module, nn.Conv2d)]
    assert type(convolutions[-1]) is nn.Conv2d  # its classifier
    assert convolutions[-1].weight.requires_grad
    assert all(isinstance(conv, StrengthConv2d) for conv in convolutions[:-1])


@pytest.mark.parametrize("network", ["convnet", "resnet8"])
def test_only_strengths_biases_and_the_classifier_change(network: str) -> None:
    training = TinyTraining((SSF(structure="dictionary"),), network, width=1.0)
    list(training.methods[0].on_epoch_start(training.run))
    before = copy.deepcopy(training.run.model.state_dict())
    training.run.model.train()
    training._batch(*training.batch)
    training._batch(*training.batch)
    after = training.run.model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    frozen = {f"{n}.weight" for n, m in training.run.model.named_modules() if isinstance(m, StrengthConv2d)}
    assert frozen
    assert changed == before.keys() - frozen


def test_what_each_layer_first_gives_has_mean_zero_and_deviation_one() -> None:
    training = TinyTraining((SSF(structure="dictionary"),), "vgg11", width=0.25)
    list(training.methods[0].on_epoch_start(training.run))
    seen: list[Tensor] = []
    handles = [
        m.register_forward_hook(lambda *call: seen.append(call[-1].clone())) for m in structures(training.run.model)
    ]
    training.run.model(training.batch[0])
    for handle in handles:
        handle.remove()
    for y in seen[:4]:  # behind them, maps are so small that some filters see nothing
        torch.testing.assert_close(y.mean((0, 2, 3)), torch.zeros(y.shape[1]), atol=1e-4, rtol=0)
        torch.testing.assert_close(y.std((0, 2, 3), correction=0), torch.ones(y.shape[1]), atol=1e-3, rtol=0)


def test_filters_are_atoms_of_the_patches_without_their_means() -> None:
    x = IMAGES.train.images[:64].float() / 255
    conv = nn.Conv2d(1, 8, 3, padding=1)
    filters = structure_of(x, conv, 0.1, torch.Generator().manual_seed(0))
    torch.testing.assert_close(filters.flatten(1).norm(dim=1), torch.ones(8))
    assert filters.sum((1, 2, 3)).abs().max() < 0.1  # nearly no answer to a constant
    again = structure_of(x, conv, 0.1, torch.Generator().manual_seed(0))
    assert torch.equal(filters, again)
    grey = structure_of(torch.zeros_like(x), conv, 0.1, torch.Generator().manual_seed(0))
    assert torch.equal(grey, conv.weight)


def test_patches_are_centred_and_of_length_one() -> None:
    rows = torch.randn(50, 9)
    rows[7] = 0.3  # no contrast
    found = centred(rows)
    assert len(found) == 49
    torch.testing.assert_close(found.mean(1), torch.zeros(49), atol=1e-6, rtol=0)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(49))


def test_a_continued_training_learns_no_second_dictionary(monkeypatch: pytest.MonkeyPatch) -> None:
    kept: list[bytes] = []

    def keep(checkpoint: Any) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    unbroken = train(RECIPE, IMAGES, CPU, keep=keep).model.state_dict()
    monkeypatch.setattr(ssf, "learned", lambda *_: pytest.fail("learned again"))
    for data in kept:
        checkpoint = torch.load(io.BytesIO(data), weights_only=True)
        resumed = train(RECIPE, IMAGES, CPU, checkpoint=checkpoint).model.state_dict()
        assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)


def test_the_seed_decides_which_filters_are_learned() -> None:
    def learned(seed: int) -> list[Tensor]:
        training = Training(replace(RECIPE, seed=seed), IMAGES, CPU)
        training.epoch()
        return weights(training.run.model)

    assert all(map(torch.equal, learned(1), learned(1)))
    assert not any(map(torch.equal, learned(1), learned(2)))


def test_learning_is_on_the_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(rows: Tensor, count: int, *_: object) -> Tensor:
        time.sleep(0.1)
        return rows[torch.arange(count) % len(rows)]

    monkeypatch.setattr(ssf, "learned", slow)
    training = Training(RECIPE, IMAGES, CPU)
    training.epoch()
    assert training.clock.event_seconds > 0.1 * len(structures(training.run.model))


def test_filters_are_trained_from_a_share_of_the_training_on() -> None:
    recipe = replace(RECIPE, epochs=4, methods={"ssf": {"structure": "initial", "unfreeze": 0.5}})
    training = Training(recipe, IMAGES, CPU)
    seen = []
    for _ in range(4):
        training.epoch()
        seen.append(weights(training.run.model))
    assert all(map(torch.equal, seen[0], seen[1]))
    assert not any(map(torch.equal, seen[1], seen[2]))
    assert [phase.setting.pattern for phase in training.clock.phases] == ["", "ssf all filters"]


@pytest.mark.parametrize("number_format", ["bf16", "fp16", "bf16-pure", "dfp16", "bfp8"])
def test_every_number_format_trains_the_strengths_and_leaves_the_filters(number_format: str) -> None:
    training = Training(replace(RECIPE, number_format=number_format), IMAGES, CPU)
    training.epoch()
    before = weights(training.run.model)
    outcome = training.go(with_test=False).outcome
    assert outcome.status == "complete"
    assert all(map(torch.equal, before, weights(training.run.model)))


def test_a_search_does_not_tell_trainings_apart_that_are_equal() -> None:
    def canonical(**parameters: Any) -> Any:
        method = {"structure": "initial", "sparsity": 0.1, "unfreeze": 1.0, **parameters}
        recipe = Recipe("random", "resnet8", epochs=4, methods={"ssf": method})
        return methods.by_name("ssf")(**method).canonical(recipe)

    assert canonical(sparsity=0.3) == canonical()
    assert canonical(unfreeze=0.9) == canonical()
    assert canonical(unfreeze=0.5) != canonical()
    assert canonical(structure="dictionary", sparsity=0.3) != canonical(structure="dictionary")
