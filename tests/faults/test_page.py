"""The page on reliability tells of every fault, and of tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (F[^|]+) \|.*\| ([^|]*) \|$", (ROOT / "RELIABILITY.md").read_text(), re.MULTILINE)


def test_the_page_has_every_row_of_the_matrix() -> None:
    told = [int(number) for row, _ in ROWS for number in re.findall(r"F(\d+)", row)]
    assert told == list(range(1, 28))


def test_the_tests_that_it_names_are_there() -> None:
    named = {name for _, tests in ROWS for name in re.findall(r"`([a-z_]+/test_\w+\.py)`", tests)}
    assert len(named) > 15
    assert [name for name in sorted(named) if not (ROOT / "tests" / name).exists()] == []
