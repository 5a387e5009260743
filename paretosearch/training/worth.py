"""Whether recording a step pays, from some steps that are made on trial."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch

#: Steps of a setting that are run op by op before it is decided whether to record: enough for a median; and steps that
#: the device does behind a queue, which the host has filled before it begins.
TRIAL_STEPS, QUEUED_STEPS = 16, 3

#: Share of the queued seconds of a step that a graph takes: the gaps between kernels are smaller still.
GRAPH_SHARE = 0.98

#: Recording runs the step's Python once, without waiting for the device, and builds the graph, which takes as long
#: again; the first is done for each variant of a step, of which there are few.
RECORDINGS, RECORDING_SECONDS = 4, 0.05

#: The device begins a queued step when the host has had this many times the seconds that it needs to launch one; cycles
#: of a device in a second, at most.
HEAD_START, CYCLES = 2.0, 2.0e9


def worth_recording(steps: int, step_seconds: float, queued_seconds: float, host_seconds: float) -> bool:
    """Say whether recording a step pays.

    Args:
        steps: How often it will be made.
        step_seconds: Seconds that it takes op by op.
        queued_seconds: Seconds that the device alone takes for it.
        host_seconds: Seconds in which the host launches it.
    """
    saved = step_seconds - GRAPH_SHARE * queued_seconds
    return steps * saved > RECORDINGS * host_seconds + RECORDING_SECONDS


def queued_seconds(device: torch.device, head_start: float, launch: Callable[[], object]) -> float:
    """Give the seconds that a device takes for some work when it never waits for the host to launch it.

    Args:
        device: The device; a CPU has no queue, and is simply timed.
        head_start: Seconds that the host needs to launch the work, or more.
        launch: Launches it.
    """
    if device.type != "cuda":
        start = time.perf_counter()
        launch()
        return time.perf_counter() - start
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    torch.cuda._sleep(int(head_start * CYCLES))  # type: ignore[no-untyped-call]  # keeps the device busy, and waits for nothing
    begin.record()
    launch()
    end.record()
    torch.cuda.synchronize(device)
    return float(begin.elapsed_time(end)) / 1000  # milliseconds
