"""Gradient pruning against the rule and the figures of its section, and where in a network it acts."""

from __future__ import annotations

import copy
import math
import time
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import methods
from paretosearch.activation_gradients import COLUMNS, Hooked, before_norm, zeros
from paretosearch.channels import ChannelMap
from paretosearch.errors import RecipeError
from paretosearch.methods.gradient_pruning import GradientPruning, predicted, prune, threshold
from paretosearch.methods.net2net import Net2Net
from paretosearch.recipe import Recipe
from paretosearch.report.shapes import change_of, shape_lines
from paretosearch.surgery import InsertIdentity, Surgery
from paretosearch.testing.images import image_set
from paretosearch.testing.methods import STEPS, TinyTraining
from paretosearch.testing.recorder import OpRecorder
from paretosearch.training import Training, forward, tiers, train
from paretosearch.training.replay import replay
from paretosearch.training.surgery import analyze, surgeon

#: p, threshold and E[g^2] after pruning for a normal gradient of variance 1, and the share of zeros.
TABLE = [
    (0.50, 0.674, 0.259, 1.04),
    (0.70, 1.036, 0.380, 1.13),
    (0.80, 1.282, 0.451, 1.22),
    (0.90, 1.645, 0.540, 1.41),
    (0.95, 1.960, 0.603, 1.62),
    (0.99, 2.576, 0.692, 2.07),
]


def gradient(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)


def pruned(grad: Tensor, p: float, seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    return prune(grad, threshold(grad, p))


@pytest.mark.parametrize(("p", "tau", "share", "square"), TABLE)
def test_a_normal_gradient_has_the_threshold_the_zeros_and_the_variance_of_the_table(
    p: float, tau: float, share: float, square: float
) -> None:
    grad = gradient(1_000_000)
    found = pruned(grad, p)
    zero_share, variance = (found == 0).float().mean().item(), (found.square().mean() / grad.square().mean()).item()
    print(f"p {p}: threshold {threshold(grad, p):.3f}, zeros {100 * zero_share:.1f} %, E[g^2] times {variance:.3f}")
    assert threshold(3 * grad, p).item() == pytest.approx(3 * tau, rel=0.005)
    assert zero_share == pytest.approx(share, abs=0.01)
    assert variance == pytest.approx(square, rel=0.01)


def test_the_standard_deviation_follows_from_the_mean_absolute_value() -> None:
    two = torch.tensor([1.0, -3.0])  # whose mean absolute value is 2
    assert threshold(two, 0.9).item() == pytest.approx(1.644854 * math.sqrt(math.pi / 2) * 2, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_the_mean_of_every_entry_stays(dtype: torch.dtype) -> None:
    few = torch.tensor([0.9, 0.5, 0.1, 0.003, -0.4, 0.0, 1.7, -3.0], dtype=dtype)
    torch.manual_seed(0)
    draws = prune(few.repeat(100_000, 1), torch.tensor(1.2)).double()
    error = draws.std(0) / math.sqrt(len(draws))
    off = (draws.mean(0) - few.double()).abs()
    print(f"{dtype}: {(off / error.clamp(min=1e-12)).max():.1f} standard errors at most")
    assert bool((off <= 4 * error + 1e-12).all())


def test_the_projection_on_the_gradient_is_unbiased() -> None:
    grad = gradient(1_000_000)
    ratio = ((pruned(grad, 0.9) * grad).mean() / grad.square().mean()).item()
    print(f"E[pruned g * g] / E[g^2] = {ratio:.4f}")
    assert ratio == pytest.approx(1, abs=0.005)


def test_values_from_the_threshold_on_stay_and_others_become_it_or_zero() -> None:
    grad = gradient(10_000)
    tau = threshold(grad, 0.8)
    found, large = pruned(grad, 0.8), grad.abs() >= tau
    assert torch.equal(found[large], grad[large])
    small = found[~large]
    assert bool(((small == 0) | (small.abs() == tau)).all())
    assert bool((small.sign() * grad[~large].sign() >= 0).all())
    assert 0 < (small == 0).float().mean() < 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_gradient_of_zeros_stays_one(dtype: torch.dtype) -> None:
    assert torch.equal(pruned(torch.zeros(3, 4, dtype=dtype), 0.9), torch.zeros(3, 4, dtype=dtype))


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**13, 2.0**30])
def test_a_scaled_gradient_is_pruned_to_the_scaled_result(factor: float) -> None:
    grad = gradient(10_000)
    assert torch.equal(pruned(factor * grad, 0.9), factor * pruned(grad, 0.9))


