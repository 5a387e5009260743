"""A changed network can be rebuilt from its architecture, history and state, then goes on as if never interrupted."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from paretosearch import nets
from paretosearch.channels import Noise, widened
from paretosearch.errors import SurgeryError
from paretosearch.testing.surgery import images, output
from paretosearch.training.surgery import Surgeon, analyze

LABELS = torch.tensor([3, 7])


#: Half the width would be pruned to 6 channels, and PyTorch 2.14 on a CPU dies of a segmentation fault in the backward
#: pass of 1x1 convolutions with a stride, channels-last, of fewer than 8 channels.
WIDTHS = {"convnet": 1.0, "resnet8": 1.0, "resnet20": 1.0, "resnet50": 0.25}
X = images(2)[..., :32, :32]


def start(name: str, seed: int) -> Surgeon:
    """Build what a training starts with."""
    torch.manual_seed(seed)
    model = nets.build(name, classes=10, channels=3, image_size=32, width=WIDTHS[name])
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    decayed = [p for p in model.parameters() if p.ndim > 1]
    plain = [p for p in model.parameters() if p.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0.0}]
    return Surgeon(model, X, torch.optim.SGD(groups, lr=0.01, momentum=0.9, nesterov=True, fused=True))


def train(surgeon: Surgeon, steps: int) -> None:
    assert surgeon.optimizer is not None
    for _ in range(steps):
        surgeon.optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(surgeon.model.train()(X), LABELS).backward()
        surgeon.optimizer.step()


def operate(surgeon: Surgeon) -> None:
    """Do one of everything, with training between."""
    generator = torch.Generator().manual_seed(8)
    train(surgeon, 2)
    free = surgeon.channels.free
    surgeon.remap({s.name: torch.randperm(s.size, generator=generator)[: s.size * 3 // 4] for s in free})
    train(surgeon, 1)
    for branch in surgeon.channels.branches[-1:]:
        surgeon.remove_branch(branch.block)
        train(surgeon, 1)
    # In a resnet8 that is a block whose shortcut is a projection, in a convnet the last layers that end in a ReLU.
    after = surgeon.channels.branches[-1].block if surgeon.channels.branches else "6"
    surgeon.insert_identity(surgeon.insert_identity(after, generator), generator)
    train(surgeon, 1)
    plan = {s.name: widened(s.size, s.size * 3 // 2, generator) for s in surgeon.channels.free}
    surgeon.remap(plan, noise=Noise(0.3, generator))
    train(surgeon, 1)


def checkpoint(surgeon: Surgeon) -> io.BytesIO:
    assert surgeon.optimizer is not None
    file = io.BytesIO()
    state = {
        "model": surgeon.model.state_dict(),
        "optimizer": surgeon.optimizer.state_dict(),
        "history": surgeon.history,
    }
    torch.save(state, file)
    file.seek(0)
    return file


def resumed(name: str, file: io.BytesIO) -> Surgeon:
    surgeon = start(name, seed=99)
    state: dict[str, Any] = torch.load(file, weights_only=True)
    surgeon.replay(state["history"])
    surgeon.model.load_state_dict(state["model"])
    assert surgeon.optimizer is not None
    surgeon.optimizer.load_state_dict(state["optimizer"])
    return surgeon


NAMES = ["convnet", "resnet8", "resnet20", "resnet50"]


@pytest.mark.parametrize("name", NAMES)
def test_a_resumed_training_equals_the_uninterrupted_one_bit_for_bit(name: str) -> None:
    surgeon = start(name, seed=0)
    operate(surgeon)
    other = resumed(name, checkpoint(surgeon))
    assert torch.equal(output(surgeon.model.eval(), X), output(other.model.eval(), X))
    train(surgeon, 3)
    train(other, 3)
    state = other.model.state_dict()
    assert list(surgeon.model.state_dict()) == list(state)
    assert all(torch.equal(value, state[key]) for key, value in surgeon.model.state_dict().items())


@pytest.mark.parametrize("name", NAMES)
def test_surgery_goes_on_after_a_resumption_as_without(name: str) -> None:
    surgeon = start(name, seed=0)
    operate(surgeon)
    other = resumed(name, checkpoint(surgeon))
    assert other.channels == surgeon.channels == analyze(surgeon.model, X)
    assert other.history == surgeon.history
    for one in (surgeon, other):
        one.remap({s.name: torch.arange(s.size - 2) for s in one.channels.free})
        train(one, 1)
    state = other.model.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in surgeon.model.state_dict().items())


def test_the_history_is_plain_json() -> None:
    surgeon = start("resnet8", seed=0)
    operate(surgeon)
    assert json.loads(json.dumps(surgeon.history)) == surgeon.history
    assert len(surgeon.history[0]["plan"]["1.conv1"]) == 12
    assert [event["do"] for event in surgeon.history] == [
        "remap",
        "remove_branch",
        "insert_identity",
        "insert_identity",
        "remap",
    ]


@pytest.mark.parametrize("zero", [True, False])
def test_the_history_knows_whether_a_constant_was_left(zero: bool) -> None:
    surgeon = start("resnet8", seed=0)
    if zero:
        nn.init.zeros_(surgeon.model.get_submodule("1").bn2.bias)
    else:
        train(surgeon, 1)
    surgeon.remove_branch("1")
    other = resumed("resnet8", checkpoint(surgeon))
    assert ("1.constant.value" in other.model.state_dict()) is not zero


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"do": "fly"}, "{'do': 'fly'} is no event in the history of this network"),
        (
            {"do": "remap", "plan": {"nowhere": [0]}},
            "history of this network: the network has no channel space 'nowhere'",
        ),
        ({"do": "remove_branch", "block": "77", "constant": True}, "is no event in the history of this network"),
        ({"do": "remap"}, "is no event in the history of this network: 'plan'"),
    ],
)
def test_a_history_of_something_else_is_refused(event: dict[str, Any], message: str) -> None:
    with pytest.raises(SurgeryError) as error:
        start("resnet8", seed=0).replay([event])
    assert message in str(error.value)


def test_a_loss_left_over_from_the_step_before_is_noticed_by_the_next() -> None:
    """Its graph remembers the old shapes; the error is PyTorch's own, and loud."""
    surgeon = start("resnet8", seed=0)
    loss = F.cross_entropy(surgeon.model(X), LABELS)
    surgeon.remap({"1.conv1": torch.arange(4)})
    with pytest.raises(RuntimeError, match="shape"):
        train(surgeon, 1)
    del loss
    train(surgeon, 1)
