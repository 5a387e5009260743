"""A Recipe in words is broken where its phrases end."""

import io

from rich.console import Console
from rich.table import Table

from paretosearch.report.phrases import Phrases

TEXT = "batch 64, lr 0.332, stochastic pooling, 3 epochs"


def shown(phrases: Phrases, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width)
    table = Table.grid()
    table.add_column()
    table.add_row(phrases)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_no_phrase_is_torn_apart() -> None:
    assert shown(Phrases(TEXT), 100) == [TEXT]
    assert shown(Phrases(TEXT), len(TEXT)) == [TEXT]
    assert shown(Phrases(TEXT), 20) == ["batch 64, lr 0.332,", "stochastic pooling,", "3 epochs"]


def test_on_one_line_what_does_not_fit_is_left_out_as_a_whole() -> None:
    assert shown(Phrases(TEXT, one_line=True), 30) == ["batch 64, lr 0.332, …"]
    assert shown(Phrases(TEXT, one_line=True), 100) == [TEXT]
    assert shown(Phrases(TEXT, one_line=True), 5) == ["batc…"]