@pytest.mark.parametrize("overflow", [math.inf, -math.inf, math.nan])
@pytest.mark.parametrize("window", [0, 2])
def test_an_overflow_stays_one(overflow: float, window: int) -> None:
    grad = gradient(4, 5, dtype=torch.float16)
    grad[1, 2] = overflow
    level = threshold(grad, 0.9)
    if window:
        queue = torch.ones(window)
        level = predicted(queue, level)
        assert torch.equal(queue, torch.ones(window)), "an overflow must not be remembered"
        assert level == 1
    assert not prune(grad, level).isfinite().all()


def test_the_memory_format_stays() -> None:
    grad = gradient(2, 3, 4, 5).contiguous(memory_format=torch.channels_last)
    assert pruned(grad, 0.9).is_contiguous(memory_format=torch.channels_last)


def test_nothing_is_pruned_until_there_are_enough_earlier_thresholds() -> None:
    queue, grad = torch.full((3,), torch.nan), gradient(1000)
    levels = [predicted(queue, torch.tensor(value)).item() for value in (1.0, 2.0, 6.0, 5.0, 0.0)]
    assert levels == pytest.approx([0, 0, 0, 3, 13 / 3])
    assert queue.tolist() == [6.0, 5.0, 0.0]
    assert torch.equal(prune(grad, torch.tensor(0.0)), grad)


def test_the_earlier_thresholds_do_not_depend_on_the_loss_scale() -> None:
    def queues(scales: tuple[float, ...]) -> Tensor:
        training = TinyTraining((GradientPruning(sparsity=0.9, window=4, start=0.0),))
        (method,) = training.methods
        x, y = training.batch
        for scale in scales:
            method.on_batch(training.run, x, y)
            training.loss(training.run.model.train()(x), y).backward(torch.tensor(scale))
        found: Tensor = method.state_dict()["queues"]
        return found

    plain, scaled = queues((1.0, 1.0, 1.0)), queues((2.0**13, 2.0**14, 2.0**6))
    assert bool((plain[:, 1:] > 0).all())
    torch.testing.assert_close(scaled, plain, equal_nan=True)


def test_until_pruning_begins_nothing_is_asked_of_the_loss() -> None:
    """A device that records a step must not be made to copy a number to the host, as it would be here."""
    loss = GradientPruning(sparsity=0.9, window=2, start=0.5).edit_loss(F.cross_entropy)
    logits = torch.zeros(2, 4, device="meta", requires_grad=True)  # a device from which nothing can be copied
    loss(logits, torch.zeros(2, dtype=torch.int64, device="meta")).backward()
    assert logits.grad is not None


class Body(nn.Module):
    """A residual block of a convolution with batch norm and one without, each with a ReLU that works in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, padding=1)
        self.normed = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.bare = nn.Conv2d(8, 8, 3, padding=1)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.stem(x))
        y: Tensor = self.relu(self.bare(self.relu(self.norm(self.normed(x))))) + x
        return y


def hooked(model: Body, site: str) -> dict[str, list[Tensor]]:
    """List the gradients that each convolution's backward pass reads, and hands on, while others are pruned to 0."""
    auto = before_norm(model)
    counts = torch.zeros(3, COLUMNS, dtype=torch.int64)
    seen: dict[str, list[Tensor]] = {}
    for row, name in enumerate(("stem", "normed", "bare")):
        conv: nn.Conv2d = getattr(model, name)
        at_input = site == "dI" or (site == "auto" and conv not in auto)

        def change(grad: Tensor, name: str = name) -> Tensor:
            seen.setdefault(name, []).append(grad)
            return torch.zeros_like(grad)

        Hooked(conv, at_input, change, counts[row])
    model.train()(gradient(2, 1, 4, 4)).sum().backward()
    return seen


@pytest.mark.parametrize(
    ("site", "pruned_at", "moved"),
    [
        ("dO", {"stem", "normed", "bare"}, set()),
        # The images have no gradient. What the last convolution hands on to `normed` is nothing, and what the shortcut
        # hands on to the stem is not a convolution's, and stays as it is.
        ("dI", {"normed", "bare"}, {"bare", "stem"}),
        ("auto", {"normed", "bare"}, {"bare", "stem"}),
    ],
)
def test_it_acts_where_it_should(site: str, pruned_at: set[str], moved: set[str]) -> None:
    model = Body()
    assert hooked(model, site).keys() == pruned_at
    assert {name for name in ("stem", "normed", "bare") if getattr(model, name).weight.grad.any()} == moved


