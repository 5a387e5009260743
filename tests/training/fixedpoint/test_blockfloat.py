"""The low-precision half of SWALP: everything is on the grid, and the mean finds what no point of it is."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.testing.images import image_set
from paretosearch.training import Training
from paretosearch.training.fixedpoint.blockfloat import BlockFloat
from paretosearch.training.fixedpoint.rounding import scale_of

CPU = torch.device("cpu")


def _model() -> nn.Sequential:
    torch.manual_seed(0)
    layers = nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(8 * 36, 4)
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub


def _is_on_the_grid(x: Tensor, word_length: int) -> bool:
    """Whether every block is made of words with one exponent; the least word is the negative of a power of two."""
    for block in x if x.ndim > 1 else [x]:
        most = block.abs().amax()
        below = torch.nextafter(most, torch.zeros(()))
        words = block / scale_of(below if block.min() == -most else most, word_length, 0)
        low, high = -(2 ** (word_length - 1)), 2 ** (word_length - 1) - 1
        if not torch.equal(words, words.round()) or words.min() < low or words.max() > high:
            return False
    return True


def _optimizer(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-3)


@pytest.mark.parametrize("word_length", [8, 16])
def test_weights_gradients_and_momentum_are_on_the_grid_after_every_step(word_length: int) -> None:
    model = _model()
    optimizer, numbers = _optimizer(model), BlockFloat(word_length, CPU, seed=0)
    for _ in range(3):
        with numbers.context():
            loss = model(torch.randn(4, 3, 8, 8)).square().mean()
        loss.backward()
        numbers.round_gradients(optimizer)
        optimizer.step()
        numbers.round_weights(optimizer)
        for p in model.parameters():
            assert p.grad is not None
            for tensor in (p.detach(), p.grad, optimizer.state[p]["momentum_buffer"]):
                assert _is_on_the_grid(tensor, word_length)
        optimizer.zero_grad()


def test_the_weights_begin_on_the_grid_without_a_momentum() -> None:
    model = _model()
    assert not _is_on_the_grid(model[0].weight.detach(), 8)
    BlockFloat(8, CPU, seed=0).round_weights(_optimizer(model))
    assert all(_is_on_the_grid(p.detach(), 8) for p in model.parameters())


def test_activations_are_on_the_grid_and_logits_are_not() -> None:
    model, seen = _model(), []
    for layer in (model[0], model[1], model[2], model[4]):
        layer.register_forward_hook(lambda _, __, y: seen.append(y.detach().clone()))  # the ReLU overwrites its input
    with BlockFloat(8, CPU, seed=0).context():
        model(torch.randn(4, 3, 8, 8))
    assert [_is_on_the_grid(x.reshape(-1), 8) for x in seen] == [True, True, True, False]


@pytest.mark.parametrize("operation", [F.relu, lambda x: F.conv2d(x, torch.ones(1, 1, 1, 1))])
def test_errors_are_on_the_grid(operation: Callable[[Tensor], Tensor]) -> None:
    x = torch.rand(2, 1, 5, 5, requires_grad=True)
    with BlockFloat(8, CPU, seed=0).context():
        operation(x).backward(torch.randn(x.shape))  # which both of them hand on as it is
    assert x.grad is not None
    assert _is_on_the_grid(x.grad.reshape(-1), 8)


def test_an_evaluation_rounds_nothing_and_draws_nothing() -> None:
    model, numbers = _model().eval(), BlockFloat(8, CPU, seed=0)
    x, before = torch.randn(2, 3, 8, 8), numbers.state_dict()["random"]
    with torch.no_grad(), numbers.context():
        y = model(x)
    with torch.no_grad():
        assert torch.equal(y, model(x))
    assert torch.equal(numbers.state_dict()["random"], before)


def test_random_numbers_go_on_where_they_were() -> None:
    one, other, models = BlockFloat(8, CPU, seed=1), BlockFloat(8, CPU, seed=2), [_model() for _ in range(3)]
    one.round_weights(_optimizer(models[0]))
    other.load_state_dict(one.state_dict())
    one.round_weights(_optimizer(models[1]))
    other.round_weights(_optimizer(models[2]))
    for ours, theirs in zip(models[1].parameters(), models[2].parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_the_mean_of_rounded_iterates_is_nearer_to_the_optimum_than_the_last_one() -> None:
    """The noisy quadratic of Yang et al. 2019, section 4, whose optimum is no number of 8 bits."""
    optimum, generator = torch.tensor([0.7234567]), torch.Generator().manual_seed(0)
    w, numbers = nn.Parameter(torch.ones(1)), BlockFloat(8, CPU, seed=3)
    optimizer, visited = torch.optim.SGD([w], lr=0.1), []
    for step in range(4000):
        w.grad = (w.detach() - optimum) + 0.1 * torch.randn(1, generator=generator)
        optimizer.step()
        numbers.round_weights(optimizer)
        if step >= 1000:
            visited.append(w.item())
    typical = torch.tensor(visited).sub(optimum).square().mean().sqrt().item()
    assert abs(torch.tensor(visited).mean().item() - optimum.item()) < typical / 5


def test_whatever_changes_the_weights_they_are_on_the_grid_in_every_forward() -> None:
    methods = {"prunetrain": {"penalty_ratio": 0.5, "interval": 1}, "net2net": {"schedule": "widen@0.5x1.5"}}
    recipe = Recipe("stripes", "resnet8", epochs=3, batch_size=32, width=0.25, number_format="bfp8", methods=methods)
    training = Training(recipe, image_set(per_class=32), CPU)
    seen: list[bool] = []
    plain = training.stepper._step

    def watched(run: Run, x: Tensor, y: Tensor) -> Tensor:
        seen.append(all(_is_on_the_grid(p.detach(), 8) for p in run.model.parameters()))
        return plain(run, x, y)

    training.stepper._step = watched
    outcome = training.go(with_test=False).outcome
    assert {surgery.kind for surgery in outcome.surgeries} >= {"widen", "prune"}
    assert len(seen) == 12
    assert all(seen)


def test_words_of_sixteen_bits_are_nearly_fp32() -> None:
    x, plain, rounded = torch.randn(4, 3, 8, 8), _model(), _model()
    expected = F.mse_loss(plain(x), torch.zeros(4, 4))
    with BlockFloat(16, CPU, seed=0).context():
        found = F.mse_loss(rounded(x), torch.zeros(4, 4))
    assert abs(found - expected) < 1e-3 * expected
