"""Images per second on a GPU: our steps, op by op and recorded, and those of a careful user.

python -m benchmarks.gpu     # minutes; needs a GPU

The contenders take turns in one process; every figure is the median of the rounds. ``kernels`` is the time of the
recorded step alone, the limit of everything around it.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F

from benchmarks.loops import recipe
from paretosearch import data, nets
from paretosearch.data import Batches, ImageSet
from paretosearch.training import Training

RESULTS = Path(__file__).parent / "results" / "bench-gpu.json"
ROUNDS, STEPS = 7, 60
SHAPES = [(network, batch) for network in ("resnet20", "resnet18") for batch in (128, 512)]


def user(network: str, batch: int, images: ImageSet) -> Callable[[], None]:
    """Make the loop of a careful user: resident images, channels last, autocast, fused optimizer, no reads."""
    gpu = torch.device("cuda")
    batches = Batches(images.train, images, gpu, batch, augment=True, generator=torch.Generator())
    shape = {"channels": images.channels, "image_size": images.image_size, "classes": len(images.classes)}
    model = nets.build(network, **shape).to(gpu, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=5e-4, nesterov=True, fused=True)

    def steps() -> None:
        for x, y in islice(batches, STEPS):
            with torch.autocast("cuda", torch.bfloat16):
                loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)

    return steps


def ours(network: str, batch: int, images: ImageSet, tier: str) -> tuple[Callable[[], None], Training]:
    """Make our steps, in one tier."""
    asked = replace(recipe("bf16", train_images=0, epochs=100), network=network, batch_size=batch)
    training = Training(asked, images, torch.device("cuda"))
    training.run.model.train()
    training.follow()
    total = torch.zeros((), device="cuda")
    training.steps(islice(training.batches, 20), total)
    training.stepper.tier = "graph" if tier == "graph" else "eager"
    return lambda: training.steps(islice(training.batches, STEPS), total), training


def kernels(training: Training) -> Callable[[], None]:
    """Replay the recorded step alone."""
    (graph, *_) = training.stepper._graphs.values()

    def steps() -> None:
        for _ in range(STEPS):
            graph.replay()

    return steps


def compare(network: str, batch: int, images: ImageSet) -> dict[str, float]:
    """Give the images per second of all contenders."""
    eager, _ = ours(network, batch, images, "eager")
    graph, training = ours(network, batch, images, "graph")
    graph()
    turns = {"user": user(network, batch, images), "ours, eager": eager, "ours, graph": graph}
    turns["kernels"] = kernels(training)
    seconds: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(ROUNDS + 1):
        for name, steps in turns.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            steps()
            torch.cuda.synchronize()
            seconds[name].append(time.perf_counter() - start)
    return {name: batch * STEPS / statistics.median(taken[1:]) for name, taken in seconds.items()}


def main() -> None:
    """Measure all shapes and keep the result."""
    images = data.load("fashion-mnist")
    rows = []
    for network, batch in SHAPES:
        speeds = compare(network, batch, images)
        ratio, share = speeds["ours, graph"] / speeds["user"], speeds["ours, graph"] / speeds["kernels"]
        said = ", ".join(f"{name} {speed:.0f}" for name, speed in speeds.items())
        print(f"{network} batch {batch}: {ratio:.2f}x a user's, {share:.2f} of the kernels alone ({said} images/s)")
        rows.append({"network": network, "batch_size": batch, "images_per_second": speeds})
    about = {"device": torch.cuda.get_device_name(), "torch": torch.__version__}
    plain = {"about": about, "date": datetime.now(UTC).date().isoformat(), "rows": rows}
    RESULTS.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
