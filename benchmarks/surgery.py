"""Times the surgery of resnet20 with its optimizer state on one core: prunes a quarter of every free space.

python benchmarks/surgery.py
"""

from __future__ import annotations

import statistics
import time

import torch
import torch.nn.functional as F

from paretosearch import nets
from paretosearch.training.surgery import Surgeon

REPEATS = 5


def main() -> None:
    """Print the median of the analysis, of the remap, of both."""
    torch.set_num_threads(1)
    _times(0)  # first calls load code
    analysis, remap = zip(*(_times(seed) for seed in range(REPEATS)), strict=True)
    both = [a + b for a, b in zip(analysis, remap, strict=True)]
    for name, seconds in {"analysis": analysis, "remap": remap, "both": both}.items():
        print(f"{name:9}{statistics.median(seconds):.4f} s  (median of {REPEATS}, torch {torch.__version__}, 1 core)")


def _times(seed: int) -> tuple[float, float]:
    """Give the seconds of finding the channel spaces, then those of changing them."""
    torch.manual_seed(seed)
    images = torch.randn(8, 3, 32, 32)
    model = nets.build("resnet20", classes=10, channels=3, image_size=32)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # not in the stub
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    F.cross_entropy(model(images), torch.arange(8)).backward()
    optimizer.step()
    surgeon = Surgeon(model, images, optimizer)
    start = time.perf_counter()
    plan = {space.name: torch.arange(space.size * 3 // 4) for space in surgeon.channels.free}
    middle = time.perf_counter()
    surgeon.remap(plan)
    return middle - start, time.perf_counter() - middle


if __name__ == "__main__":
    main()
