"""Whether a device was as fast around a training as it is usually."""

from __future__ import annotations

import math
import statistics
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from paretosearch.outcome import Outcome

if TYPE_CHECKING:
    import torch

#: Steps of the reference workload in one look, 0.1 to 0.2 s; fewer behind a short training, of which a look may take
#: this share, and none if not even so many fit. A replay is short, and stands for a long training: it gets the least.
STEPS, LEAST_STEPS, SHARE = 24, 5, 0.01

#: A look serves the next training too, if it begins within so many seconds.
AT_ONCE = 0.5

#: What is usual is the median of so many looks, so that a neighbour who stays becomes usual in time.
REMEMBERED = 15

#: Drift above which a training is noisy. That of GPUs is what clocks and heat do to one (performance.md, E). On a core
#: that shares its caches, and maybe more, with busy others, looks differ by up to 50 %: of 24 replays beside trainings,
#: the 13 whose reference was within this were off by 6 % in the median, as a repeated training was (5 %), and the other
#: 11 by 20 % (benchmarks/results/replay-cpu.txt).
MARGIN = {"cpu": 0.10, "cuda": 0.02}


class DriftWatch:
    """Looks before and after each training how long a reference workload takes.

    Args:
        margin: Drift above which a training is noisy.
        measure: Gives median seconds of so many steps of the reference.
        now: Monotonic seconds.
    """

    def __init__(
        self, margin: float, measure: Callable[[int], float], now: Callable[[], float] = time.monotonic
    ) -> None:
        self._margin, self._measure, self._now = margin, measure, now
        self._seen: deque[float] = deque(maxlen=REMEMBERED)
        self._looked, self._began = -math.inf, 0.0
        self._before: float | None = None
        self._was_short = False

    @classmethod
    def of(cls, device: torch.device) -> DriftWatch:
        """Watch a device of this process."""

        def measure(steps: int) -> float:
            from paretosearch.training.reference import reference_seconds  # with which all of the engine comes

            return reference_seconds(device, steps)

        return cls(MARGIN[device.type], measure)

    def begin(self, is_replay: bool = False) -> None:
        """Look before a training.

        There is none where the look behind the one before was just now, nor where that training was too short for any,
        as the next one may well be.
        """
        if self._now() - self._looked <= AT_ONCE:
            self._before = self._seen[-1]
        elif is_replay:
            self._before = self._look(LEAST_STEPS)
        else:
            self._before = None if self._was_short else self._look(STEPS)
        self._began = self._now()

    def end(self, outcome: Outcome, is_replay: bool = False) -> Outcome:
        """Look behind a training, if it was long enough, and say how far the device was off.

        Returns:
            The Outcome with its `drift`, None where there was no look, and noisy if that is beyond the margin.
        """
        steps = LEAST_STEPS if is_replay else self._affordable(self._now() - self._began)
        if not is_replay:
            self._was_short = steps < LEAST_STEPS
        if steps < LEAST_STEPS:
            return outcome
        looks = [self._before] if self._before is not None else []
        usual = statistics.median(self._seen) if self._seen else None
        looks.append(self._look(steps))
        if usual is None:  # nothing to compare with
            return outcome
        drift = max((look / usual - 1 for look in looks), key=abs)
        return replace(outcome, drift=drift, noisy=outcome.noisy or abs(drift) > self._margin)

    def _affordable(self, spent: float) -> int:
        if not self._seen:
            return STEPS if spent > AT_ONCE / SHARE else 0
        return min(STEPS, int(SHARE * spent / self._seen[-1]))

    def _look(self, steps: int) -> float:
        self._seen.append(self._measure(steps))
        self._looked = self._now()
        return self._seen[-1]
