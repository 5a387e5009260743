"""What a person sees while a launch runs."""

import errno
import io
import re
import time
from dataclasses import replace

import pytest
from rich.console import Console

from paretosearch.device import Device
from paretosearch.outcome import EpochResult, Outcome, failed
from paretosearch.recipe import Recipe
from paretosearch.report.live import LiveView
from paretosearch.report.logged import LogView
from paretosearch.report.progress import Progress, Row
from paretosearch.report.screen import Screen
from paretosearch.report.spoken import standing_line
from paretosearch.report.textplot import scatter
from paretosearch.store import Front, Point, front_of

AXES = ("number_format", "batch_size")
RECIPE = Recipe("mnist", "resnet8", number_format="bf16", batch_size=256, epochs=4)
DEVICES = tuple(Device("cuda", f"GPU-{i}", "RTX", 2**33, "box", i) for i in range(2))
EPOCH = EpochResult(1, 3.5, 0.8125, 1.0, 0.1, 256, 1, 1, 0.01, 0.001)
DONE = Outcome("complete", train_seconds=12.3, wall_seconds=12.4, accuracy=0.8841)


def plain_console() -> Console:
    return Console(file=io.StringIO(), width=80)


def terminal(width: int = 80, height: int = 24) -> Console:
    return Console(file=io.StringIO(), width=width, height=height, force_terminal=True, legacy_windows=False)


def written(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue())


def screen(progress: Progress, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=True, record=True)
    console.print(Screen(progress))
    return console.export_text().splitlines()


def progress_of(front: Front | None, devices: int = 2) -> Progress:
    rows = {
        f"GPU-{i}": Row(Device("cuda", f"GPU-{i}", "RTX", 2**33, "box", i), i, RECIPE, EPOCH) for i in range(devices)
    }
    progress = Progress("fashion-mnist", AXES, 64, rows, done=23, done_here=20, failed=1, elapsed=100.0)
    progress.fronts = {"cuda:RTX": front} if front else {}
    return progress


def on_class(front: Front, device_class: str, seconds: float = 1.0) -> Front:
    """Give the front of the same trials on another class of device, where they take so many times the seconds."""
    points = (*front.points, *front.dominated)
    return front_of([replace(p, device_class=device_class, train_seconds=seconds * p.train_seconds) for p in points])


#: Of two classes.
MIXED = DEVICES[0], Device("cuda", "GPU-9", "NVIDIA GeForce GTX 1080 Ti", 2**33, "box", 1)


def mixed_progress(front: Front) -> Progress:
    progress = progress_of(None, 0)
    replayed = Row(MIXED[1], 12, RECIPE, purpose="replay")
    progress.rows = {"GPU-0": Row(MIXED[0], 7, RECIPE, EPOCH), "GPU-9": replayed}
    slow = on_class(front, MIXED[1].device_class, 2.0)
    progress.fronts = {MIXED[1].device_class: slow, "cuda:RTX": on_class(front, "cuda:RTX")}
    return progress


def test_a_log_has_what_each_device_begins_with_and_a_line_for_each_finished_trial() -> None:
    console = plain_console()
    with LogView(console, "study", AXES, 3, DEVICES) as view:
        view.message("number format fp16 is left out")
        view.started(DEVICES[0], 7, RECIPE)
        view.epoch(DEVICES[0], EPOCH)
        view.finished(DEVICES[0], 7, DONE, on_front=True)
        view.started(DEVICES[1], 8, RECIPE)
        view.finished(DEVICES[1], 8, DONE, on_front=False)
        view.started(DEVICES[1], 9, RECIPE)
        view.finished(DEVICES[1], 9, failed("out_of_memory", "no [8 GB] left"), on_front=False)
        view.started(DEVICES[0], 10, RECIPE)
        view.finished(DEVICES[0], 10, Outcome("stopped"), on_front=False)
    assert written(console).splitlines() == [
        "number format fp16 is left out",
        "trial 7 begins on gpu 0, 4 epochs: bf16, batch 256",
        "trial 7  bf16, batch 256  12.3 s  88.41 %  on the front",
        "trial 8 begins on gpu 1, 4 epochs: bf16, batch 256",
        "trial 8  bf16, batch 256  12.3 s  88.41 %",
        "trial 9  bf16, batch 256  failed, out_of_memory: no [8 GB] left",
        "trial 10  bf16, batch 256  stopped; the next launch goes on with it",
    ]


