"""Pictures and tables for LaTeX, compiled alone and in a thesis."""

import re
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from paretosearch.recipe import Recipe
from paretosearch.report.export import export
from paretosearch.report.latex import escaped, framed, preamble
from paretosearch.report.look import PAPER, Look
from paretosearch.report.pgf import picture
from paretosearch.report.pgfmarks import declarations
from paretosearch.report.replicates import replicates, replicates_figure
from paretosearch.store import Point, Store, front_of
from paretosearch.testing.latex import compiled, page_width, why_no_latex, words_of

FIGURES = ("front", "confirmed", "hypervolume", "learning_curves", "channels", "axes")
TABLES = ("front_table", "confirmed_table")

#: In a folder below the document's, as with every thesis.
THESIS = r"""\documentclass[%s]{%s}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage[%s]{babel}
\input{figures/export/preamble}
\begin{document}
The text is \the\textwidth\ wide, see figure~\ref{front} and table~\ref{front_table}.
%s
\end{document}
"""

THESIS_OF_LETTERS = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\begin{document}
%s
\end{document}
"""


@pytest.fixture(autouse=True, scope="module")
def _latex() -> None:
    if reason := why_no_latex():
        pytest.skip(reason)


def thesis(folder: Path, options: str, document_class: str, language: str) -> Path:
    floats = [
        rf"\begin{{{kind}}}\centering\input{{figures/export/{name}}}"
        rf"\caption{{{name.replace('_', ' ')}.\label{{{name}}}}}\end{{{kind}}}"
        for kind, names in (("figure", FIGURES), ("table", TABLES))
        for name in names
    ]
    document = folder / "thesis.tex"
    document.write_text(THESIS % (options, document_class, language, "\n".join(floats)))
    return document


def test_every_file_compiles_alone_as_wide_as_a_text_whatever_the_names(
    hostile: Store, hostile_study: str, tmp_path: Path
) -> None:
    export(hostile, hostile_study, tmp_path, look=Look("thesis", "de"))
    for name in (*FIGURES, *TABLES):
        log = compiled(tmp_path / f"{name}.tex")
        assert "Missing character" not in log
        if name in FIGURES:
            assert page_width(tmp_path / f"{name}.tex") == pytest.approx(150 + 4, abs=0.5)
    axes = words_of(tmp_path / "axes.tex")
    assert "Lernrate" in axes
    assert "0,1" in axes
    for name in ("front", "front_table"):
        assert r"\input{/etc/passwd}" in words_of(tmp_path / f"{name}.tex")


@pytest.mark.parametrize(
    ("look", "options", "document_class"),
    [(Look("thesis", "de"), "11pt", "scrbook"), (Look("slides", "en"), "12pt,a4paper", "article")],
)
def test_a_thesis_reads_all_of_it_and_nothing_is_wider_than_its_text(
    shaped: Store, study: str, tmp_path: Path, look: Look, options: str, document_class: str
) -> None:
    export(shaped, study, tmp_path / "figures" / "export", look=look)
    document = thesis(tmp_path, options, document_class, "ngerman" if look.lang == "de" else "english")
    log = compiled(document, runs=2)
    assert "Overfull" not in log
    assert "undefined" not in log
    text = words_of(document)
    said = (
        ("Trainingszeit", "Pareto-Front", "gewachsen", "0,2")
        if look.lang == "de"
        else ("training time", "grown", "0.2")
    )
    for word in said:
        assert word in text
    for name in ("front.", "confirmed table."):
        assert name in text


def test_a_figure_is_as_wide_as_it_is_told(shaped: Store, study: str, tmp_path: Path) -> None:
    export(shaped, study, tmp_path / "figures" / "export")
    document = thesis(tmp_path, "10pt", "article", "english")
    told = r"\setlength{\paretosearchwidth}{50mm}\begin{document}"
    shown = r"\setbox0\hbox{\input{figures/export/front}}\typeout{WIDTH=\the\wd0}"
    document.write_text(document.read_text().replace(r"\begin{document}", told + shown))
    [width] = re.findall(r"^WIDTH=([\d.]+)pt$", compiled(document), re.MULTILINE)
    assert float(width) == pytest.approx(50 / 25.4 * 72.27, abs=0.1)


def test_every_letter_that_is_let_through_can_be_set(tmp_path: Path) -> None:
    letters = [letter for letter in map(chr, range(32, 0x300)) if escaped(letter) not in ("?", "")]
    assert {"Ż", "ß", "Ș"} < set(letters)
    lines = "\n\n".join(escaped(f"x{letter}x") for letter in [*letters, "--", "---", "–"])
    document = tmp_path / "letters.tex"
    document.write_text(THESIS_OF_LETTERS % lines)
    assert "Missing character" not in compiled(document)
    assert "x--x x---x x–x" in words_of(document)


def test_an_export_of_one_trial_compiles(new_store: Callable[[int], Store], study: str, tmp_path: Path) -> None:
    with closing(new_store(1)) as store:
        export(store, study, tmp_path / "export")
    for document in sorted((tmp_path / "export").glob("*.tex")):
        if document.name != "preamble.tex":
            compiled(document)


def test_recipes_with_one_seed_stand_beside_those_with_two(
    new_store: Callable[[int], Store], again: Callable[[Store, int, int], None], study: str, tmp_path: Path
) -> None:
    with closing(new_store(3)) as store:
        again(store, 0, 50)
        export(store, study, tmp_path / "export")
    compiled(tmp_path / "export" / "replicates.tex")
    rows = [line.split() for line in (tmp_path / "export" / "replicates-1.dat").read_text().splitlines()]
    assert sum(row[0] == "1" and row[3] != "0" for row in rows) == 1  # only one Recipe has an interval


def test_an_interval_that_reaches_below_zero_runs_to_the_edge_of_a_logarithmic_axis(tmp_path: Path) -> None:
    recipe = Recipe("mnist", "resnet8")
    times = [("fp32", 1.0), ("fp32", 1.6), ("bf16", 40.0), ("bf16", 70.0)]
    points = [
        Point(trial, seconds, 0.9, replace(recipe, number_format=number_format, seed=trial), "cpu", trial)
        for trial, (number_format, seconds) in enumerate(times)
    ]
    figure = replicates_figure(replicates(front_of(points)), ("number_format", "seed"))
    drawn = picture(figure, "replicates")
    panel = figure.axes[1]
    assert panel.get_xscale() == "log"
    rows = [line.split() for line in drawn.data["replicates-2.dat"].splitlines() if line.startswith("1 ")]
    ends = [(float(x) - float(dx), float(x) + float(dx)) for _, x, _, dx, _ in rows]
    assert [low for low, _ in ends] == pytest.approx([panel.get_xlim()[0]] * 2)
    assert [high for _, high in ends] == pytest.approx([1.3 + 12.706 * 0.3, 55 + 12.706 * 15], rel=1e-4)
    (tmp_path / "preamble.tex").write_text(preamble(declarations(), PAPER))
    (tmp_path / "replicates.tex").write_text(framed(drawn.tex, "replicates", PAPER))
    for name, text in drawn.data.items():
        (tmp_path / name).write_text(text)
    assert "unbounded" not in compiled(tmp_path / "replicates.tex")
