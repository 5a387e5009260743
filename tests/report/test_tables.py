"""The front as table, JSON and CSV."""

import csv
import io
import json
from dataclasses import replace

from rich.console import Console, RenderableType

from paretosearch.recipe import Recipe
from paretosearch.report.tables import front_csv, front_json, front_table
from paretosearch.store import Front, Point, front_of


def printed(renderable: RenderableType, width: int) -> list[str]:
    console = Console(width=width, file=io.StringIO(), record=True)
    console.print(renderable)
    return console.export_text().splitlines()


def test_a_wide_terminal_shows_a_row_a_point_and_a_column_an_axis(front: Front, axes: tuple[str, ...]) -> None:
    heading, _, *rows = printed(front_table(front, axes), 200)
    named = ["trial", "seconds", "accuracy", "format", "batch", "pooling", "lr", "epochs", "smoothing"]
    assert heading.split() == named
    assert [int(row.split()[0]) for row in rows[: len(front.points)]] == [point.trial for point in front.points]
    assert rows[-2].split()[2:4] == [f"{100 * front.points[-1].accuracy:.2f}", "%"]


def test_at_80_columns_nothing_is_cut_off(front: Front, axes: tuple[str, ...]) -> None:
    long = (*axes, "momentum", "prunetrain.penalty_ratio", "weight_decay")
    pruned = [replace(p.recipe, methods={"prunetrain": {"penalty_ratio": p.trial / 100}}) for p in front.points]
    varied = [replace(p, recipe=replace(r, momentum=p.trial / 100)) for p, r in zip(front.points, pruned, strict=True)]
    lines = printed(front_table(front_of(varied), long), 80)
    assert max(map(len, lines)) <= 80
    assert lines[0].split() == ["trial", "seconds", "accuracy", "recipe"]
    text = " ".join(" ".join(lines).split())
    assert all(f"momentum {p.trial / 100:g}," in text for p in front.points)
    assert "…" not in text


def test_what_all_recipes_share_is_said_once(front: Front, axes: tuple[str, ...]) -> None:
    same = front_of([replace(p, recipe=replace(p.recipe, pooling="s3")) for p in front.points])
    lines = printed(front_table(same, axes), 200)
    assert "pooling" not in lines[0]
    assert "all: s3 pooling" in lines


def test_numbers_are_aligned_right(front: Front, axes: tuple[str, ...]) -> None:
    heading, _, *rows = printed(front_table(front, axes), 200)
    ends = {heading.index("seconds") + len("seconds"), heading.index("batch") + len("batch")}
    for end in ends:
        assert all(row[end - 1].isdigit() and row[end : end + 2].strip() == "" for row in rows[: len(front.points)])


def test_a_noisy_time_is_marked_and_explained(front: Front, axes: tuple[str, ...]) -> None:
    calm = replace(front, points=tuple(replace(p, noisy=False) for p in front.points))
    noisy = replace(calm, points=(replace(calm.points[0], noisy=True), *calm.points[1:]))
    assert not any("~" in line for line in printed(front_table(calm, axes), 200))
    lines = printed(front_table(noisy, axes), 200)
    assert f"~{noisy.points[0].train_seconds:.2f}" in lines[2]
    assert lines[-1].startswith("~ disturbed: mean and median of the steps differ")
    on_gpu = replace(noisy, points=tuple(replace(p, device_class="cuda:card") for p in noisy.points))
    assert printed(front_table(on_gpu, axes), 200)[-1].startswith("~ disturbed: another program used the GPU, or mean")


def test_a_test_accuracy_gets_a_column_once_somebody_looked(front: Front, axes: tuple[str, ...]) -> None:
    seen = replace(front, points=(replace(front.points[0], test_accuracy=0.5), *front.points[1:]))
    assert "test" not in printed(front_table(front, axes), 200)[0]
    lines = printed(front_table(seen, axes), 200)
    assert "test" in lines[0]
    assert "50.00 %" in lines[2]


def test_an_empty_front_says_so(axes: tuple[str, ...]) -> None:
    assert printed(front_table(front_of([]), axes), 80) == ["no trial is complete yet"]


def test_a_shortened_table_keeps_both_ends(front: Front, axes: tuple[str, ...]) -> None:
    _, _, *rows = printed(front_table(front, axes, most=3), 200)
    shown = [int(row.split()[0]) for row in rows[:3]]
    assert (shown[0], shown[2]) == (front.points[0].trial, front.points[-1].trial)
    assert f"{len(front.points) - 3} more between these" in rows


def test_json_holds_every_point_whole(front: Front) -> None:
    read = json.loads(json.dumps(front_json(front), allow_nan=False))
    assert [entry["trial"] for entry in read] == [point.trial for point in front.points]
    for entry, point in zip(read, front.points, strict=True):
        assert (entry["train_seconds"], entry["accuracy"]) == (point.train_seconds, point.accuracy)
        assert Recipe.from_json(json.dumps(entry["recipe"])) == point.recipe
        assert entry["digest"] == point.recipe.digest
        assert entry["device_class"] == point.device_class


def test_csv_holds_every_point_exactly(front: Front) -> None:
    text = io.StringIO()
    front_csv(front, text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [int(row["trial"]) for row in rows] == [point.trial for point in front.points]
    for row, point in zip(rows, front.points, strict=True):
        assert (float(row["train_seconds"]), float(row["accuracy"])) == (point.train_seconds, point.accuracy)
        assert (row["digest"], row["number_format"]) == (point.digest, point.recipe.number_format)
        alpha = point.recipe.methods.get("label_smoothing", {}).get("alpha")
        assert row["label_smoothing.alpha"] == ("" if alpha is None else str(alpha))


def test_no_cell_of_a_csv_is_a_formula() -> None:
    hostile = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r\n=1", " =1", "＝1", "harm\nless"]
    safe = ["'=1+1", "'+1", "'-1", "'@SUM(A1)", "' =1", "'  =1", "' =1", "'＝1", "harm less"]
    named = [bad if bad.isprintable() else "mnist" for bad in hostile]  # a Recipe refuses other names
    points = [Point(i, 1.0 + i, 0.1 * i, Recipe(named[i], "net"), bad, i) for i, bad in enumerate(hostile)]
    text = io.StringIO()
    front_csv(front_of(points), text)
    rows = list(csv.DictReader(io.StringIO(text.getvalue(), newline="")))
    shown = [good if bad.isprintable() else "mnist" for bad, good in zip(hostile, safe, strict=True)]
    assert [row["dataset"] for row in rows] == shown
    assert [row["device_class"] for row in rows] == safe
    assert float(rows[0]["train_seconds"]) == 1.0


def test_an_empty_front_still_has_its_headings() -> None:
    text = io.StringIO()
    front_csv(front_of([]), text)
    assert text.getvalue().startswith("trial,train_seconds,accuracy,")