def test_a_log_tells_of_a_long_training_before_it_ends() -> None:
    console, now = plain_console(), [0.0]
    with LogView(console, "study", AXES, 64, DEVICES, budget_hours=1.0, clock=lambda: now[0]) as view:
        view.started(DEVICES[0], 7, RECIPE)
        view.started(DEVICES[1], 8, RECIPE, "replay")
        for epoch in range(1, 5):
            now[0] = 20.0 * epoch
            view.epoch(DEVICES[0], replace(EPOCH, epoch=epoch))
    assert written(console).splitlines()[1:] == [
        "0 of 64 trials, 40 s so far, at most 29 min 20 s left; trial 7: 2 of 4 epochs, 81.25 %; trial 8 timed again",
        "0 of 64 trials, 1 min 20 s so far, at most 28 min 40 s left; trial 7: 4 of 4 epochs, 81.25 %; "
        "trial 8 timed again",
    ]


def test_a_log_says_how_long_the_rest_takes_once_trials_have_ended() -> None:
    console, now = plain_console(), [0.0]
    with LogView(console, "study", AXES, 8, DEVICES[:1], budget_hours=9.0, clock=lambda: now[0]) as view:
        for trial in range(4):
            view.started(DEVICES[0], trial, RECIPE)
            now[0] += 15.0
            view.finished(DEVICES[0], trial, DONE, on_front=False)
    said = [line for line in written(console).splitlines() if "of 8 trials" in line]
    assert said == [
        "2 of 8 trials, 30 s so far, about 1 min 30 s left",
        "4 of 8 trials, 1 min 0 s so far, about 1 min 0 s left",
    ]


@pytest.mark.parametrize(("trials", "seconds"), [(200, 216.0), (6, 7200.0)])
def test_the_log_of_a_night_stays_readable(trials: int, seconds: float) -> None:
    console, now = plain_console(), [0.0]
    with LogView(console, "study", AXES, trials, DEVICES[:1], clock=lambda: now[0]) as view:
        for trial in range(trials):
            view.started(DEVICES[0], trial, RECIPE)
            for epoch in range(1, 200):
                now[0] += seconds / 200
                view.epoch(DEVICES[0], replace(EPOCH, epoch=epoch))
            view.finished(DEVICES[0], trial, DONE, on_front=False)
    said = [line for line in written(console).splitlines() if f"of {trials} trials" in line]
    assert 50 < len(said) < 110


QUIET = replace(DONE, train_seconds=11.1)
DISTURBED = replace(DONE, noisy=True)


@pytest.mark.parametrize(
    ("replay", "said"),
    [
        (QUIET, ["trial 7 timed again  bf16, batch 256  11.1 s  88.41 %  on the front"]),
        (
            failed("bug", "no"),
            ["trial 7  bf16, batch 256  ~12.3 s  88.41 %", "trial 7 timed again  bf16, batch 256  failed, bug: no"],
        ),
        (None, ["trial 7  bf16, batch 256  ~12.3 s  88.41 %"]),
    ],
)
def test_a_disturbed_training_is_said_once_in_a_log(replay: Outcome | None, said: list[str]) -> None:
    console = plain_console()
    with LogView(console, "study", AXES, 3, DEVICES[:1]) as view:
        view.started(DEVICES[0], 7, RECIPE)
        view.finished(DEVICES[0], 7, DISTURBED, on_front=False, in_doubt=True)
        if replay is not None:
            view.started(DEVICES[0], 7, RECIPE, "replay")
            view.finished(DEVICES[0], 7, replay, on_front=replay is QUIET)
    assert written(console).splitlines()[1:] == said


