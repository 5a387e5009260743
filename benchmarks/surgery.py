"""Times the surgery of resnet20 with its optimizer state on one core.

python benchmarks/surgery.py

Pruning takes a quarter of every free space, widening makes it half as wide again with noise, deepening adds a block to
each of the three stages; every time includes finding the channel spaces.
"""

from __future__ import annotations

import statistics
import time
from collections import defaultdict

import torch
import torch.nn.functional as F

from paretosearch import nets
from paretosearch.channels import Noise, widened
from paretosearch.device import cpu_name
from paretosearch.surgery import InsertIdentity, Operation, Remap, Surgery
from paretosearch.training.surgery import Surgeon

REPEATS = 9


def main() -> None:
    """Print the median of every kind of surgery; the kinds are timed in turn."""
    torch.set_num_threads(1)
    seconds: dict[str, list[float]] = defaultdict(list)
    for seed in range(REPEATS + 1):
        for kind in ("prune", "widen", "deepen"):
            seconds[kind].append(_time(kind, seed))
    print(f"{cpu_name()}, one core, torch {torch.__version__}; median, lowest and highest of {REPEATS}")
    for kind, taken in seconds.items():
        counted = taken[1:]  # first calls load code
        print(f"{kind:8}{statistics.median(counted):.4f} s  ({min(counted):.4f} to {max(counted):.4f})")


def _time(kind: str, seed: int) -> float:
    torch.manual_seed(seed)
    images = torch.randn(128, 3, 32, 32)
    model = nets.build("resnet20", classes=10, channels=3, image_size=32)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    F.cross_entropy(model(images[:8]), torch.arange(8)).backward()
    optimizer.step()
    surgeon, generator = Surgeon(model, images, optimizer), torch.Generator().manual_seed(seed)
    start = time.perf_counter()
    surgeon.operate(Surgery(kind, tuple(_operations(kind, surgeon, generator))))
    return time.perf_counter() - start


def _operations(kind: str, surgeon: Surgeon, generator: torch.Generator) -> list[Operation]:
    sizes = {space.name: space.size for space in surgeon.channels.free}
    if kind == "prune":
        return [Remap({name: torch.arange(size * 3 // 4) for name, size in sizes.items()})]
    if kind == "widen":
        plan = {name: widened(size, size * 3 // 2, generator) for name, size in sizes.items()}
        return [Remap(plan, Noise(0.3, generator))]
    return [InsertIdentity(stage, generator) for stage in surgeon.stages]


if __name__ == "__main__":
    main()
