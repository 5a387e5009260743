"""A study file that is right, for tests to read or to damage."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from paretosearch.errors import StudyFileError
from paretosearch.studyfile import StudyFile, load

GOOD = """\
name    = "mine"
dataset = "cifar10"
network = "resnet20"
seed    = 7

[budget]
trials       = 64
device_hours = 4

[search]
sampler    = "tpe"
population = 12

[recipe]
weight_decay = 0
schedule     = "constant"

[space]
number_format           = ["fp32", "bf16"]
batch_size              = { low = 32, high = 256, log2 = true }
learning_rate           = { low = 0.01, high = 1, log = true }
epochs                  = { low = 1, high = 3 }
momentum                = [0, 0.9]
pooling                 = ["max", "s3"]
"label_smoothing.alpha" = { low = 0, high = 0.2 }
"""


@pytest.fixture
def good() -> str:
    return GOOD


@pytest.fixture
def read(tmp_path: Path) -> Callable[[str], StudyFile]:
    def read(text: str) -> StudyFile:
        path = tmp_path / "study.toml"
        path.write_text(text, encoding="utf-8")
        return load(str(path))

    return read


@pytest.fixture
def complaint(read: Callable[[str], StudyFile], tmp_path: Path) -> Callable[[str], str]:
    """Give what is said about a text, without the folder it lies in."""

    def complaint(text: str) -> str:
        with pytest.raises(StudyFileError) as caught:
            read(text)
        message = str(caught.value)
        assert "\n" not in message
        return message.removeprefix(f"{tmp_path}{os.sep}")

    return complaint