def test_a_result_on_another_class_does_not_hide_a_disturbed_training() -> None:
    console = plain_console()
    with LogView(console, "study", AXES, 3, MIXED) as view:
        view.started(MIXED[0], 7, RECIPE)
        view.finished(MIXED[0], 7, DISTURBED, on_front=False, in_doubt=True)
        view.started(MIXED[1], 7, RECIPE, "replay")
        view.finished(MIXED[1], 7, QUIET, on_front=True)
    assert [("timed again" in line, "~" in line) for line in written(console).splitlines()[1:]] == [
        (True, False),
        (False, True),
    ]


def test_repeats_are_no_trials() -> None:
    progress = Progress("s", AXES, None, {"GPU-0": Row(DEVICES[0], 7, RECIPE, EPOCH, "confirm")}, elapsed=31.0)
    assert standing_line(progress).plain == "31 s so far; trial 7 again: 1 of 4 epochs, 81.25 %"


def test_a_log_names_some_of_many_devices() -> None:
    progress = progress_of(None, devices=16)
    line = standing_line(progress).plain
    assert line.count("1 of 4 epochs, 81.25 %") == 4
    assert line.endswith("; 12 more at work")


def test_a_log_on_a_full_disk_loses_its_lines_and_nothing_else() -> None:
    class FullDisk(io.StringIO):
        def write(self, text: str) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with LogView(Console(file=FullDisk()), "study", AXES, 3, DEVICES) as view:
        view.message("the database is back")
        view.message("it is back")


def test_a_log_that_lacks_a_letter_has_a_question_mark() -> None:
    target = io.BytesIO()
    console = Console(file=io.TextIOWrapper(target, encoding="ascii"), width=80)
    with LogView(console, "study", AXES, 64, DEVICES) as view:
        view.message("größer")
        view.message("large")
    assert target.getvalue().splitlines() == [b"gr??er", b"large"]


def test_a_line_stays_a_line_however_long() -> None:
    console = plain_console()
    with LogView(console, "study", AXES, 3, DEVICES) as view:
        view.message("x " * 200)
    assert len(written(console).splitlines()) == 1


def test_a_terminal_shows_devices_budget_and_front(front: Front) -> None:
    console, now = terminal(), [0.0]
    with LiveView(console, "study", AXES, 64, DEVICES, done=10, clock=lambda: now[0]) as view:
        view.started(DEVICES[0], 7, RECIPE)
        view.epoch(DEVICES[0], EPOCH)
        view.front(on_class(front, "cuda:RTX"))
        now[0] = 65.0
        view.finished(DEVICES[1], 8, failed("bug", "broken"), on_front=False)
    text = written(console)
    assert re.search(r"gpu 0 +7 +bf16, batch 256 +1/4 +81.25 % +3.50 +ahead", text)
    assert re.search(r"gpu 1 +idle", text)
    assert "11 of 64 trials, 1 failed, 1 min 5 s so far" in text
    assert f"front so far: {len(front.points)} of 56 trials" in text
    assert "trial 8  failed, bug: broken" in text


def test_a_device_that_joins_is_said_and_has_its_row_from_then_on() -> None:
    console = plain_console()
    with LogView(console, "s", AXES, 64, DEVICES[:1]) as view:
        view.joined(DEVICES[1])
        view.started(DEVICES[1], 0, RECIPE)
        view.finished(DEVICES[1], 0, DONE, on_front=False)
    assert written(console).splitlines()[0] == "gpu 1 on box has joined"


def test_on_a_terminal_only_front_members_and_failures_are_said() -> None:
    console = terminal()
    with LiveView(console, "study", AXES, 64, DEVICES) as view:
        view.started(DEVICES[0], 7, RECIPE)
        view.finished(DEVICES[0], 7, DONE, on_front=False)
        view.started(DEVICES[0], 8, RECIPE)
        view.finished(DEVICES[0], 8, DONE, on_front=True)
    assert "trial 7 " not in written(console)
    assert "trial 8  bf16, batch 256  12.3 s  88.41 %  on the front" in written(console)


