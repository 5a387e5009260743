"""Does a tree of networks learn classes that arrive in groups with less effort? The study `tree_cnn`, with three seeds.

    python -m benchmarks.tree_cnn --out benchmarks/results [--cpu 1 | --gpus 0]

The tree of the shipped study is grown with each value of `retrain_root`, beside networks that are trained anew: three
minutes on a CPU core. Of the study as it is shipped, figure and rows of each group are kept, as `paretosearch tree
--out` writes them.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from paretosearch.api.training import one_wish, taken
from paretosearch.api.trees import learn
from paretosearch.treecnn.export import FIGURE, export
from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.study import Retraining, TreeStudy, load_tree

STUDY, SEEDS = "tree_cnn", (1, 2, 3)


def main(arguments: Sequence[str] | None = None) -> None:
    """Grow every tree, then write table, rows and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--cpu")
    parser.add_argument("--gpus")
    chosen = parser.parse_args(arguments)
    with taken(one_wish("tree", chosen.gpus, chosen.cpu)) as device:
        trees = [learn(study, device) for study in studies()]
    print(written(trees, chosen.out).read_text())


def studies() -> Iterator[TreeStudy]:
    """Give the shipped study, and what it is with other seeds and the other way of training roots.

    Seeds change last, so that what disturbs the machine disturbs both ways alike.
    """
    shipped = load_tree(STUDY)
    for seed in SEEDS:
        for way in get_args(Retraining):
            yield replace(shipped, retrain_root=way, recipe=replace(shipped.recipe, seed=seed))


def written(trees: Sequence[Learned], out: Path) -> Path:
    """Write the table of all trees, and rows and figure of the first; gives the table's file."""
    name = f"{STUDY}-{'cpu' if trees[0].device.kind == 'cpu' else 'gpu'}"
    out.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder:
        export(trees[0], Path(folder))
        for suffix in ("csv", "png"):
            shutil.copy(Path(folder) / f"{FIGURE}.{suffix}", out / f"{name}.{suffix}")
    table = out / f"{name}.md"
    table.write_text("\n".join(lines(trees)) + "\n", encoding="utf-8")
    return table


def lines(trees: Sequence[Learned]) -> Iterator[str]:
    """Write the table."""
    yield f"# Classes in groups, by a tree and by training anew: study {STUDY}, on {trees[0].device.device_class}"
    yield ""
    yield f"Mean (lowest to highest) over the seeds; accuracy on all classes in the end; torch {version('torch')}."
    yield "Effort and seconds are those of the tree, by those of training anew."
    yield ""
    yield "| retrain_root | seeds | accuracy of the tree (%) | accuracy anew (%) | effort | seconds |"
    yield "|---|---|---|---|---|---|"
    for way, grown in groupby(sorted(trees, key=_way), _way):
        yield _row(way, list(grown))


def _way(tree: Learned) -> Retraining:
    return tree.study.retrain_root


def _row(way: Retraining, trees: Sequence[Learned]) -> str:
    last = [tree.increments[-1] for tree in trees]
    seeds = ", ".join(str(tree.study.recipe.seed) for tree in trees)
    accuracies = [one.accuracy for one in last], [one.retrained_accuracy for one in last]
    seconds, efforts = zip(*(tree.ratios for tree in trees), strict=True)
    percents = [_range([100 * share for share in shares]) for shares in accuracies]
    return f"| {' | '.join((way, seeds, *percents, _range(efforts), _range(seconds)))} |"


def _range(values: Sequence[float]) -> str:
    return f"{statistics.fmean(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    main()
