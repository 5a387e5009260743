"""What the files for LaTeX say, read without LaTeX."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paretosearch.report.booktabs import confirmed_tabular, front_tabular
from paretosearch.report.findings import Findings, findings
from paretosearch.report.latex import commented, escaped, framed
from paretosearch.report.look import PAPER, Look
from paretosearch.report.pgf import picture
from paretosearch.report.plots import front_figure
from paretosearch.store import Front, Point, Store, front_of


@pytest.fixture(scope="module")
def found(shaped: Store, study: str) -> Findings:
    return findings(shaped, study)


@given(st.text())
def test_whatever_a_name_is_latex_sees_no_command_of_it(text: str) -> None:
    rest = escaped(text)
    ours = r"\\textbackslash\{\}|\\text\w+\{\}|\\dots\{\}|\{\\char\d+\}|\{,\}|\\\\|\\[{}$&#%_]|\$\\?[-\w]+\$|-\{\}(?=-)"
    assert not re.search(r"""[\\{}$&#%_^`'"]""", re.sub(ours, "", rest).replace("~", ""))
    assert "--" not in rest
    assert not re.search(r"[\r\n]", commented(text))


def test_letters_of_europe_stay_and_what_fonts_lack_is_a_question_mark() -> None:
    assert escaped("Größe é ł −1 ± 2 漢") == r"Größe é ł $-$1 $\pm$ 2 ?"


def test_the_table_of_a_picture_holds_the_front(front: Front) -> None:
    drawn = picture(front_figure(front), "front")
    [data] = drawn.data.values()
    [number] = re.findall(r"^# series (\d+): front$", data, re.MULTILINE)
    rows = [line.split()[1:3] for line in data.splitlines() if line.startswith(f"{number} ")]
    assert len(rows) == len(front.points) + 1  # the last step runs on to the edge
    for (x, y), point in zip(rows, front.points, strict=False):
        assert float(x) == pytest.approx(point.train_seconds)
        assert float(y) == pytest.approx(100 * point.accuracy)
    assert "const plot" in next(line for line in drawn.tex.splitlines() if line.endswith("% front"))


def test_every_point_of_a_figure_is_in_its_table(front: Front) -> None:
    figure = front_figure(front)
    [data] = picture(figure, "front").data.values()
    drawn = sum(len(line.get_xdata()) for line in figure.axes[0].lines)
    assert len([line for line in data.splitlines() if line[0].isdigit()]) == drawn


def test_the_table_has_a_row_a_member_and_a_column_an_axis_that_varies(found: Findings) -> None:
    text = front_tabular(found, PAPER)
    rows = re.findall(r"^(\d+) & (.*) \\\\$", text, re.MULTILINE)
    assert [int(trial) for trial, _ in rows] == [point.trial for point in found.front.points]
    assert len({row.count(" & ") for _, row in rows}) == 1
    assert "% times on cpu:Ryzen 7x1" in text


def test_a_value_that_only_hidden_rows_have_has_its_column(found: Findings) -> None:
    recipe = replace(found.front.points[0].recipe, number_format="fp32", epochs=3)
    points = [
        Point(n, float(n + 1), n / 200, replace(recipe, number_format="bf16") if n == 1 else recipe, "cpu", n)
        for n in range(100)
    ]
    text = front_tabular(replace(found, front=front_of(points)), PAPER)
    assert not re.search(r"^1 & ", text, re.MULTILINE)
    assert "& fp32" in text
    [shared] = re.findall("^% all: (.*)$", text, re.MULTILINE)
    assert "fp32" not in shared
    assert "3 epochs" in shared


def test_what_a_star_means_is_seen_below_the_table(found: Findings) -> None:
    points = tuple(replace(point, noisy=True) for point in found.front.points)
    noisy = replace(found, front=replace(found.front, points=points), estimates=())
    text = front_tabular(noisy, PAPER)
    below = [line for line in text.splitlines() if line.startswith(r"\multicolumn")]
    assert [line.partition("}{@{}l@{}}{")[2] for line in below] == [
        r"single trainings{,} not confirmed} \\",
        r"* disturbed while it was timed} \\",
    ]


def test_the_table_of_means_has_intervals_and_the_test_split(found: Findings) -> None:
    text = confirmed_tabular(found, Look("thesis", "de"))
    assert re.search(r"^\d+ & 2 & \d+\{,\}\d+ \$\\pm\$ \d+\{,\}\d+ & ", text, re.MULTILINE)
    assert r"{@{}l@{}}{n: Wiederholungen mit anderen Startwerten} \\" in text
    assert r"Versuch & n & \shortstack[r]{Zeit\vphantom{y}\\(s)}" in text


def test_a_file_says_what_it_needs() -> None:
    text = framed("BODY", "front", Look("slides", "de"))
    assert text.startswith("% Compiles alone (pdflatex -jobname front-latex front)")
    assert "ngerman" in text
    assert r"\sfdefault" in text
    assert "ngerman" not in framed("BODY", "front", PAPER)