def test_the_picture_is_gone_when_the_launch_ends_be_it_by_an_error() -> None:
    console = terminal()
    with pytest.raises(KeyboardInterrupt), LiveView(console, "study", AXES, 64, DEVICES):
        raise KeyboardInterrupt
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().endswith("\x1b[1A\x1b[2K")  # the cursor goes up and the line is erased
    assert "\x1b[?25h" in console.file.getvalue()  # the cursor is seen again


def test_the_time_goes_on_while_the_launcher_has_nothing_to_tell() -> None:
    console, now = terminal(), [0.0]
    with LiveView(console, "study", AXES, 64, DEVICES, clock=lambda: now[0]):
        now[0] = 77.0
        patience = time.monotonic() + 10
        while "1 min 17 s so far" not in written(console) and time.monotonic() < patience:
            time.sleep(0.05)
        assert "1 min 17 s so far" in written(console)


def test_the_launcher_is_not_slowed_by_what_it_tells(front: Front) -> None:
    with LiveView(terminal(200, 50), "study", AXES, 64, DEVICES) as view:
        view.started(DEVICES[0], 7, RECIPE)
        before = time.perf_counter()
        for _ in range(2000):
            view.epoch(DEVICES[0], EPOCH)
            view.front(front)
        assert time.perf_counter() - before < 1.0  # 4000 drawings of some 10 ms would take 40 s


@pytest.mark.parametrize("size", [(80, 24), (100, 30), (120, 24), (200, 50), (60, 15), (80, 8)])
def test_the_picture_fits_the_terminal(front: Front, size: tuple[int, int]) -> None:
    lines = screen(progress_of(front), *size)
    assert len(lines) < size[1]
    assert max(map(len, lines)) <= size[0]
    assert "23 of 64 trials, 1 failed, 1 min 40 s so far, about 3 min 25 s left"[: size[0] - 1] in "\n".join(lines)


def test_a_front_that_fits_is_listed_whole_and_one_that_does_not_says_what_is_missing() -> None:
    few, many = (front_of(points(*((1.0 + n, 0.5 + n / 100) for n in range(count)))) for count in (4, 12))
    lines = screen(progress_of(few), 80, 24)
    assert [line.split()[1] for line in lines if line.startswith("trial ")] == ["0", "1", "2", "3"]
    assert "trial 11" in "\n".join(screen(progress_of(many), 80, 40))
    lines = screen(progress_of(many), 80, 24)
    listed = sum(line.lstrip().startswith("trial ") for line in lines)
    assert lines[-1].strip() == f"{12 - listed} more between these"
    assert len(lines) < 24


def test_a_wide_terminal_is_no_reason_for_wide_lines(front: Front) -> None:
    assert max(map(len, (line.rstrip() for line in screen(progress_of(front), 200, 50)))) <= 140


def test_a_recipe_ends_with_a_whole_phrase_and_a_disturbed_time_is_marked() -> None:
    recipe = replace(RECIPE, pooling="stochastic", learning_rate=0.123)
    members = [replace(point, recipe=recipe, noisy=True) for point in points((1, 0.5), (2, 0.75))]
    progress = progress_of(front_of(members))
    progress.axes = (*AXES, "pooling", "learning_rate", "epochs", "weight_decay")
    progress.rows = {uuid: replace(row, recipe=recipe) for uuid, row in progress.rows.items()}
    lines = screen(progress, 80, 24)
    assert "bf16, batch 256, …" in next(line for line in lines if line.startswith("gpu 0"))
    assert "~1.00 s" in next(line for line in lines if line.startswith("trial 0"))


