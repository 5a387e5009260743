"""A tree that has grown, made by hand."""

from pathlib import Path

import pytest

from paretosearch.device import Device
from paretosearch.recipe import Recipe
from paretosearch.studyfile.source import Source
from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.nodes import Cost
from paretosearch.treecnn.rules import Decision, Rules
from paretosearch.treecnn.study import TreeStudy
from paretosearch.treecnn.tree import Increment

#: Class 2 has a name that every format must show as it is, and none may obey.
CLASSES = ("cat", "dog", "[bold]$x_1 & 50%\\input{x}", "seal", "koala", "ox")
TEXT = '# ```\nname = "zoo"\n'
SOURCE = Source(Path("zoo.toml"), TEXT)


@pytest.fixture
def learned() -> Learned:
    """Three groups of two; the root stays as it was for the second."""
    study = TreeStudy(
        "zoo", (2, 2, 2), Rules(), 0, 3, "changed", Recipe("mnist", "convnet", seed=5), SOURCE, "my studies/zoo.toml"
    )
    first = Cost(2.0, 400_000_000, 1)
    increments = (
        Increment((0, 1), ((0,), (1,)), (), 0.95, 0.95, True, first, 0.95, first),
        Increment(
            (2, 3),
            ((0, 2, 3), (1,)),
            (Decision(3, "sure", (0,), (0.875, 0.125, 0.0)), Decision(2, "ahead", (0, 3), (0.5, 0.25, 0.0))),
            0.8125,
            0.9,
            False,
            Cost(1.25, 300_000_000, 1),
            0.91,
            Cost(4.0, 800_000_000, 1),
        ),
        Increment(
            (4, 5),
            ((0, 2, 3, 5), (1,), (4,)),
            (Decision(5, "guarded", (0, 2, 3), (0.5, 0.25, 0.0)), Decision(4, "full", (), (0.0, 0.0, 0.0))),
            0.8,
            0.85,
            True,
            Cost(6.5, 1_250_000_000, 2),
            0.9,
            Cost(6.0, 1_200_000_000, 1),
        ),
    )
    device = Device("cpu", "cpu-box-0", "Ryzen 7", 2**34, "box", 0, (0, 1))
    return Learned(study, device, CLASSES, increments)