def test_by_itself_it_takes_the_output_where_batch_norm_follows() -> None:
    model = Body()
    assert before_norm(model) == {model.normed}


def test_what_follows_a_convolution_is_found_in_every_kind_of_network() -> None:
    for network, share in (("resnet8", 1.0), ("vgg11", 1.0), ("torchvision:squeezenet1_1", 0.0)):
        model = TinyTraining((), network).run.model
        convs = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
        assert len(before_norm(model)) == share * len(convs), network


def test_an_activation_that_works_in_place_may_follow() -> None:
    conv = nn.Conv2d(1, 2, 1, bias=False)
    net, x = nn.Sequential(conv, nn.ReLU(inplace=True)), gradient(4, 1, 3, 3).requires_grad_()
    net(x).sum().backward()
    plain = x.grad
    seen: list[Tensor] = []
    x.grad = None
    Hooked(conv, False, lambda grad: seen.append(grad) or grad, torch.zeros(COLUMNS, dtype=torch.int64))
    net(x).sum().backward()
    assert torch.equal(x.grad, plain)
    assert torch.equal(seen[0], (net(x) > 0).float())


def test_the_figures_are_those_of_a_count_by_hand() -> None:
    torch.manual_seed(0)
    first, second = nn.Conv2d(1, 4, 3, bias=False), nn.Conv2d(4, 6, 1, bias=False)
    counts = torch.zeros(2, COLUMNS, dtype=torch.int64)

    def thin(grad: Tensor) -> Tensor:
        return grad * (torch.arange(grad.shape[1]) < 1).view(-1, 1, 1)  # one channel alone is left

    layers = [Hooked(first, False, thin, counts[0]), Hooked(second, False, thin, counts[1])]
    relu = nn.ReLU()
    grad = torch.ones(2, 6, 3, 3)
    grad[0] = 0
    relu(second(first(gradient(2, 1, 5, 5)))).backward(grad)
    at_second = 1 - counts[1, 1].item() / (2 * 6 * 9)
    at_first = 1 - counts[0, 1].item() / (2 * 4 * 9)
    entries = 2 * 9 * torch.tensor([4.0, 6.0])
    left = counts[:, 2].double()
    # The first convolution's images need no gradient: one pass of nine products an entry, against two of four.
    products = torch.tensor([9.0, 2 * 4.0])
    assert counts[:, 0].tolist() == entries.tolist()
    found = zeros(layers)
    assert at_second >= 0.5
    assert at_first >= 0.5
    assert found["natural_zeros"] == pytest.approx(1 - counts[:, 1].sum().item() / entries.sum().item())
    assert found["zeros"] == pytest.approx(1 - left.sum().item() / entries.sum().item())
    assert found["backward_macs_saved"] == pytest.approx(1 - (left @ products.double()).item() / (entries @ products))
    assert zeros([]) == {}


def test_hooks_are_there_during_an_epoch_alone_and_on_inserted_layers_too() -> None:
    training = TinyTraining((GradientPruning(sparsity=0.9), Net2Net(schedule="deepen@0.5")), "convnet").epoch()
    method, model = training.methods[0], training.run.model
    before = sum(isinstance(m, nn.Conv2d) for m in model.modules())
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    training.surgeon.operate(Surgery("deepen", (InsertIdentity("0", torch.Generator()),)))
    method.on_batch(training.run, *training.batch)
    convs = [m for m in model.modules() if isinstance(m, nn.Conv2d)]
    assert len(convs) > before
    assert all(len(conv._forward_hooks) == 1 for conv in convs)
    x = training.batch[0]
    with torch.no_grad():
        model.train()(x)
    model.eval()(x).sum().backward()
    assert list(method.on_epoch_end(training.run)) == [], "an evaluation must not be counted"
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in copy.deepcopy(model).modules())


def test_it_begins_when_it_should_and_tells_its_figures_then() -> None:
    training = TinyTraining((GradientPruning(sparsity=0.9, start=0.3),))
    (method,) = training.methods
    said = []
    for _ in range(4):
        assert method.pattern(training.run) == ("prunes" if training.run.epoch else "")
        assert method.quiet_until(training.run) == (4 if training.run.epoch else 1)
        training.run.model.train()
        for training.run.epoch_step in range(STEPS):
            training._batch(*training.batch)
        training.run.epoch, training.run.epoch_step = training.run.epoch + 1, 0
        said.append([dict(surgery.figures) for surgery in method.on_epoch_end(training.run)])
    assert [len(figures) for figures in said] == [0, 1, 1, 1]
    for (figures,) in said[1:]:
        assert 0 <= figures["natural_zeros"] < figures["zeros"] < 1
        assert 0.3 < figures["backward_macs_saved"] < 1


