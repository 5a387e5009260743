"""The table of trees has a row for each way of training roots, and all seeds in it."""

from dataclasses import replace
from pathlib import Path

from benchmarks.tree_cnn import lines, studies, written
from paretosearch.device import Device
from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.nodes import Cost
from paretosearch.treecnn.study import TreeStudy, load_tree
from paretosearch.treecnn.tree import Increment

DEVICE = Device("cpu", "cpu-box-0", "Ryzen 7", 2**34, "box", 0, (0,))


def grown(study: TreeStudy) -> Learned:
    """Invent a tree of one group, that costs a part of training anew where its root is left as it is."""
    times, seed = {"always": 1.2, "changed": 0.8}[study.retrain_root], study.recipe.seed
    cost, anew = Cost(3.0 * times + seed, round(1000 * times), 2), Cost(3.0, 1000, 1)
    accuracy = 0.5 * times + 0.01 * seed
    labels = ((0,), (1,))
    return Learned(study, DEVICE, ("a", "b"), (Increment((0, 1), labels, (), accuracy, 0.99, True, cost, 0.9, anew),))


def test_the_first_study_is_the_shipped_one_and_each_seed_has_both_ways() -> None:
    first, *others = studies()
    assert first == load_tree("tree_cnn")
    assert [(one.recipe.seed, one.retrain_root) for one in (first, *others)] == [
        (seed, way) for seed in (1, 2, 3) for way in ("always", "changed")
    ]
    assert {replace(one, retrain_root="always", recipe=first.recipe) for one in others} == {first}


def test_a_row_has_mean_and_range_over_the_seeds() -> None:
    always, changed = [line for line in lines([grown(study) for study in studies()]) if "1, 2, 3" in line]
    assert always == (
        "| always | 1, 2, 3 | 62.00 (61.00 to 63.00) | 90.00 (90.00 to 90.00) | 1.20 (1.20 to 1.20) "
        "| 1.87 (1.53 to 2.20) |"
    )
    assert changed.startswith("| changed | 1, 2, 3 | 42.00 (41.00 to 43.00) |")


def test_rows_and_figure_are_those_of_the_shipped_study(tmp_path: Path) -> None:
    trees = [grown(study) for study in studies()]
    table = written(trees, tmp_path / "new")
    assert {path.name for path in table.parent.iterdir()} == {f"tree_cnn-cpu.{end}" for end in ("md", "csv", "png")}
    assert ",0.61,0.99,0.9," in (table.parent / "tree_cnn-cpu.csv").read_text()
