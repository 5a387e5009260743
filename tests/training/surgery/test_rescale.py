"""Surgery on the size of kernels: all of it or nothing, with momentum, averages and batch norm."""

from __future__ import annotations

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.channels import Shadow
from paretosearch.errors import SurgeryError
from paretosearch.kernels import begin_smaller, large_kernels, scaled, unfinished
from paretosearch.surgery import RescaleKernels, Surgery
from paretosearch.training.surgery import Surgeon

SIZE = 16
LABELS = torch.tensor([0, 1, 2, 0])


def images() -> Tensor:
    return torch.randn(4, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(3))


def small(seed: int = 0) -> Surgeon:
    torch.manual_seed(seed)
    model = nets.build("convnet5", classes=3, channels=1, image_size=SIZE, width=0.5)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    begin_smaller(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, nesterov=True, fused=True)
    return Surgeon(model, images(), optimizer)


def step(surgeon: Surgeon) -> None:
    assert surgeon.optimizer is not None
    F.cross_entropy(surgeon.model.train()(images()), LABELS).backward()
    surgeon.optimizer.step()
    surgeon.optimizer.zero_grad(set_to_none=True)


def momenta(surgeon: Surgeon) -> dict[str, Tensor]:
    assert surgeon.optimizer is not None
    return {n: surgeon.optimizer.state[p]["momentum_buffer"] for n, p in surgeon.model.named_parameters()}


def test_kernels_grow_their_momentum_begins_anew_and_training_goes_on() -> None:
    surgeon = small()
    step(surgeon)
    parameters = dict(surgeon.model.named_parameters())
    before = {name: value.detach().clone() for name, value in parameters.items()}
    moved = {name: value.clone() for name, value in momenta(surgeon).items()}
    sizes, channels = unfinished(surgeon.model), surgeon.channels
    assert sizes == {"0.0": 5, "2.0": 5}
    average = {parameters["2.0.weight"]: before["2.0.weight"].clone()}
    surgeon.operate(Surgery("rescale", (RescaleKernels(sizes),)), [Shadow("weight", average)])
    assert unfinished(surgeon.model) == {}
    for name, parameter in surgeon.model.named_parameters():
        assert parameter is parameters[name]
        if name.removesuffix(".weight") in sizes:
            assert torch.equal(parameter, scaled(before[name], 5))
            assert parameter.is_contiguous(memory_format=torch.channels_last)
            assert momenta(surgeon)[name].shape == parameter.shape
            assert not momenta(surgeon)[name].any()
        else:
            assert torch.equal(parameter, before[name])
            assert torch.equal(momenta(surgeon)[name], moved[name])
    assert torch.equal(next(iter(average.values())), scaled(before["2.0.weight"], 5))
    assert surgeon.channels is channels, "the channels are what they were, and nobody has to learn them anew"
    for _ in range(3):
        step(surgeon)
    assert all(parameter.isfinite().all() for parameter in surgeon.model.parameters())


def test_batch_norm_knows_what_the_new_kernels_give() -> None:
    surgeon = small()
    step(surgeon)
    surgeon.model.train()
    surgeon.rescale_kernels(unfinished(surgeon.model))
    assert all(module.training for module in surgeon.model.modules())
    first, second = surgeon.model[0], surgeon.model[2]  # type: ignore[index]  # a Sequential
    x = first[0](images())
    torch.testing.assert_close(first[1].running_mean, x.mean((0, 2, 3)))
    torch.testing.assert_close(first[1].running_var, x.var((0, 2, 3)))
    assert first[1].momentum == second[1].momentum == 0.1
    with torch.no_grad():
        trained = surgeon.model(images())
        evaluated = surgeon.model.eval()(images())
    torch.testing.assert_close(evaluated, trained, rtol=0.2, atol=0.2)  # alike but for one image more or less


def test_a_history_is_repeated_on_a_fresh_network_whose_state_then_fits() -> None:
    surgeon, other = small(), small(seed=1)
    step(surgeon)
    surgeon.rescale_kernels(unfinished(surgeon.model))
    step(surgeon)
    assert surgeon.outline == surgeon.history == [{"do": "rescale_kernels", "sizes": {"0.0": 5, "2.0": 5}}]
    other.replay(surgeon.outline)
    other.model.load_state_dict(surgeon.model.state_dict())
    assert other.optimizer is not None
    assert surgeon.optimizer is not None
    other.optimizer.load_state_dict(copy.deepcopy(surgeon.optimizer.state_dict()))
    for one in (surgeon, other):
        step(one)
    assert all(map(torch.equal, surgeon.model.state_dict().values(), other.model.state_dict().values()))


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"0.0": 5, "nothing": 5}, "no convolution 'nothing'"),
        ({"0.0": 5, "0.1": 5}, "no convolution '0.1'"),
        ({"0.0": 5, "2.0": 4}, "has the edge 3 and the padding (1, 1), so that 4 is no edge for it"),
        ({"0.0": 5, "2.0": -1}, "so that -1 is no edge for it"),
    ],
)
def test_what_cannot_be_done_changes_nothing(sizes: dict[str, int], message: str) -> None:
    surgeon = small()
    step(surgeon)
    before, buffers = copy.deepcopy(surgeon.model.state_dict()), copy.deepcopy(momenta(surgeon))
    with pytest.raises(SurgeryError) as caught:
        surgeon.rescale_kernels(sizes)
    assert message in str(caught.value)
    assert str(caught.value).endswith("nothing was changed")
    assert all(map(torch.equal, before.values(), surgeon.model.state_dict().values()))
    assert all(map(torch.equal, buffers.values(), momenta(surgeon).values()))
    assert surgeon.history == []
    assert surgeon.model[0][0].kernel_size == (3, 3)  # type: ignore[index]  # a Sequential


def test_state_of_another_shape_is_refused_before_anything_is_changed() -> None:
    surgeon = small()
    weight = dict(surgeon.model.named_parameters())["2.0.weight"]
    with pytest.raises(SurgeryError, match="a Method's state of 2.0.weight has the shape"):
        surgeon.rescale_kernels(unfinished(surgeon.model), [Shadow("weight", {weight: torch.zeros(3)})])
    assert unfinished(surgeon.model) == {"0.0": 5, "2.0": 5}


def test_a_copied_block_knows_how_large_its_kernel_is_to_be() -> None:
    model = nn.Sequential(nn.Conv2d(2, 2, 7, padding=3))
    begin_smaller(model)
    twice = nn.Sequential(model, copy.deepcopy(model))
    assert unfinished(twice) == large_kernels(twice) == {"0.0": 7, "1.0": 7}
