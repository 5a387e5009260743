"""What a terminal shows of a launch that runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.constrain import Constrain
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from paretosearch.outcome import EpochResult
from paretosearch.report.classes import worth
from paretosearch.report.phrases import Phrases
from paretosearch.report.progress import Progress, Row
from paretosearch.report.reading import evenly
from paretosearch.report.textplot import scatter
from paretosearch.report.words import duration_text, seconds_text, words
from paretosearch.store import Front

_BESIDE = 110  # columns from which the drawing and the list of the front stand side by side
_TALLEST = 14  # lines of the drawing
_LEAST = 8  # lines that it keeps where the list of the front would take more
_WIDEST = 140  # columns, beyond which the ends of a line are too far apart to be read as one


@dataclass(frozen=True)
class Screen:
    """The picture of a `Progress`, as large as the terminal allows."""

    progress: Progress

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw devices, budget, then the front in what room is left."""
        height = console.size.height - 1
        options = options.update(max_width=min(options.max_width, _WIDEST))
        rows = list(self.progress.rows.values())
        shown = rows[: max(height - 6, 1)]
        yield Constrain(_devices(shown, self.progress, options.max_width >= _BESIDE), _WIDEST)
        if len(rows) > len(shown):
            yield Text(f"and {len(rows) - len(shown)} more devices", "dim")
        yield Text()
        below = [*_budget(self.progress)]
        below += _front(self.progress, options.max_width, height - len(shown) - 7, options.ascii_only)
        yield from (Constrain(part, _WIDEST) for part in below)


def _devices(rows: list[Row], progress: Progress, wide: bool) -> Table:
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0), pad_edge=False, expand=True)
    table.add_column("device", no_wrap=True)
    table.add_column("trial", justify="right", no_wrap=True)
    table.add_column("recipe", no_wrap=True, ratio=1)
    for heading in ("epoch", *([""] if wide else []), "accuracy", "seconds"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("so far", no_wrap=True)
    for row in rows:
        table.add_row(*_device_cells(row, progress, wide))
    return table


def _device_cells(row: Row, progress: Progress, wide: bool) -> Iterator[RenderableType]:
    yield Text(row.device.label)
    if row.trial is None or row.recipe is None:
        idle: list[RenderableType] = ["", Text("idle", "dim"), *[""] * (5 if wide else 4)]
        yield from idle
        return
    yield row.name.removeprefix("trial ")
    yield Phrases(words(row.recipe, progress.axes), one_line=True)
    done = row.epoch.epoch if row.epoch else 0
    trained = row.purpose != "replay"  # which has no epochs
    yield f"{done}/{row.recipe.total_epochs}" if trained else ""
    if wide:
        bar = ProgressBar(row.recipe.total_epochs, done, 12, complete_style="cyan", finished_style="cyan")
        yield bar if trained else ""
    yield f"{100 * row.epoch.accuracy:.2f} %" if row.epoch else ""
    yield seconds_text(row.epoch.train_seconds) if row.epoch else ""
    yield _standing(row.epoch, progress.fronts.get(row.device.device_class)) if row.epoch else ""


def _standing(epoch: EpochResult, front: Front | None) -> Text:
    """Say whether a training would be on the front if it ended now."""
    points = front.points if front else ()
    behind = any(p.train_seconds <= epoch.train_seconds and p.accuracy >= epoch.accuracy for p in points)
    return Text("behind", "dim") if behind else Text("ahead", "cyan")


def _budget(progress: Progress) -> Iterator[RenderableType]:
    if progress.share is not None:
        line = Table.grid(padding=(0, 2, 0, 0), expand=True)
        line.add_column(no_wrap=True, max_width=40)
        line.add_column(ratio=1)
        bar = ProgressBar(1.0, progress.share, complete_style="cyan", finished_style="cyan")
        line.add_row(Text(progress.study, "bold", overflow="ellipsis"), bar)
        yield line
    else:
        yield Text(progress.study, "bold", overflow="ellipsis", no_wrap=True)
    yield standing(progress)


def standing(progress: Progress) -> Text:
    """Say in one line how many trials there are, how long that has taken, and how long the rest takes."""
    total = f" of {progress.budget_trials}" if progress.budget_trials else ""
    text = Text(no_wrap=True, overflow="ellipsis")
    if progress.done or total:  # what repeats or times trials has none of its own
        text.append(f"{progress.done}{total} trials, ")
    if progress.failed:
        text.append(f"{progress.failed} failed", "red").append(", ")
    text.append(f"{duration_text(progress.elapsed)} so far")
    if (left := progress.seconds_left()) is not None:
        text.append(f", {'at most' if progress.is_bound else 'about'} {duration_text(left)} left")
    return text


def _front(progress: Progress, width: int, height: int, ascii_only: bool) -> Iterator[RenderableType]:
    front = progress.front
    if front is None or height < 3 + len(progress.fronts):
        return
    yield Text()
    headings = list(_headings(progress, front))
    yield from headings
    height -= len(headings) - 1
    if width >= _BESIDE:
        both = Table.grid(padding=(0, 4, 0, 0), expand=True)
        both.add_column()
        both.add_column(ratio=1)
        lines = min(height - 2, _TALLEST)
        drawing = scatter(front, 2 * width // 5 - 4, max(lines, 5), ascii_only)
        both.add_row(drawing, _members(progress.axes, front, lines))
        yield both
        return
    listed = min(len(front.points), max(3, height - 2 - _LEAST))
    lines = min(height - 2 - listed, _TALLEST)
    if lines >= 6:
        yield scatter(front, width - 1, lines, ascii_only)
    yield _members(progress.axes, front, height - 2 - (lines if lines >= 6 else 0))


def _headings(progress: Progress, shown: Front) -> Iterator[Text]:
    """Say of every class of device what its front is worth; that of the front that is shown stands last, above it."""
    named = progress.classes
    for name, front in sorted(progress.fronts.items(), key=lambda item: item[1] is shown):
        trials, area = worth(front)
        where = f" on {named[name]}" if named else ""
        heading = Text(no_wrap=True, overflow="ellipsis")
        heading.append(f"front so far{where}: {trials}", "bold")
        yield heading.append(f", hypervolume {area}", "dim")


def _members(axes: tuple[str, ...], front: Front, most: int) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for _ in range(3):
        table.add_column(justify="right", no_wrap=True)
    table.add_column(ratio=1, no_wrap=True)
    fits = len(front.points) <= max(most, 1)
    shown = evenly(front.points, max(most if fits else most - 1, 1))
    for point in shown:
        seconds = f"{'~' if point.noisy else ''}{seconds_text(point.train_seconds)} s"
        said = Phrases(words(point.recipe, axes), one_line=True)
        table.add_row(f"trial {point.trial}", seconds, f"{100 * point.accuracy:.2f} %", said)
    if not fits and most > 1:
        table.add_row("", "", "", Text(f"{len(front.points) - len(shown)} more between these", "dim"))
    return table
