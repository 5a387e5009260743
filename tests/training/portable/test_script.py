"""A trained network leaves as a file that gives the same in a process that knows nothing of paretosearch."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from paretosearch import nets
from paretosearch.data import ImageSet
from paretosearch.recipe import Recipe
from paretosearch.surgery import Remap, Surgery
from paretosearch.testing.images import image_set
from paretosearch.testing.surgery import randomised
from paretosearch.training import train
from paretosearch.training.portable import NotPortableError, plain, script_of, wide
from paretosearch.training.portable.wide import examples
from paretosearch.training.surgery import Surgeon

IMAGES = image_set()
RECIPE = Recipe("stripes", "resnet8", width=0.5, epochs=3, batch_size=32, reference_batch_size=32, channel_multiple=2)


def trained(**changes: object) -> nn.Module:
    return train(replace(RECIPE, **changes), IMAGES, torch.device("cpu")).model  # type: ignore[arg-type]


def surgical(operate: Callable[[Surgeon], object], network: str = "resnet8") -> nn.Module:
    model = randomised(nets.build(network, classes=4, channels=1, image_size=12))
    operate(Surgeon(model, examples(IMAGES)))
    return model


def pruned(surgeon: Surgeon) -> None:
    """Keep every third channel of each space: no network of a library has such widths."""
    plan = {space.name: torch.arange(0, space.size, 3) for space in surgeon.channels.free}
    surgeon.operate(Surgery("prune", (Remap(plan),)))


def without_branches(surgeon: Surgeon) -> None:
    pruned(surgeon)
    for branch in surgeon.channels.branches:
        surgeon.remove_branch(branch.block, constant=True)


class Plain(nn.Module):
    """What a user may have written: a parameter of its own, a buffer that is not kept, a constant, a loop."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.scale = nn.Parameter(torch.rand(4, 1, 1))
        self.register_buffer("index", torch.tensor([3, 1, 0]), persistent=False)
        self.register_buffer("shift", torch.rand(3, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        x = (self.conv(x) * self.scale)[:, self.index] + self.shift
        for _ in range(2):
            x = nn.functional.gelu(x).clamp(-1.0, float("inf"))
        return torch.cat([x.mean((2, 3)), x.amax((2, 3))[:, :1] * torch.tensor([2.0])], 1)


CASES: dict[str, Callable[[], nn.Module]] = {
    **{
        f"{pooling} pooling": lambda p=pooling: trained(network="convnet", pooling=p, epochs=1)  # type: ignore[misc]
        for pooling in ("native", "max", "avg", "ll", "stochastic", "s3")
    },
    "s3 pooling of strides": lambda: trained(pooling="s3", epochs=1),
    "resnet20": lambda: trained(network="resnet20", epochs=1),
    "pruned": lambda: surgical(pruned, "resnet20"),
    "without branches": lambda: surgical(without_branches, "resnet20"),
    "grown": lambda: trained(methods={"net2net": {"schedule": "widen@0.3x1.5+deepen@0.5"}}),
    "ema": lambda: trained(methods={"ema": {"decay": 0.9}}),
    "swa": lambda: trained(methods={"swa": {"start": 0.5}}),
    "ghost norm": lambda: plain(trained(methods={"ghost_norm": {"size": 8}}, epochs=1)),
    "weight norm": lambda: plain(trained(methods={"weight_norm": {"form": "plain"}}, epochs=1)),
    "mean-only batch norm": lambda: plain(trained(methods={"weight_norm": {"form": "mean_only"}}, epochs=1)),
    "ssf": lambda: plain(trained(methods={"ssf": {"structure": "dictionary"}}, epochs=1)),
    "standardization loss": lambda: trained(methods={"standardization_loss": {"strength": 1e-4}}, epochs=1),
    "bf16-pure": lambda: trained(number_format="bf16-pure", epochs=1),
    "dfp16": lambda: trained(number_format="dfp16", epochs=1),
    "of torchvision": lambda: randomised(nets.build("torchvision:mobilenet_v2", classes=4, channels=1, image_size=12)),
    "a user's own": Plain,
}

#: What a process runs in which paretosearch is not to be had.
PROGRAM = """
import importlib.util, sys, torch
sys.modules["paretosearch"] = None
for folder in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("network", folder + "/network.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    network = module.Network()
    network.load_state_dict(torch.load(folder + "/weights.pt", weights_only=True))
    with torch.no_grad():
        torch.save(network.eval()(torch.load(folder + "/images.pt")), folder + "/logits.pt")
assert not [name for name in sys.modules if name.startswith("paretosearch.")]
"""


@dataclass(frozen=True)
class Left:
    """What our network gives for the test images, and what the other process got."""

    ours: Tensor
    theirs: Tensor
    text: str


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Left]:
    folders, ours = {}, {}
    x = torch.cat([(IMAGES.test.images / 255 - 0.5) / 0.25])
    for name, make in CASES.items():
        torch.manual_seed(0)
        model = make()
        folders[name] = folder = tmp_path_factory.mktemp("left")
        (folder / "network.py").write_text(script_of(wide(model), IMAGES, "fp32"))
        torch.save(model.state_dict(), folder / "weights.pt")
        torch.save(x, folder / "images.pt")
        with torch.no_grad():
            ours[name] = model.float().eval()(x)
    command = [sys.executable, "-c", PROGRAM, *map(str, folders.values())]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    return {
        name: Left(ours[name], torch.load(folder / "logits.pt"), (folder / "network.py").read_text())
        for name, folder in folders.items()
    }


@pytest.mark.parametrize("name", CASES)
def test_another_program_gets_the_same_logits(
    name: str, left: dict[str, Left], note_difference: Callable[[str, float], float]
) -> None:
    found = left[name]
    assert found.theirs.shape == (64, 4)
    assert found.ours.std() > 1e-3
    difference = float((found.theirs - found.ours).abs().max() / found.ours.abs().max())
    assert note_difference("logits of network.py", difference) <= 1e-6


def test_the_file_imports_torch_alone_and_reads_well(left: dict[str, Left]) -> None:
    for found in left.values():
        tree = ast.parse(found.text)
        imported = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        assert {name.partition(".")[0] for name in imported} <= {"__future__", "torch", "math", "operator"}
        assert "getattr(getattr(" not in found.text
        assert " = None\n" not in found.text.partition("def forward")[2].partition("def put")[0]


@pytest.mark.usefixtures("left")
def test_the_cases_are_what_they_are_called() -> None:
    plain = wide(nets.build("resnet20", classes=4, channels=1, image_size=12))
    counts = [sum(p.numel() for p in CASES[name]().parameters()) for name in ("pruned", "without branches")]
    assert sum(p.numel() for p in plain.parameters()) > counts[0] > counts[1]
    text = script_of(wide(CASES["without branches"]()), IMAGES, "fp32")
    assert "nn.Parameter(torch.zeros(" in text  # the constants that branches leave


def test_the_example_in_the_file_runs(tmp_path: Path) -> None:
    model = CASES["s3 pooling"]()
    (tmp_path / "network.py").write_text(script_of(wide(model), IMAGES, "fp32"))
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    Image.new("RGB", (30, 20), "grey").save(tmp_path / "image.png")
    docstring = ast.get_docstring(ast.parse((tmp_path / "network.py").read_text())) or ""
    example = "\n".join(line[4:] for line in docstring.splitlines() if line.startswith("    "))
    said = subprocess.run([sys.executable, "-c", example], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"class [0-3] [01]\.\d+\n", said.stdout)


def test_normalisation_and_classes_are_in_the_file_whatever_they_are_called() -> None:
    odd = ('"""', "'\\", "a\nb", "{x} ü", "\u202e")
    images = ImageSet("x", odd[:4], IMAGES.train, IMAGES.validation, IMAGES.test, (0.3,), (0.2,), flip=False)
    space: dict[str, object] = {"__name__": "network"}
    exec(script_of(wide(CASES["avg pooling"]()), images, "fp32"), space)
    assert (space["CLASSES"], space["MEAN"], space["STD"]) == (odd[:4], (0.3,), (0.2,))
    assert (space["CHANNELS"], space["IMAGE_SIZE"]) == (1, 12)
    normalised = space["normalised"](IMAGES.test.images[:4])  # type: ignore[operator]
    assert torch.allclose(normalised, examples(images), atol=1e-6)


class Branching(nn.Module):
    """Decides by the values of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)[:, :4] if x.sum() > 0 else x.flatten(1)[:, 4:8]


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.attention(x[:, 0], x[:, 0], x[:, 0])[0]
        return y[:, 0, :4]


class Rounding(nn.AvgPool2d):
    """Says of itself that it is something else."""


Rounding.__module__, Rounding.__qualname__ = nn.AvgPool2d.__module__, "AvgPool2d"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (Branching(), "the network cannot be traced"),
        (Attention(), "layer attention is a MultiheadAttention, which does not say how it was made"),
        (nn.Sequential(Rounding(3), nn.Flatten(), nn.Linear(16, 4)), "which does not say how it was made"),
        (
            nn.Sequential(nn.AvgPool2d(5, 5, 2, count_include_pad=False), nn.Flatten(), nn.Linear(9, 4)),
            "a layer does not say all of how it was made",
        ),
    ],
)
def test_what_cannot_be_written_down_says_why_in_one_line(model: nn.Module, reason: str) -> None:
    with pytest.raises(NotPortableError) as error:
        script_of(wide(model), IMAGES, "fp32")
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
