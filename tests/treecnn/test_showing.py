"""What a tree has learned is shown in a terminal, and to programs."""

from dataclasses import replace
from io import StringIO

import pytest
from rich.console import Console

from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.rows import increments_json, increments_rows
from paretosearch.treecnn.showing import increment_line, shown, tree_lines


def lines_of(learned: Learned, width: int) -> list[str]:
    console = Console(width=width, file=StringIO(), record=True)
    console.print(shown(learned))
    return [line.rstrip() for line in console.export_text().splitlines()]


def test_every_part_has_a_heading_and_its_columns_stand_in_line(learned: Learned) -> None:
    lines = lines_of(learned, 120)
    assert lines[0] == "what each group took, on cpu:Ryzen 7x2"
    start = lines.index("where each class was attached")
    heads, _, *rows = lines[start + 1 : lines.index("the tree") - 2]
    assert heads.split() == ["classes", "class", "attached", "to", "likelihoods", "because"]
    assert len(rows) == 4
    assert [row[: heads.index("class ")].strip() for row in rows] == ["4", "", "6", ""]
    for row, likeliest in zip(rows, ("0.88", "0.50", "0.50", "0.00"), strict=True):
        assert row[heads.index("likelihoods") :].startswith(likeliest)
    attached = [row[heads.index("attached") : heads.index("likelihoods")].strip() for row in rows]
    assert attached == ["cat", "cat, seal", "cat, [bold]$x_1 & 50%\\input{x}, seal", "the root"]
    assert [row[heads.index("because") :] for row in rows] == [
        "very likely",
        "ahead of the next",
        "two stay apart",
        "all are full",
    ]


def test_a_group_without_training_of_its_root_says_so(learned: Learned) -> None:
    lines = lines_of(learned, 120)
    assert [line.rsplit("  ", 1)[1].strip() for line in lines[3:6]] == ["root", "1", "root + 1"]
    assert "the root was left as it was for 1 group, which changed none of its outputs" in lines
    always = replace(learned, increments=tuple(replace(one, root_trained=True) for one in learned.increments))
    assert not any("left as it was" in line for line in lines_of(always, 120))


def test_a_narrow_terminal_breaks_lists_of_classes_between_them(learned: Learned) -> None:
    lines = lines_of(learned, 100)
    row, start = next((number, line.index("cat,")) for number, line in enumerate(lines) if " ox " in line)
    assert [line[start:].split("  ")[0] for line in lines[row : row + 3]] == ["cat,", f"{learned.classes[2]},", "seal"]


def test_the_table_fits_a_narrow_terminal(learned: Learned) -> None:
    lines = lines_of(learned, 80)
    assert lines[1].split()[-1] == "trained"
    assert len(lines[5].split("  ")) > 1
    assert not any("…" in line for line in lines[:6])


def test_a_first_group_alone_attaches_nothing(learned: Learned) -> None:
    lines = lines_of(replace(learned, increments=learned.increments[:1]), 80)
    assert "where each class was attached" not in lines
    assert lines[-3:] == ["root", "├── cat", "└── dog"]


def test_what_it_comes_to_is_added_up(learned: Learned) -> None:
    told = "in all the tree took 9.75 s and training anew 12.0 s (0.81 times the seconds, 0.81 times the effort; "
    assert any(line.startswith(f"{told}4 networks and 3)") for line in lines_of(learned, 140))
    assert increment_line(learned.increments[1]) == "4 classes: accuracy 81.25 % by the tree, 91.00 % by training anew"


def test_programs_get_everything(learned: Learned) -> None:
    plain = increments_json(learned)
    assert (plain["study"], plain["device_class"]) == ("zoo", "cpu:Ryzen 7x2")
    assert "could not be verified" in plain["effort_is"]
    assert [one["root_trained"] for one in plain["increments"]] == [True, False, True]
    assert plain["tree"] == [["cat", learned.classes[2], "seal", "ox"], ["dog"], [learned.classes[4]]]
    assert plain["total"] == {"seconds": 9.75, "weights_times_images": 1_950_000_000, "nets": 4}
    assert [(row["classes"], row["root_trained"]) for row in increments_rows(learned)] == [
        (2, True),
        (4, False),
        (6, True),
    ]


@pytest.mark.parametrize(
    ("children", "lines"),
    [
        (((0,), (1, 2), (3,)), ["root", "├── a", "├── branch of 2", "│   ├── b", "│   └── c", "└── d"]),
        (((0, 1),), ["root", "└── branch of 2", "    ├── a", "    └── b"]),
    ],
)
def test_a_tree_is_drawn_with_a_line_for_every_class(children: tuple[tuple[int, ...], ...], lines: list[str]) -> None:
    assert list(tree_lines(children, ("a", "b", "c", "d"))) == lines