def test_the_rest_does_not_grow_while_a_trial_runs_and_moves_a_little_when_one_ends() -> None:
    now = [0.0]
    follower = LogView(plain_console(), "s", AXES, 10, DEVICES[:1], clock=lambda: now[0])
    lefts = []
    for trial, seconds in enumerate((10.0, 10.0, 40.0)):
        follower.started(DEVICES[0], trial, RECIPE)
        now[0] += seconds / 2
        follower.epoch(DEVICES[0], EPOCH)
        lefts.append(follower._progress.seconds_left())
        now[0] += seconds / 2
        follower.finished(DEVICES[0], trial, DONE, on_front=False)
        lefts.append(follower._progress.seconds_left())
    assert lefts[:3] == [None, None, None]
    assert lefts[3:5] == [80.0, 60.0]  # a pace of ten seconds, and then twenty more are over
    assert lefts[5] == pytest.approx(40 + 0.3 * (7 * 20 - 40))


def test_more_devices_than_lines_are_counted(front: Front) -> None:
    lines = screen(progress_of(front, devices=40), 80, 24)
    assert len(lines) < 24
    shown = sum("gpu" in line for line in lines)
    assert f"and {40 - shown} more devices" in lines


def test_a_front_of_each_class_is_told_and_that_of_the_first_device_is_drawn(front: Front) -> None:
    lines = screen(mixed_progress(front), 80, 40)
    of_class = {name: next(line for line in lines if f"on {name}:" in line) for name in ("RTX", "GTX 1080 Ti")}
    size = f"{len(front.points)} of 56 trials, hypervolume"
    assert of_class["RTX"].startswith(f"front so far on RTX: {size}")
    assert of_class["GTX 1080 Ti"].startswith(f"front so far on GTX 1080 Ti: {size}")
    assert lines.index(of_class["RTX"]) == lines.index(of_class["GTX 1080 Ti"]) + 1
    shown = lines[-1].split()
    assert shown[:3] == ["trial", str(front.points[-1].trial), f"{front.points[-1].train_seconds:.1f}"]


@pytest.mark.parametrize("size", [(80, 24), (120, 24), (200, 50), (80, 14), (80, 8)])
def test_the_picture_of_two_classes_fits_the_terminal(front: Front, size: tuple[int, int]) -> None:
    lines = screen(mixed_progress(front), *size)
    assert len(lines) < size[1]
    assert max(map(len, lines)) <= size[0]


def test_a_training_is_compared_with_its_own_class(front: Front) -> None:
    progress = mixed_progress(front)
    point = front.points[2]
    epoch = replace(EPOCH, train_seconds=1.5 * point.train_seconds, accuracy=point.accuracy)
    progress.rows = {device.uuid: Row(device, 7, RECIPE, epoch) for device in MIXED}
    lines = screen(progress, 100, 40)
    said = {label: next(line for line in lines if line.startswith(label)).split()[-1] for label in ("gpu 0", "gpu 1")}
    assert said == {"gpu 0": "behind", "gpu 1": "ahead"}


def test_a_trial_that_is_timed_again_has_no_epochs_and_counts_for_no_budget(front: Front) -> None:
    [line] = [line for line in screen(mixed_progress(front), 80, 30) if line.startswith("gpu 1")]
    assert re.match(r"gpu 1 +12 timed again +bf16, batch 256 *$", line)
    console = plain_console()
    with LogView(console, "study", AXES, 3, MIXED) as view:
        for device, trial, purpose in ((MIXED[0], 12, "search"), (MIXED[1], 12, "replay"), (MIXED[1], 13, "replay")):
            view.started(device, trial, RECIPE, purpose)
            outcome = DONE if trial == 12 else failed("invalid", "no bf16")
            view.finished(device, trial, outcome, on_front=purpose == "replay")
        assert (view._progress.done, view._progress.failed) == (1, 0)
    assert written(console).splitlines() == [
        "trial 12 begins on gpu 0, 4 epochs: bf16, batch 256",
        "trial 12  bf16, batch 256  12.3 s on RTX  88.41 %",
        "trial 12 timed again  bf16, batch 256  12.3 s on GTX 1080 Ti  88.41 %  on the front",
        "trial 13 timed again  bf16, batch 256  failed, invalid: no bf16",
    ]


