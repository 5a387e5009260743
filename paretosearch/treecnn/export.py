"""Writes what a thesis needs of a tree into a folder."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

from paretosearch.report.cells import write_csv
from paretosearch.report.folder import write_figures, write_tabular, write_text, writing_to
from paretosearch.report.look import PAPER, Look
from paretosearch.report.markdown import block
from paretosearch.report.origin import CLOCK, PROVENANCE, account, code, devices_table, made_by, plain, table, title
from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.picture import increments_tabular, tree_figure
from paretosearch.treecnn.rows import increments_rows
from paretosearch.treecnn.showing import tree_lines

#: Name of the figure's files; the table's begin so.
FIGURE = "increments"

_ACCURACY = """\
Accuracy is on the images of the classes so far in a validation split that is cut from the training set. The test split
was not looked at."""

_EFFORT = """\
The effort is the weights of a network times the images that went through it in its training, with repetition, summed
over the networks that were trained. The paper has such a sum; its formula could not be verified."""

_WORTH = """\
**One training.** Tree and networks were trained once, with one seed: differences of accuracy of a point, and of seconds
of some percent, may be chance. Another `seed` in the study file is another training."""


def export(learned: Learned, out: Path, look: Look = PAPER) -> tuple[Path, ...]:
    """Write figure and table in every format, the tree as text, and where all is from.

    Args:
        learned: What was learned.
        out: The folder, made if it is missing; files of the same names are replaced, each as a whole.
        look: What the figure is made for.

    Returns:
        The files.

    Raises:
        UsageError: If the folder cannot be written, or has files of another study.
    """
    with writing_to(out, learned.study.name):
        rows, tree = out / f"{FIGURE}.csv", "\n".join(tree_lines(learned.children, learned.classes))
        write_csv(list(increments_rows(learned)), rows)
        return (
            *write_figures([(FIGURE, tree_figure(learned.increments, look))], out, look),
            write_tabular(increments_tabular(learned, look), f"{FIGURE}_table", out, look),
            rows,
            write_text(out / "tree.txt", f"{tree}\n"),
            write_text(out / PROVENANCE, provenance(learned, look)),
        )


def provenance(learned: Learned, look: Look) -> str:
    """Write what must be known to judge the figure, or to make it again.

    Args:
        learned: What was learned.
        look: What the figure was made for.

    Returns:
        Markdown; the same numbers and versions give the same text.
    """
    study = learned.study
    measuring = [(name, version(name)) for name in ("numpy", "paretosearch", "torch", "torchvision")]
    return account(
        {
            title(study.name): _study(learned),
            "What the points are worth": [_WORTH],
            "What is measured": [CLOCK, "", _ACCURACY, "", _EFFORT],
            "Devices": devices_table([learned.device]),
            "Versions": table(("what measured", "version"), measuring),
            f"The study file, `{study.name}.toml`": [block(study.source.text.rstrip("\n"))],
            "How they were made": made_by(_command(learned, look), ("paretosearch", "matplotlib"), "numbers"),
        }
    )


def _study(learned: Learned) -> Iterator[str]:
    study, recipe = learned.study, learned.study.recipe
    groups = ", ".join(map(str, study.groups))
    kept = sum(not one.root_trained for one in learned.increments)
    yield f"- Classes: {learned.increments[-1].seen} of {code(recipe.dataset)}, in groups of {groups}"
    yield f"- Networks: {code(recipe.network)}; seed {recipe.seed}"
    yield f"- Root: trained for {len(learned.increments) - kept} of {len(learned.increments)} groups"
    yield f"- Times: on {code(learned.device.device_class)}"


def _command(learned: Learned, look: Look) -> list[str]:
    device = learned.device
    place = ["--gpus", str(device.index)] if device.kind == "cuda" else ["--cpu", f"1x{len(device.cores)}"]
    looks = ["--style", look.style, "--lang", look.lang]
    return ["paretosearch", "tree", plain(learned.study.given), *place, *looks, "--out", "tree"]
