"""How a training step is run: op by op, or as a recorded graph of the whole step where that pays."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from paretosearch.run import Run, Step
from paretosearch.training.phases import Tier
from paretosearch.training.worth import HEAD_START, QUEUED_STEPS, worth_recording

#: For a convolution that is new to it cuDNN times its algorithms, if it may. On an H100 this takes 3 to 4 s for a
#: ResNet-20 in 16 bits, whose steps then take 25 % less, and 0.6 s in fp32, for 6 %; it pays from so many seconds of
#: steps. What it has found, or has not looked for, stays for all of the process.
SEARCH_PAYS_FROM = 15.0


class Recorder(Protocol):
    """Makes a graph of what a function does on the device."""

    def record(self, function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        """Give what does it again, on the same memory, and the tensor that then holds the result."""

    def forget(self) -> None:
        """Let go of the memory; nothing that was recorded will be done again."""


class CudaRecorder:
    """Records CUDA graphs, which share their memory since no two of them run at once.

    Args:
        generators: Those of the device beside its own that a step draws from; every graph goes on where they are.
    """

    def __init__(self, generators: Sequence[torch.Generator]) -> None:
        self._pool, self._generators = torch.cuda.graph_pool_handle(), generators

    def record(self, function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.current_stream()
        for generator in self._generators:
            graph.register_generator_state(generator)
        try:
            # Another thread may read images meanwhile, and pin memory for them, which is none of the graph's business.
            with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
                result = function()
        except BaseException:
            torch.cuda.set_stream(stream)  # which a capture that cannot be ended leaves behind
            raise
        return graph.replay, result

    def forget(self) -> None:
        self._pool = torch.cuda.graph_pool_handle()  # a pool whose graphs are gone may not be used again


def recorder_for(device: torch.device, generators: Sequence[torch.Generator]) -> Recorder | None:
    """Give what records steps that draw from some generators on a device; None where nothing does."""
    return CudaRecorder(generators) if device.type == "cuda" else None


@dataclass
class _Graph:
    replay: Callable[[], None]
    loss: Tensor


class Stepper:
    """Makes training steps.

    A graph does again what the recorded step did, on the same memory: what is different from step to step must be in
    tensors, and what a Method decides in Python must be in its `variant`, of each of which there is a graph.

    Args:
        step: Makes one op by op.
        recorder: Records them; None where nothing does.
        undo: Takes back what the Python of a step did that was not recorded to its end.

    Attributes:
        tier: How the coming steps are made.
        refusal: Why recording did not work; empty as long as it does.
    """

    def __init__(self, step: Step, recorder: Recorder | None, undo: Callable[[], None]) -> None:
        self._step, self._recorder, self._undo = step, recorder, undo
        self._graphs: dict[tuple[str, ...], _Graph] = {}
        self._inputs: tuple[Tensor, Tensor] | None = None
        self._host_seconds = math.inf  # of the quickest step on trial
        self._is_decided = False
        self.tier: Tier = "eager"
        self.refusal = ""

    @property
    def records(self) -> bool:
        """Whether steps may be recorded, so that what differs between them must be in tensors."""
        return self._recorder is not None

    @property
    def is_on_trial(self) -> bool:
        """Whether some steps should show now if recording pays."""
        return self._recorder is not None and not self._is_decided and not self.refusal

    def forget(self) -> None:
        """Go back to making steps op by op, since their shapes or what they do is not what it was."""
        if self._graphs and self._recorder is not None:
            self._graphs.clear()
            self._recorder.forget()
        self._inputs = None
        self._host_seconds = math.inf
        self._is_decided = False
        self.tier = "eager"

    @property
    def head_start(self) -> float:
        """Seconds after which a step that the host begins to launch is surely launched."""
        return HEAD_START * self._host_seconds

    def may_pay(self, step_seconds: float, steps: int) -> bool:
        """Say whether recording would pay if the device had next to nothing to do."""
        return worth_recording(steps - QUEUED_STEPS, step_seconds, 0.0, self._host_seconds)

    def decide(self, step_seconds: float, queued_seconds: float, steps: int) -> None:
        """Record from now on, if that pays for what the trial showed.

        Args:
            step_seconds: Seconds of a step op by op.
            queued_seconds: Seconds of one behind a queue.
            steps: How many there will be.
        """
        self._is_decided = True
        if worth_recording(steps, step_seconds, queued_seconds, self._host_seconds):
            self.tier = "graph"

    def __call__(self, run: Run, x: Tensor, y: Tensor, variant: tuple[str, ...]) -> Tensor:
        """Make a step on images (N, C, H, W) and their targets; gives the loss, valid until the next step."""
        if self.tier == "graph":
            return self._recorded(run, x, y, variant)
        start = time.perf_counter()
        loss = self._step(run, x, y)
        self._host_seconds = min(self._host_seconds, time.perf_counter() - start)
        return loss

    def _recorded(self, run: Run, x: Tensor, y: Tensor, variant: tuple[str, ...]) -> Tensor:
        if self._inputs is None:
            self._inputs = torch.empty_like(x), torch.empty_like(y)
        for own, given in zip(self._inputs, (x, y), strict=True):
            own.copy_(given)
        graph = self._graphs.get(variant) or self._record(run, variant)
        if graph is None:
            return self._step(run, x, y)
        graph.replay()
        return graph.loss

    def _record(self, run: Run, variant: tuple[str, ...]) -> _Graph | None:
        assert self._recorder is not None
        assert self._inputs is not None
        x, y = self._inputs
        try:
            graph = _Graph(*self._recorder.record(lambda: self._step(run, x, y)))
        except RuntimeError as error:  # the device has done nothing yet: this step and the next are made op by op
            self._undo()
            self.forget()
            self.refusal = str(error).splitlines()[0]
            return None
        self._graphs[variant] = graph
        return graph


def fit_to_shape(device: torch.device, search: bool) -> None:
    """Prepare a device for a new shape.

    Args:
        device: The device.
        search: Whether to look for the quickest algorithms, as long as that may take.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()  # blocks of the old shapes would stay beside those of the new ones
        torch.backends.cudnn.benchmark = search