def test_the_rest_is_estimated_from_the_trials_of_this_launch() -> None:
    progress = Progress("s", AXES, 64, {}, done=44, done_here=4, elapsed=100.0)
    assert progress.seconds_left() == 500.0
    assert Progress("s", AXES, 64, {}, done=44, done_here=1, elapsed=100.0).seconds_left() is None
    assert Progress("s", AXES, None, {}, done=44, done_here=4, elapsed=100.0).seconds_left() is None


def test_of_two_budgets_that_counts_which_ends_first() -> None:
    rows = {device.uuid: Row(device) for device in DEVICES}
    progress = Progress("s", AXES, 64, rows, budget_hours=2.0, hours=1.0, done=16, done_here=4, elapsed=900.0)
    assert progress.seconds_left() == 900.0  # half an hour of two devices
    assert progress.share == 0.75
    progress.budget_hours = 20.0
    assert progress.seconds_left() == 48 * 225.0
    assert progress.share == 0.25
    assert Progress("s", AXES, None, rows, elapsed=900.0).share is None


def test_a_training_is_ahead_as_long_as_nothing_on_the_front_is_as_good(front: Front) -> None:
    best = front.points[-1]
    slow = replace(EPOCH, train_seconds=best.train_seconds * 2, accuracy=best.accuracy)
    quick = replace(EPOCH, train_seconds=front.points[0].train_seconds / 2, accuracy=0.1)
    for epoch, said in ((slow, "behind"), (quick, "ahead")):
        progress = progress_of(front, devices=1)
        progress.rows = {"GPU-0": replace(progress.rows["GPU-0"], epoch=epoch)}
        row = next(line for line in screen(progress, 80, 24) if line.startswith("gpu 0"))
        assert row.rstrip().endswith(said)


def test_a_stopped_trial_is_not_counted() -> None:
    progress = Progress("s", AXES, 64, {})
    for outcome in (DONE, Outcome("stopped"), failed("bug", "")):
        progress.count(outcome, "search")
    assert (progress.done, progress.done_here, progress.failed) == (2, 2, 1)


def points(*objectives: tuple[float, float]) -> list[Point]:
    return [Point(trial, seconds, accuracy, RECIPE, "c", trial) for trial, (seconds, accuracy) in enumerate(objectives)]


def test_the_drawing_is_a_staircase_with_its_corners_at_the_points() -> None:
    drawn = scatter(front_of(points((1, 0.5), (2, 0.75), (3, 1.0), (3, 0.5))), width=20, height=7).plain
    assert [line.rstrip() for line in drawn.splitlines()] == [
        "100.0%┤            ●",
        "      │            │",
        "      │      ●─────┘",
        "      │      │",
        " 50.0%┤●─────┘     ·",
        "      └─────────────",
        "       1.00 s 3.00 s",
    ]


def test_a_drawing_in_ascii_has_nothing_else() -> None:
    front = front_of(points((1, 0.5), (2, 0.75), (3, 1.0), (3, 0.5)))
    assert scatter(front, 30, 8, ascii_only=True).plain.isascii()


def test_the_drawing_has_the_size_that_was_asked_for(front: Front) -> None:
    lines = scatter(front, 60, 12).plain.splitlines()
    assert len(lines) == 12
    assert max(map(len, lines)) == 60
    assert sum(line.count("●") for line in lines) <= len(front.points)


def test_a_trial_that_diverged_stays_on_the_lowest_line() -> None:
    drawn = scatter(front_of(points((1, 0.8), (10, 0.9), (5, 0.1))), 40, 8).plain.splitlines()
    assert "·" in drawn[5]
    assert drawn[5].startswith(" 72.0%")


def test_a_front_of_one_point_can_be_drawn() -> None:
    assert scatter(front_of(points((2, 0.5))), 30, 6).plain.count("●") == 1


def test_the_front_of_the_reference_class_is_drawn_wherever_its_device_stands(front: Front) -> None:
    progress = mixed_progress(front)
    progress.reference = MIXED[1].device_class
    assert progress.front is progress.fronts[MIXED[1].device_class]
    progress.reference = "cuda:RTX 5090"  # has none yet
    assert progress.front is progress.fronts[MIXED[0].device_class]
