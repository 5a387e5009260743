"""Fused operations compute what the separate ones do."""

import copy
import ctypes
from collections.abc import Callable, Iterator

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.testing.methods import NETWORKS
from paretosearch.training.fused import fused, library
from paretosearch.training.fused import library as library_module
from paretosearch.training.fused.norm import MOST_CHANNELS, NormRelu, _folds

#: Channels that fill whole vectors, that do so in folds, and that never do; batches of an odd number of rows.
SHAPES = [(16, 8, 6), (24, 4, 6), (5, 16, 4), (20, 3, 5), (3, 1, 3), (64, 2, 4)]


@pytest.fixture(autouse=True)
def _has_kernels() -> None:
    if not isinstance(library(), ctypes.CDLL):
        pytest.skip(f"no fused kernels: {library()}")


def inputs(channels: int, batch: int, edge: int, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Draw images, a shortcut and a gradient, as channels last."""
    generator = torch.Generator().manual_seed(channels)
    drawn = torch.randn(3, batch, channels, edge, edge, generator=generator)
    drawn[0] = drawn[0] * 3 + 10 * torch.randn(channels, 1, 1, generator=generator)  # means far from 0
    x, shortcut, grad = (t.to(dtype).contiguous(memory_format=torch.channels_last) for t in drawn)
    return x, shortcut, grad


def norms(channels: int) -> tuple[nn.BatchNorm2d, nn.BatchNorm2d]:
    # Of its own: whatever test was before, no number may lie so near to 0 that the last bit decides about the ReLU.
    norm, generator = nn.BatchNorm2d(channels), torch.Generator().manual_seed(channels)
    with torch.no_grad():
        norm.weight.uniform_(-1, 2, generator=generator)
        norm.bias.uniform_(-1, 1, generator=generator)
        norm.running_mean.normal_(generator=generator)  # type: ignore[union-attr]  # it is tracked
    return norm, copy.deepcopy(norm).double()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("has_shortcut", [True, False])
@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 2e-5), (torch.bfloat16, 2e-2)])
def test_results_and_gradients_are_those_of_double_precision(
    shape: tuple[int, int, int], has_shortcut: bool, dtype: torch.dtype, close: float
) -> None:
    x, shortcut, grad = inputs(*shape, dtype)
    norm, exact = norms(shape[0])
    ours = [t.clone().requires_grad_() for t in ((x, shortcut) if has_shortcut else (x,))]
    theirs = [t.detach().double().requires_grad_() for t in ours]
    y = NormRelu(norm)(*ours)
    y.backward(grad)  # type: ignore[no-untyped-call]
    summed = exact(theirs[0]) + theirs[1] if has_shortcut else exact(theirs[0])
    # Where a sum is nearly 0, rounding decides on which side; the mask must be that of the result at hand.
    expected = torch.where(y.detach() > 0, summed, torch.zeros_like(summed))
    expected.backward(grad.double())  # type: ignore[no-untyped-call]
    pairs = [(y, F.relu(summed)), *((a.grad, b.grad) for a, b in zip(ours, theirs, strict=True))]
    pairs += [(norm.weight.grad, exact.weight.grad), (norm.bias.grad, exact.bias.grad)]
    pairs += [(norm.running_mean, exact.running_mean), (norm.running_var, exact.running_var)]
    for ours_, exact_ in pairs:
        assert ours_ is not None
        assert exact_ is not None
        scale = exact_.abs().max().clamp_min(1e-3)
        assert (ours_.double() - exact_).abs().max() / scale < close
    assert norm.num_batches_tracked == exact.num_batches_tracked == 1
    assert y.dtype == dtype
    assert y.is_contiguous(memory_format=torch.channels_last)


def test_threads_share_the_rows() -> None:
    x, shortcut, grad = inputs(16, 32, 20, torch.float32)
    norm, results = norms(16)[0], []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            own = x.clone().requires_grad_()
            y = NormRelu(copy.deepcopy(norm))(own, shortcut)
            y.backward(grad)  # type: ignore[no-untyped-call]
            results.append((y.detach(), own.grad))
    finally:
        torch.set_num_threads(before)
    for one, two in zip(*results, strict=True):
        torch.testing.assert_close(one, two)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_is_no_number_stays_none(dtype: torch.dtype) -> None:
    x, _, _ = inputs(16, 4, 4, dtype)
    x[0, 3, 0, 0] = float("nan")
    y = NormRelu(norms(16)[0])(x)
    assert y[:, 3].isnan().all()
    assert y[:, :3].isfinite().all()


@pytest.mark.parametrize("has_shortcut", [True, False])
@pytest.mark.parametrize("channels", [16, 20])
def test_an_evaluation_uses_the_running_statistics(channels: int, has_shortcut: bool) -> None:
    x, shortcut, _ = inputs(channels, 4, 6, torch.float32)
    norm, exact = norms(channels)
    given = (x, shortcut) if has_shortcut else (x,)
    with torch.no_grad():
        y = NormRelu(norm.eval())(*given)
        expected = exact.eval()(x.double())
        expected = F.relu(expected + shortcut.double() if has_shortcut else expected)
    torch.testing.assert_close(y.double(), expected, rtol=1e-5, atol=1e-5)
    assert norm.num_batches_tracked == 0


def unlike() -> Iterator[tuple[str, Callable[[nn.BatchNorm2d, Tensor], Tensor]]]:
    yield "evaluation", lambda norm, x: NormRelu(norm.eval())(x)  # which may need gradients here
    yield "channels first", lambda norm, x: NormRelu(norm)(x.contiguous())
    yield "double", lambda norm, x: NormRelu(norm.double())(x.double()).float()


@pytest.mark.parametrize(("what", "call"), list(unlike()))
def test_what_the_kernels_do_not_do_is_done_by_torch(
    what: str, call: Callable[[nn.BatchNorm2d, Tensor], Tensor]
) -> None:
    x, _, _ = inputs(16, 4, 4, torch.float32)
    norm, _ = norms(16)
    reference = copy.deepcopy(norm).train(what != "evaluation")
    torch.testing.assert_close(call(norm, x), F.relu(reference(x)))


def test_folds_make_whole_vectors_where_rows_allow_it() -> None:
    assert _folds(16, 7) == 1
    assert _folds(16, 64) == 8
    assert _folds(24, 6) == 2
    assert _folds(24, 8) == 8
    assert _folds(20, 8) == 8
    assert _folds(20, 7) == 1
    assert _folds(64, 64) == 2
    assert _folds(128, 64) == 1
    assert _folds(MOST_CHANNELS - 1, 16) == 1


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_trains_the_same(network: str) -> None:
    torch.manual_seed(0)
    width = {} if network.startswith("torchvision:") else {"width": 0.25}
    model = nets.build(network, classes=4, channels=1, image_size=NETWORKS[network], **width)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    twin = copy.deepcopy(model)
    found = fused(twin)
    if found is None:
        assert not any(isinstance(module, nn.BatchNorm2d) for module in model.modules())
        return
    x, y = torch.randn(8, 1, NETWORKS[network], NETWORKS[network]), torch.randint(0, 4, (8,))
    for call in (model, found):
        torch.manual_seed(1)
        F.cross_entropy(call(x), y).backward()  # type: ignore[no-untyped-call]
    for ours, theirs in zip(twin.parameters(), model.parameters(), strict=True):
        assert ours.grad is not None
        assert theirs.grad is not None
        assert (ours.grad - theirs.grad).norm() <= 1e-3 * theirs.grad.norm() + 1e-6
    for ours, theirs in zip(twin.buffers(), model.buffers(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-4)
    assert twin.state_dict().keys() == model.state_dict().keys()


def test_all_of_a_residual_network_is_fused() -> None:
    found = fused(nets.build("resnet20", classes=10, channels=1, image_size=28))
    assert sum(isinstance(module, NormRelu) for module in found.modules()) == 19  # type: ignore[union-attr]


def test_a_module_that_somebody_listens_to_is_left_alone() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
    assert fused(model) is not None
    model[1].register_forward_hook(lambda *_: None)
    assert fused(model) is None


class _Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_cannot_be_traced_is_run_as_it_is() -> None:
    assert fused(_Branching()) is None


@pytest.mark.parametrize(
    ("compiler", "reason"),
    [("false", "false does not build the kernels: exit code 1"), ("no-such-compiler", "the kernels cannot be built")],
)
def test_without_a_compiler_there_is_a_reason(
    compiler: str, reason: str, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("CC", compiler)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    said = library_module.__wrapped__()
    assert isinstance(said, str)
    assert said.startswith(reason)
    assert "\n" not in said
