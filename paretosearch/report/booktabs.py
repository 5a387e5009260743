"""The front as a table for LaTeX."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from paretosearch.report.findings import Findings
from paretosearch.report.latex import commented, escaped
from paretosearch.report.look import Look
from paretosearch.report.reading import evenly
from paretosearch.report.simulated import mark, names_of
from paretosearch.report.words import axis_value, titles, value_text, words
from paretosearch.store import Estimate, Point

#: Rows that fit a page.
MOST_ROWS = 40


def front_tabular(found: Findings, look: Look) -> str:
    """Make the table of the first results.

    Args:
        found: What the study has found.
        look: Whose language to use.

    Returns:
        A ``tabular`` no wider than the text, with notes below it, and hints for its caption as comments.
    """
    points = found.front.points
    rows = evenly(points, MOST_ROWS)
    digits = 2 if points[0].train_seconds < 100 else 1
    heads = [look.say(head) for head in ("trial", "time (s)", "accuracy (%)")]
    seconds = [seconds_cell(point.train_seconds, digits, look) + _behind(point) for point in rows]
    numbers = [[str(p.trial), time, percent_cell(p.accuracy, look)] for p, time in zip(rows, seconds, strict=True)]
    notes = ["single trainings, not confirmed" if not found.is_confirmed else "first results, before repeats"]
    notes += ["* disturbed while it was timed"] * any(point.noisy for point in rows)
    notes += simulated_notes(rows, look)
    return tabular(found, look, heads, numbers, rows, points, notes)


def confirmed_tabular(found: Findings, look: Look) -> str:
    """Make the table of the front of the means, with half of their 95 % intervals.

    Args:
        found: What the study has found; something was repeated.
        look: Whose language to use.

    Returns:
        A ``tabular`` like that of `front_tabular`.
    """
    front = [estimate for estimate in found.estimates if estimate.on_front]
    rows = evenly(front, MOST_ROWS)
    digits = 2 if front[0].train_seconds < 100 else 1
    heads = ["trial", "n", "time (s)", "accuracy (%)", "test (%)"]
    numbers = [_means(estimate, digits, look, rows) for estimate in rows]
    notes = ["n: repeats with other seeds", "±: half of the 95 % interval of the mean"]
    notes += ["n = 0: a single training, without an interval"] * any(not estimate.repeats for estimate in rows)
    shown, points = ([estimate.point for estimate in part] for part in (rows, front))
    notes += simulated_notes(shown, look)
    return tabular(found, look, [look.say(head) for head in heads], numbers, shown, points, notes)


def _means(estimate: Estimate, digits: int, look: Look, rows: Sequence[Estimate]) -> list[str]:
    seconds = seconds_cell(estimate.train_seconds, digits, look)
    accuracy = percent_cell(estimate.accuracy, look)
    test = percent_cell(estimate.test_accuracy, look) if estimate.test_accuracy is not None else "--"
    own = estimate if estimate.repeats else max(rows, key=lambda row: row.repeats)  # whose room it leaves
    halves = seconds_cell(own.seconds_interval, digits, look), percent_cell(own.accuracy_interval, look)
    behind = "{} $\\pm$ {}" if estimate.repeats else r"{}\phantom{{ $\pm$ {}}}"
    both = [behind.format(mean, half) for mean, half in zip((seconds, accuracy), halves, strict=True)]
    trial = str(estimate.point.trial) + _set_behind(mark(estimate.point))
    return [trial, str(estimate.repeats), *both, test]


_BOX = r"\begin{lrbox}{\paretosearchtable}\paretosearchfont\setlength{\tabcolsep}{4pt}%"


def _behind(point: Point) -> str:
    return _set_behind("*" * point.noisy + mark(point))


def _set_behind(marks: str) -> str:
    """Set marks behind a number without moving it."""
    return rf"\rlap{{{escaped(marks)}}}" if marks else ""


def simulated_notes(points: Sequence[Point], look: Look) -> list[str]:
    """Explain the mark of what is simulated, where some of the points have it."""
    names = ", ".join(names_of(points))
    said = look.say(
        "† simulated ({names}): the hardware is not made for it, and the seconds do not show what it saves", names=names
    )
    return [said] if names else []


def seconds_cell(seconds: float, digits: int, look: Look) -> str:
    """Write seconds with so many digits after the point."""
    return escaped(look.number(f"{seconds:.{digits}f}"))


def percent_cell(share: float, look: Look) -> str:
    """Write a share in percent, without its sign."""
    return escaped(look.number(f"{100 * share:.2f}"))


def tabular(
    found: Findings,
    look: Look,
    heads: Sequence[str],
    numbers: Sequence[Sequence[str]],
    points: Sequence[Point],
    front: Sequence[Point],
    notes: Sequence[str],
    hints: Sequence[str] = (),
) -> str:
    """Set the columns of the searched axes that vary beside those of the numbers.

    Args:
        found: What the study has found.
        look: Whose language to use.
        heads: Headings of the numbers; one of several lines keeps them.
        numbers: Their cells, in LaTeX, row by row.
        points: The trials of the rows.
        front: All of which they are some.
        notes: What to say below the table, each in a line.
        hints: What to say in comments for a caption.

    Returns:
        A ``tabular`` no wider than the text.
    """
    varying = [a for a in found.axes if len(front) == 1 or len({axis_value(p.recipe, a) for p in front}) > 1]
    named = titles(found.axes)
    columns = [[_value(point, axis, look) for point in points] for axis in varying]
    sides = "".join("r" if _is_number(axis, points) else "l" for axis in varying)
    rows = [[*row, *(column[number] for column in columns)] for number, row in enumerate(numbers)]
    sides = "r" * len(heads) + sides
    titled = [*heads, *(look.say(named[axis]) for axis in varying)]
    said = [look.say(note) for note in notes]
    return set_rows(sides, titled, rows, said, (*hints, *_hints(found, points, varying, len(front))))


def set_rows(
    sides: str, heads: Sequence[str], rows: Sequence[Sequence[str]], notes: Sequence[str], hints: Sequence[str]
) -> str:
    """Set any table.

    Args:
        sides: Of each column, ``l`` or ``r``.
        heads: Its headings; one of several lines keeps them.
        rows: Cells, in LaTeX, row by row.
        notes: What to say below the table, each in a line.
        hints: What to say in comments for a caption.

    Returns:
        A ``tabular`` no wider than the text.
    """
    cells = [[_head(text, side) for text, side in zip(heads, sides, strict=True)], *rows]
    lines = [" & ".join(row) + r" \\" for row in cells]
    begin = rf"\begin{{tabular}}{{@{{}}{sides}@{{}}}}"
    body = ["\\toprule", lines[0], "\\midrule", *lines[1:], "\\bottomrule", "\\addlinespace[2pt]"]
    below = [rf"\multicolumn{{{len(sides)}}}{{@{{}}l@{{}}}}{{{escaped(note)}}} \\" for note in notes]
    above = [f"% {commented(hint)}" for hint in hints]
    inside = [begin, *body, *below, r"\end{tabular}"]
    return "\n".join([*above, _BOX, *inside, r"\end{lrbox}", r"\paretosearchfit"])


def _head(text: str, side: str) -> str:
    """Set a heading on as many lines as it has words, or it alone would make its column wide; all equally deep."""
    lines = escaped(text if "\n" in text else text.replace(" ", "\n")).replace(r"\\", r"\vphantom{y}\\")
    return rf"\shortstack[{side}]{{{lines}}}" if text.split() != [text] else lines


def _hints(found: Findings, points: Sequence[Point], varying: Sequence[str], all_rows: int) -> Iterator[str]:
    classes = " and on ".join(of_class.device_class for of_class in found.classes)
    yield f"times on {classes}; accuracy on the validation split"
    if len(varying) < len(found.axes):
        yield "all: " + words(points[0].recipe, found.axes, varying)
    if all_rows > len(points):
        yield f"{all_rows - len(points)} more between these: front.csv has all"


def _value(point: Point, axis: str, look: Look) -> str:
    return escaped(look.number(look.say(value_text(axis_value(point.recipe, axis)))))


def _is_number(axis: str, points: Sequence[Point]) -> bool:
    values = [axis_value(point.recipe, axis) for point in points]
    return not any(isinstance(value, str | bool) for value in values)