@pytest.mark.parametrize(
    ("start", "epochs", "refused"), [(0.1, 1, False), (0.6, 1, True), (1.0, 5, True), (0.9, 5, False)]
)
def test_a_training_that_ends_before_it_begins_is_refused(start: float, epochs: int, refused: bool) -> None:
    recipe = Recipe("random", "convnet", epochs=epochs, methods={"gradient_pruning": {"sparsity": 0.9, "start": start}})
    if not refused:
        assert methods.active(recipe)[-1].name == "gradient_pruning"
        return
    with pytest.raises(RecipeError, match=r"gradient_pruning.start = \S+ is later than all of a training"):
        methods.active(recipe)


RECIPE = Recipe(
    "stripes",
    "resnet8",
    width=0.5,
    epochs=3,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.05,
    methods={"gradient_pruning": {"sparsity": 0.9, "start": 0.3}},
)
CPU = torch.device("cpu")


def test_a_real_training_notes_the_zeros_which_are_no_change_of_its_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*arguments: Any) -> ChannelMap:
        time.sleep(0.3)
        return analyze(*arguments)

    monkeypatch.setattr(surgeon, "analyze", slowly)
    training = Training(RECIPE, image_set(), CPU)
    outcome = training.go(with_test=False).outcome
    assert outcome.epochs[-1].loss < outcome.epochs[0].loss
    kinds = [(surgery.kind, surgery.epoch) for surgery in outcome.surgeries]
    assert kinds == [("gradient_pruning", 2), ("gradient_pruning", 3)]
    assert all(surgery.channels_before == surgery.channels_after > 0 for surgery in outcome.surgeries)
    assert all(surgery.seconds < 0.3 for surgery in outcome.surgeries), "to count the channels is not on the clock"
    print("figures:", dict(outcome.surgeries[-1].figures))
    assert 0.4 < outcome.surgeries[-1].figures["backward_macs_saved"] < 0.8
    assert [phase.pattern for phase in outcome.phases] == ["", "gradient_pruning prunes"]
    assert not any(phase.changes for phase in outcome.phases)
    assert change_of(outcome.surgeries) == ""
    assert shape_lines(RECIPE, outcome) == []


def test_what_is_saved_does_not_depend_on_whether_steps_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "worth_recording", lambda *_: True)
    monkeypatch.setattr(forward, "fused", lambda _: None)
    fields = {"network": "convnet", "epochs": 4, "batch_size": 8, "reference_batch_size": 8, "learning_rate": 0.002}
    recipe, images = Recipe(**{**vars(RECIPE), **fields}), image_set(per_class=40)
    recorded, eager = (
        Training(recipe, images, CPU, recorder=recorder).go(with_test=False).outcome
        for recorder in (OpRecorder(), None)
    )
    assert "graph" in {phase.tier for phase in recorded.phases}
    ours, theirs = ([s.figures["backward_macs_saved"] for s in o.surgeries] for o in (recorded, eager))
    print(f"backward_macs_saved: recorded {ours}, op by op {theirs}")
    assert ours == pytest.approx(theirs, abs=2e-3)


def test_a_training_can_be_timed_again() -> None:
    images = image_set()
    outcome = train(RECIPE, images, CPU).outcome
    again = replay(RECIPE, images, CPU, outcome)
    assert [phase.pattern for phase in again.phases] == [phase.pattern for phase in outcome.phases]
    assert [surgery.figures for surgery in again.surgeries] == [surgery.figures for surgery in outcome.surgeries]


@pytest.mark.parametrize("number_format", ["bf16", "dfp16"])
def test_other_number_formats_are_pruned_too(number_format: str) -> None:
    # Before the rounding of dfp16, which would make some of the thresholds other numbers.
    fields = {**vars(RECIPE), "number_format": number_format, "epochs": 2, "width": 0.25}
    outcome = train(Recipe(**fields), image_set(per_class=16), CPU).outcome
    assert 0.4 < outcome.surgeries[-1].figures["zeros"] < 0.8
