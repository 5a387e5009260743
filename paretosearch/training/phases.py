"""The robust seconds of steps that are all alike."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from paretosearch.outcome import PhaseResult

#: How steps are run: op by op, with fused operations, compiled by `torch.compile`, or as one recorded CUDA graph.
Tier = Literal["eager", "fused", "compile", "graph"]

#: Steps are averaged over blocks of at least this long before the median: below it the timer and the scheduler show.
BLOCK_SECONDS = 0.02

#: A block has at least this many steps, so that what a Method does every second or fourth step is in every block; with
#: more, a short training of long steps would have too few blocks for a median.
BLOCK_STEPS = 4

#: Steps at the start of a phase that build kernels and fill caches; a tenth of the phase where that is fewer.
WARM_UP_STEPS = 5


@dataclass(frozen=True)
class Setting:
    """What steps must have in common to take the same time.

    Args:
        batch_size: Images per step.
        changes: Changes of the network's shape before them.
        tier: How they are run.
        pattern: What the Methods do in them, where that is not always the same.
    """

    batch_size: int
    changes: int = 0
    tier: Tier = "eager"
    pattern: str = ""


@dataclass
class Phase:
    """The seconds of steps in one setting, one after another.

    Args:
        setting: What they have in common.
        epoch: Epochs done when they began.
        is_first: Whether it begins the training. What its warm-up takes longer is the process's doing, and another
            training in the same process would not pay for it; later warm-ups are the doing of the Recipe.
        rebuild_seconds: Seconds in which the training became what it is in this phase: changes of shape, and what
            follows from them.
        steps: Seconds of each, without those in which the core was another process's.
        waited: The latter, of all steps.
    """

    setting: Setting
    epoch: int = 0
    is_first: bool = False
    rebuild_seconds: float = 0.0
    steps: list[float] = field(default_factory=list)
    waited: float = 0.0

    @property
    def _warm_up(self) -> int:
        return min(WARM_UP_STEPS, len(self.steps) // 10 + 1) if len(self.steps) > 1 else 0

    @property
    def settled(self) -> list[float]:
        """The steps without the warm-up."""
        return self.steps[self._warm_up :]

    @property
    def step_seconds(self) -> float:
        """Robust seconds of one settled step: the median over blocks of their mean."""
        return statistics.median(block_means(self.settled)) if self.steps else 0.0

    @property
    def seconds(self) -> float:
        """Robust seconds of the whole phase."""
        return self.seconds_of(len(self.steps))

    def seconds_of(self, steps: int) -> float:
        """Give the robust seconds that so many steps would have taken, at least as many as were timed as warm-up."""
        if not self.steps:
            return 0.0
        pays_warm_up = not self.is_first or self.setting.tier == "compile"
        beyond = sum(self.steps[: self._warm_up]) - self._warm_up * self.step_seconds if pays_warm_up else 0.0
        return steps * self.step_seconds + beyond

    @property
    def spread(self) -> float:
        """Interquartile range of the settled steps, averaged over blocks, in seconds."""
        means = block_means(self.settled) if self.steps else []
        if len(means) < 2:
            return 0.0
        low, _, high = statistics.quantiles(means, n=4)
        return high - low


def block_means(steps: list[float]) -> list[float]:
    """Give the mean step of each block; a rest that is too short for one joins the block before it."""
    blocks: list[list[float]] = [[]]
    for seconds in steps:
        if _is_whole(blocks[-1]):
            blocks.append([])
        blocks[-1].append(seconds)
    if len(blocks) > 1 and not _is_whole(blocks[-1]):
        rest = blocks.pop()
        blocks[-1].extend(rest)
    return [statistics.fmean(block) for block in blocks]


def _is_whole(block: list[float]) -> bool:
    return len(block) >= BLOCK_STEPS and sum(block) >= BLOCK_SECONDS


def phase_results(phases: Sequence[Phase], outline: Sequence[Mapping[str, Any]]) -> tuple[PhaseResult, ...]:
    """Say how phases went.

    Args:
        phases: The phases of a training, in order.
        outline: All changes of the network's shape, as a Surgeon outlines them.
    """
    ends = [phase.setting.changes for phase in phases]
    return tuple(
        PhaseResult(
            epoch=phase.epoch,
            steps=len(phase.steps),
            batch_size=phase.setting.batch_size,
            tier=phase.setting.tier,
            pattern=phase.setting.pattern,
            seconds=phase.seconds,
            step_seconds=phase.step_seconds,
            step_seconds_iqr=phase.spread,
            rebuild_seconds=phase.rebuild_seconds,
            changes=tuple(outline[start:end]),
        )
        for phase, start, end in zip(phases, [0, *ends], ends, strict=False)
    )
