"""Classes that arrive in groups are learned from the command line."""

import json
from pathlib import Path

import pytest

from paretosearch.testing.commands import Run

STUDY = """
name    = "little"
dataset = "folder:images"
network = "convnet"
seed    = 5

[tree]
groups = [2, 1]

[recipe]
image_size = 16
epochs     = 1
batch_size = 8
"""


@pytest.fixture(scope="module", autouse=True)
def _study(folder: Path) -> None:
    (folder / "little.toml").write_text(STUDY)


def test_a_tree_is_learned_shown_and_drawn(run: Run, folder: Path) -> None:
    done = run("tree", "little.toml", "--cpu", "1", "--out", "tree", "--lang", "de")
    assert done.returncode == 0, done.stderr
    assert "learning class-0, class-1" in done.stderr
    assert "3 classes: accuracy" in done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("what each group took, on cpu:")
    assert {"where each class was attached", "the tree", "root"} < set(lines)
    assert lines[-1].endswith("are in tree/; PROVENANCE.md says where all is from")
    names = {path.name for path in (folder / "tree").iterdir()}
    assert {"increments.pdf", "increments.tex", "increments_table.tex", "increments.csv", "PROVENANCE.md"} < names
    assert "Klassen bisher" in (folder / "tree" / "increments.tex").read_text()
    assert STUDY in (folder / "tree" / "PROVENANCE.md").read_text()
    text = (folder / "tree" / "tree.txt").read_text()
    assert all(text.count(f"class-{label}") == 1 for label in range(3))


def test_a_program_gets_json_and_nothing_else(run: Run) -> None:
    done = run("tree", "little.toml", "--cpu", "1", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert [one["seen"] for one in found["increments"]] == [2, 3]
    assert found["device_class"].startswith("cpu:")
    assert all(0 <= one["accuracy"] <= one["routing_accuracy"] <= 1 for one in found["increments"])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("launch", "tree_cnn", "--cpu", "1"), 3, "run paretosearch tree tree_cnn"),
        (("tree", "quickstart"), 3, "run paretosearch launch quickstart"),
        (("tree", "little.toml", "--cpu", "2"), 2, "tree takes one device"),
        (
            ("tree", "little.toml", "--cpu", "1", "--out", "little.toml"),
            2,
            "little.toml is a file; name a folder by --out",
        ),
        (("tree", "nothing.toml"), 3, "there is no study file 'nothing.toml'"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_line(
    run: Run, arguments: tuple[str, ...], code: int, message: str
) -> None:
    refused = run(*arguments)
    assert refused.returncode == code
    (line,) = refused.stderr.splitlines()
    assert message in line
