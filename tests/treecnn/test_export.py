"""The folder of a tree for a thesis."""

from pathlib import Path

import pytest

from paretosearch.errors import UsageError
from paretosearch.report.look import Look
from paretosearch.testing.latex import compiled, page_width, why_no_latex, words_of
from paretosearch.treecnn.export import export
from paretosearch.treecnn.learned import Learned
from paretosearch.treecnn.picture import tree_figure

THESIS = r"""\documentclass[11pt]{scrbook}
\usepackage[T1]{fontenc}
\usepackage{lmodern}
\usepackage[%s]{babel}
\input{figures/preamble}
\begin{document}
\begin{figure}\centering\input{figures/increments}\caption{A tree.}\end{figure}
\begin{table}\centering\input{figures/increments_table}\caption{Its groups.}\end{table}
\end{document}
"""


def test_everything_is_written_and_nothing_else_is_left(learned: Learned, tmp_path: Path) -> None:
    written = {path.name for path in export(learned, tmp_path / "new" / "folder")}
    figures = {f"increments.{suffix}" for suffix in ("pdf", "svg", "png", "tex")}
    data = {f"increments-{panel}.dat" for panel in (1, 2, 3)}
    texts = {"preamble.tex", "increments_table.tex", "increments.csv", "tree.txt", "PROVENANCE.md"}
    assert written == figures | data | texts
    assert {path.name for path in (tmp_path / "new" / "folder").iterdir()} == written


def test_the_figure_has_accuracy_seconds_and_effort(learned: Learned) -> None:
    figure = tree_figure(learned.increments)
    assert [len(panel.lines) for panel in figure.axes] == [3, 2, 2]
    by_panel = [[line.get_ydata()[-1] for line in panel.lines] for panel in figure.axes]
    assert by_panel == [pytest.approx([85, 90, 80]), pytest.approx([12, 9.75]), pytest.approx([2.4, 1.95])]


@pytest.mark.parametrize("look", [Look("thesis", "en"), Look("slides", "de")])
def test_the_same_numbers_give_the_same_bytes(learned: Learned, tmp_path: Path, look: Look) -> None:
    first, again = (export(learned, tmp_path / name, look) for name in "ab")
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


@pytest.mark.parametrize(
    ("look", "language", "said"),
    [
        (
            Look("thesis", "en"),
            "english",
            ("training time so far (s)", "one network, trained anew", "81.25", "routed: images", "1.25 1.20 2"),
        ),
        (
            Look("slides", "de"),
            "ngerman",
            (
                "Klassen bisher",
                "ein Netz, neu trainiert",
                "81,25",
                "geleitet: Bilder",
                "Gewichte × Bilder",
                "1,25 1,20 2",
            ),
        ),
    ],
)
def test_latex_compiles_alone_and_in_a_thesis(
    learned: Learned, tmp_path: Path, look: Look, language: str, said: tuple[str, ...]
) -> None:
    if reason := why_no_latex():
        pytest.skip(reason)
    export(learned, tmp_path / "figures", look)
    document = tmp_path / "thesis.tex"
    document.write_text(THESIS % language)
    log = compiled(document)
    assert "Overfull" not in log
    words = words_of(document)
    assert "?" not in words
    for text in said:
        assert text in words
    for name in ("increments", "increments_table"):
        assert "Missing character" not in compiled(tmp_path / "figures" / f"{name}.tex")
    assert page_width(tmp_path / "figures" / "increments.tex") == pytest.approx(25.4 * look.width + 4, abs=0.5)


def test_where_it_comes_from_is_said(learned: Learned, tmp_path: Path) -> None:
    export(learned, tmp_path, Look("slides", "de"))
    text = (tmp_path / "PROVENANCE.md").read_text()
    assert text.startswith("# Where the figures of `zoo` come from")
    for said in (
        "- Classes: 6 of `mnist`, in groups of 2, 2, 2",
        "- Networks: `convnet`; seed 5",
        "- Root: trained for 2 of 3 groups",
        "| cpu 0 | Ryzen 7 | 2 | 16 GiB | cpu:Ryzen 7x2 |",
        "| torch | ",
        f"````\n{learned.study.source.text}````",
        "paretosearch tree 'my studies/zoo.toml' --cpu 1x2 --style slides --lang de --out tree",
    ):
        assert said in text


def test_names_of_classes_stand_in_the_csv_and_in_the_tree_as_they_are(learned: Learned, tmp_path: Path) -> None:
    export(learned, tmp_path)
    for name in ("tree.txt", "increments.csv"):
        assert learned.classes[2] in (tmp_path / name).read_text()


def test_a_folder_that_cannot_be_made_is_one_line(learned: Learned, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"/file is a file; name a folder by --out$"):
        export(learned, tmp_path / "file")
