"""Reads a Dockerfile, for tests of what it says."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction of a Dockerfile.

    Args:
        stage: The stage that it belongs to; empty before the first one.
        name: Such as ``RUN``.
        value: The rest, on one line.
    """

    stage: str
    name: str
    value: str

    @property
    def flags(self) -> tuple[str, ...]:
        """Words that begin with two dashes, up to the first that does not."""
        words = self.value.split()
        end = next((index for index, word in enumerate(words) if not word.startswith("--")), len(words))
        return tuple(words[:end])

    @property
    def words(self) -> tuple[str, ...]:
        """What stands behind the flags, as a shell would cut it."""
        return tuple(shlex.split(self.value)[len(self.flags) :])


def read_dockerfile(path: Path) -> tuple[Instruction, ...]:
    """Read the instructions of a file in order; here-documents are not known."""
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")]
    found: list[Instruction] = []
    stage = ""
    for line in filter(None, "\n".join(lines).replace("\\\n", " ").splitlines()):
        name, _, value = line.partition(" ")
        stage = value.split()[-1] if name == "FROM" else stage
        found.append(Instruction(stage, name, " ".join(value.split())))
    return tuple(found)


def lineage(instructions: Sequence[Instruction], target: str) -> tuple[Instruction, ...]:
    """Give the instructions that an image consists of: those of its stage and of the stages that it begins with."""
    own = tuple(instruction for instruction in instructions if instruction.stage == target)
    return (*lineage(instructions, own[0].words[0]), *own) if own else ()
