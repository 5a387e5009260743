"""Images per second on a GPU: our steps, op by op and recorded, and those of a careful user, compiled too.

python -m benchmarks.gpu     # minutes, most of them for torch.compile; needs a GPU

The contenders of a row take turns in one process, but for the compiled one, whose own graphs want a process to
themselves; every figure is the median of the rounds. ``kernels`` is the time of the recorded step alone, the limit of
everything around it. ``changes`` are the seconds of one change of shape.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from benchmarks.loops import recipe
from paretosearch import data, nets
from paretosearch.data import Batches, ImageSet
from paretosearch.recipe import Recipe
from paretosearch.training import Training

RESULTS = Path(__file__).parent / "results" / "bench-gpu.json"
ROUNDS, STEPS = 7, 60

#: Network, batch size, number format, and how `torch.compile` is asked, if it is a contender there.
ROWS = [
    ("resnet20", 128, "bf16", "reduce-overhead"),
    ("resnet20", 512, "bf16", ""),
    ("resnet18", 128, "bf16", ""),
    ("resnet18", 512, "bf16", "reduce-overhead"),
    *(("resnet18", 512, number_format, "") for number_format in ("fp32", "tf32", "fp16")),
]
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def user(network: str, batch: int, number_format: str, images: ImageSet, mode: str = "") -> Callable[[], None]:
    """Make the loop of a careful user: resident images, channels last, autocast, fused optimizer, no reads."""
    gpu = torch.device("cuda")
    batches = Batches(images.train, images, gpu, batch, augment=True, generator=torch.Generator())
    shape = {"channels": images.channels, "image_size": images.image_size, "classes": len(images.classes)}
    model = nets.build(network, **shape).to(gpu, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=True)
    scaler = torch.amp.GradScaler("cuda", enabled=number_format == "fp16")
    forward = torch.compile(model, mode=mode) if mode else model
    dtype = AUTOCAST.get(number_format)

    def steps() -> None:
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = number_format == "tf32"
        torch.backends.cudnn.benchmark = True
        for x, y in islice(batches, STEPS):
            with torch.autocast("cuda", dtype or torch.bfloat16, enabled=dtype is not None):
                loss = F.cross_entropy(forward(x), y)
            scaler.scale(loss).backward()
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)

    return steps


def asked(network: str, batch: int, number_format: str) -> Recipe:
    """Give the Recipe of a row."""
    return replace(recipe(number_format, train_images=0, epochs=100), network=network, batch_size=batch)


def ours(row: Recipe, images: ImageSet, tier: str) -> tuple[Callable[[], None], Training]:
    """Make our steps, in one tier."""
    training = Training(row, images, torch.device("cuda"))
    training.run.model.train()
    training.follow()
    total = torch.zeros((), device="cuda")
    training.steps(islice(training.batches, 20), total)
    training.stepper.tier = "graph" if tier == "graph" else "eager"

    def steps() -> None:
        training.precision.set_flags()
        torch.backends.cudnn.benchmark = True
        training.steps(islice(training.batches, STEPS), total)

    return steps, training


def kernels(training: Training) -> Callable[[], None]:
    """Replay the recorded step alone."""
    (graph, *_) = training.stepper._graphs.values()

    def steps() -> None:
        for _ in range(STEPS):
            graph.replay()

    return steps


def timed(steps: Callable[[], None]) -> float:
    """Give the seconds of some steps, to their end on the device."""
    torch.cuda.synchronize()
    start = time.perf_counter()
    steps()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def compare(network: str, batch: int, number_format: str, images: ImageSet) -> dict[str, Any]:
    """Give the images per second of all contenders, and what recording took."""
    row = asked(network, batch, number_format)
    eager, _ = ours(row, images, "eager")
    graph, training = ours(row, images, "graph")
    first = timed(graph)
    turns = {"user": user(network, batch, number_format, images), "ours, eager": eager, "ours, graph": graph}
    turns["kernels"] = kernels(training)
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(ROUNDS + 1):
        for name, steps in turns.items():
            seconds[name].append(timed(steps))
    medians = {name: statistics.median(taken[1:]) for name, taken in seconds.items()}
    speeds = {name: batch * STEPS / taken for name, taken in medians.items()}
    return {"images_per_second": speeds, "recording_seconds": first - medians["ours, graph"]}


def compiled(network: str, batch: int, number_format: str, mode: str) -> dict[str, Any]:
    """Give the images per second of a user who compiles, and what that took, measured in another process."""
    command = [sys.executable, "-m", "benchmarks.gpu", network, str(batch), number_format, mode]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    figures: dict[str, Any] = json.loads(printed.splitlines()[-1])
    return figures


def compile_here(network: str, batch: str, number_format: str, mode: str) -> None:
    """Do that in this process."""
    steps = user(network, int(batch), number_format, data.load("fashion-mnist"), mode)
    compiling, *taken = (timed(steps) for _ in range(ROUNDS + 2))
    speed = int(batch) * STEPS / statistics.median(taken[1:])
    print(json.dumps({"compiled_images_per_second": speed, "compiling_seconds": compiling}))


def changes(images: ImageSet) -> list[dict[str, Any]]:
    """Train a network that is pruned and grows, and give what each change of shape took, up to the settled steps."""
    methods = {"prunetrain": {"penalty_ratio": 0.3, "interval": 1}, "net2net": {"schedule": "widen@0.4+deepen@0.7"}}
    row = replace(asked("resnet20", 128, "bf16"), epochs=10, methods=methods, train_images=20000)
    training = Training(row, images, torch.device("cuda"))
    outcome = training.go(with_test=False).outcome
    rows = []
    for phase in training.clock.phases[1:]:
        beyond = phase.seconds - len(phase.steps) * phase.step_seconds
        tier, steps = phase.setting.tier, len(phase.steps)
        rows.append({"tier": tier, "steps": steps, "rebuild": phase.rebuild_seconds, "warm_up": beyond})
    print(f"changes: {len(outcome.surgeries)} in {outcome.train_seconds:.2f} s, of them events ", end="")
    print(f"{training.clock.event_seconds:.2f} s, the longest rebuild {max(row['rebuild'] for row in rows):.3f} s")
    return rows


def said(row: dict[str, Any]) -> str:
    """Put a row into words."""
    speeds = row["images_per_second"]
    ratio, share = (speeds["ours, graph"] / speeds[other] for other in ("user", "kernels"))
    what = f"{row['network']} batch {row['batch_size']} {row['number_format']}"
    each = ", ".join(f"{name} {speed:.0f}" for name, speed in speeds.items())
    if "compiled_images_per_second" in row:
        each += f", compiled {row['compiled_images_per_second']:.0f} after {row['compiling_seconds']:.0f} s"
    return f"{what}: {ratio:.2f}x a user's, {share:.2f} of the kernels alone ({each} images/s)"


def main() -> None:
    """Measure all rows and keep the result."""
    images = data.load("fashion-mnist")
    about = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    rows: list[dict[str, Any]] = []
    plain: dict[str, Any] = {"about": about, "date": datetime.now(UTC).date().isoformat(), "rows": rows}
    for network, batch, number_format, mode in ROWS:
        figures = compare(network, batch, number_format, images)
        extra = compiled(network, batch, number_format, mode) if mode else {}
        rows.append({"network": network, "batch_size": batch, "number_format": number_format, **figures, **extra})
        print(said(rows[-1]), flush=True)
        RESULTS.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
    # The last: of shapes that are new to cuDNN here it keeps the first algorithms, which later rows would get.
    plain["changes"] = changes(images)
    RESULTS.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:]:
        compile_here(*sys.argv[1:])
    else:
        main()
