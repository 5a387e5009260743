"""Which convolutions of a whole network are rounded: in every pass all but the first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.method import Method
from paretosearch.methods.ssf import SSF
from paretosearch.methods.test_views import views_of
from paretosearch.methods.weight_norm import WeightNorm, initialise
from paretosearch.training.evaluation import accuracy, answering
from paretosearch.training.fixedpoint import mode
from paretosearch.training.precision import Precision
from paretosearch.training.reestimate import reestimate
from paretosearch.views import Views
from paretosearch.weightnorm import WeightNormConv2d

Batches = Iterator[tuple[Tensor, Tensor]]

KINDS: dict[str, Method | None] = {
    "plain": None,
    "weight_norm": WeightNorm(form="plain"),
    "mean_only": WeightNorm(form="mean_only"),
    "ssf": SSF(structure="initial"),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def network(kind: str) -> tuple[nn.Module, int]:
    """Make a network; gives its convolutions too."""
    torch.manual_seed(0)
    model, method = nets.build("resnet8", classes=4, channels=1, image_size=16, width=0.25), KINDS[kind]
    model = model if method is None else method.edit_model(model)
    return model.eval(), sum(isinstance(module, nn.Conv2d) for module in model.modules())


def dfp16() -> Precision:
    return Precision("dfp16", torch.device("cpu"))


@pytest.fixture
def rounded(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """List the results of rounded convolutions."""
    found: list[Tensor] = []
    convolve = mode.convolve

    def watched(*arguments: object) -> Tensor:
        found.append(convolve(*arguments))  # type: ignore[arg-type]  # as they were
        return found[-1]

    monkeypatch.setattr(mode, "convolve", watched)
    return found


def per_batch(rounded: list[Tensor], work: Callable[[Batches], object]) -> list[int]:
    """Count the rounded convolutions of each of three batches."""
    counts = []

    def batches() -> Batches:
        for _ in range(3):
            rounded.clear()
            yield torch.randn(4, 1, 16, 16), torch.zeros(4, dtype=torch.int64)
            counts.append(len(rounded))

    work(batches())
    return counts


@every_kind
@pytest.mark.parametrize("views", [1, 2])
def test_an_evaluation_rounds_all_but_the_first_in_every_batch_and_view(
    kind: str, views: int, rounded: list[Tensor]
) -> None:
    model, convolutions = network(kind)
    model = model if views == 1 else Views(model, views_of(views, mirrored=True))
    found = per_batch(rounded, lambda batches: accuracy(model, batches, 12, dfp16()))  # type: ignore[arg-type]  # any will do
    assert found == [views * (convolutions - 1)] * 3


@pytest.mark.parametrize("kind", ["plain", "mean_only"])  # the others have no statistics
def test_statistics_are_of_a_network_whose_first_convolution_is_not_rounded(kind: str, rounded: list[Tensor]) -> None:
    model, convolutions = network(kind)
    assert per_batch(rounded, lambda batches: reestimate(model, batches, 4, dfp16())) == [convolutions - 1] * 3


def test_lengths_are_chosen_by_what_the_first_convolution_gives_without_rounding(rounded: list[Tensor]) -> None:
    model, convolutions = network("weight_norm")
    layers = {module: 1.0 for module in model.modules() if isinstance(module, WeightNormConv2d)}
    with dfp16().autocast():
        initialise(layers, lambda: model(torch.randn(4, 1, 16, 16)))
    assert len(rounded) == 2 * (convolutions - 1)  # each looks at its images before it works on them


@pytest.mark.parametrize("number_format", ["fp32", "bf16"])
def test_a_context_for_each_pass_gives_the_answer_of_one_for_all(number_format: str) -> None:
    model, _ = network("plain")
    views, precision = Views(model, views_of(6, mirrored=True)), Precision(number_format, torch.device("cpu"))
    x = torch.randn(4, 1, 16, 16)
    with torch.no_grad():
        ours = answering(views, precision)(x)
        with precision.autocast():
            theirs = views(x)
    assert torch.equal(ours, theirs)
