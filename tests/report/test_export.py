"""The folder for a thesis."""

import csv
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.image import imread

from paretosearch.errors import StoreError, UsageError
from paretosearch.files import replacing
from paretosearch.outcome import failed
from paretosearch.recipe import Recipe
from paretosearch.report.export import export
from paretosearch.report.look import Look
from paretosearch.store import Store

FIGURES = ("front", "hypervolume", "learning_curves", "axes")


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_written_and_nothing_else_is_left(exported: dict[str, Path]) -> None:
    figures = {f"{name}.{suffix}" for name in FIGURES for suffix in ("pdf", "svg", "png", "tex")}
    data = {f"{name}.dat" for name in FIGURES[:3]} | {f"axes-{panel}.dat" for panel in range(1, 13)}
    texts = {"preamble.tex", "front_table.tex", "front.csv", "trials.csv", "front.html", "PROVENANCE.md"}
    assert set(exported) == figures | data | texts
    assert {path.name for path in exported["front.csv"].parent.iterdir()} == set(exported)


def test_figures_are_what_their_names_say(exported: dict[str, Path]) -> None:
    for name in FIGURES:
        assert exported[f"{name}.pdf"].read_bytes().startswith(b"%PDF")
        assert exported[f"{name}.svg"].read_text().startswith("<?xml")
        assert imread(exported[f"{name}.png"]).shape[1] == 1180  # 5.9 inches at 200 dots


def test_fonts_are_embedded_as_truetype(exported: dict[str, Path]) -> None:
    for name in FIGURES:
        pdf = exported[f"{name}.pdf"].read_bytes()
        assert b"/FontFile2" in pdf
        assert b"/Type3" not in pdf
        assert "<text" not in exported[f"{name}.svg"].read_text()


def test_the_same_study_gives_the_same_bytes_and_is_only_read(
    store: Store, study: str, exported: dict[str, Path], tmp_path: Path
) -> None:
    watcher = sqlite3.connect(store.url.removeprefix("sqlite:///"))
    version = watcher.execute("PRAGMA data_version").fetchone()
    for path in export(store, study, tmp_path):
        assert path.read_bytes() == exported[path.name].read_bytes(), path.name
        if path.suffix in (".pdf", ".svg"):
            assert not re.search(rb"CreationDate|ModDate|<dc:date>", path.read_bytes())
            assert not re.search(rb"2026-1[12]|20\d\d-\d\d-\d\dT", path.read_bytes()), "a moment"
    assert watcher.execute("PRAGMA data_version").fetchone() == version
    watcher.close()


def test_front_csv_is_the_front_and_trials_csv_is_every_attempt(
    exported: dict[str, Path], store: Store, study: str
) -> None:
    front, trials = rows(exported["front.csv"]), rows(exported["trials.csv"])
    assert [int(row["trial"]) for row in front] == [point.trial for point in store.front(study).points]
    assert [int(row["trial"]) for row in trials] == [attempt.trial for attempt in store.attempts(study)]
    on_front = {row["trial"] for row in trials if row["on_front"] == "1"}
    assert on_front == {row["trial"] for row in front}
    assert [row["message"] for row in trials if row["outcome"] == "failed"][-1] == "'=loss is nan in epoch 59"


def test_a_study_without_a_result_cannot_be_exported(
    new_store: Callable[[int], Store], study: str, tmp_path: Path
) -> None:
    store = new_store(0)
    with pytest.raises(UsageError, match="has no complete trial yet"):
        export(store, study, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_study_whose_trials_all_failed_cannot_be_exported(
    new_store: Callable[[int], Store], store: Store, study: str, tmp_path: Path
) -> None:
    other, device = new_store(0), store.devices(study)[0]
    other.add_device(device)
    other.finish_attempt(other.start_attempt(study, 0, device, Recipe("mnist", "resnet8")), failed("bug", "no"))
    with pytest.raises(UsageError, match="has no complete trial yet"):
        export(other, study, tmp_path / "out")


def test_an_unknown_class_of_device_names_those_with_results(store: Store, study: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no result on 'cuda:X' \(allowed: cpu:Ryzen 7x1\)"):
        export(store, study, tmp_path, "cuda:X")


def test_an_unknown_study_is_named_with_a_suggestion(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="did you mean 'fashion-mnist'"):
        export(store, "fashion-mnits", tmp_path)


def test_a_folder_that_cannot_be_made_is_one_line(store: Store, study: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write to .*/file/out: Not a directory; name another folder"):
        export(store, study, tmp_path / "file" / "out")


def test_a_folder_with_files_of_another_study_stays_as_it_is(
    new_store: Callable[[int], Store], study: str, tmp_path: Path
) -> None:
    """Of those some would stay under the account of the new one; the same study again replaces its own."""
    store, account, out = new_store(1), tmp_path / "out" / "PROVENANCE.md", tmp_path / "out"
    export(store, study, out)
    export(store, study, out)
    other = account.read_text().replace(f"`{study}`", "`another`", 1)
    account.write_text(other)
    (out / "front.csv").unlink()
    told = f"out has a PROVENANCE.md that is not of '{study}'; name another folder by --out, or empty that one$"
    with pytest.raises(UsageError, match=told):
        export(store, study, out)
    assert account.read_text() == other
    assert not (out / "front.csv").exists()


def test_a_trial_of_one_point_is_exported_too(new_store: Callable[[int], Store], study: str, tmp_path: Path) -> None:
    written = {path.name for path in export(new_store(1), study, tmp_path / "out")}
    assert {"front.pdf", "front.tex", "front_table.tex", "PROVENANCE.md"} <= written


def test_slides_in_german_are_the_same_bytes_too(shaped: Store, study: str, tmp_path: Path) -> None:
    look = Look("slides", "de")
    first = export(shaped, study, tmp_path / "a", look=look)
    again = export(shaped, study, tmp_path / "b", look=look)
    assert [path.name for path in first] == [path.name for path in again]
    assert {"confirmed.tex", "confirmed_table.tex", "channels.pdf", "channels-1.dat"} <= {path.name for path in first}
    for one, other in zip(first, again, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_a_name_that_no_font_has_is_drawn_all_the_same(hostile: Store, hostile_study: str, tmp_path: Path) -> None:
    assert (tmp_path / "front.svg") in export(hostile, hostile_study, tmp_path)


def test_german_has_a_decimal_comma_in_every_format(shaped: Store, study: str, tmp_path: Path) -> None:
    export(shaped, study, tmp_path, look=Look("thesis", "de"))
    page = (tmp_path / "front.html").read_text()
    assert '<html lang="de">' in page
    assert re.search(r"\d,\d\d %", page)
    assert "separators" in page
    assert re.search(r"\d\{,\}\d", (tmp_path / "front_table.tex").read_text())
    assert "Trainingszeit (s)" in (tmp_path / "front.tex").read_text()
    assert not re.search(r"\d,\d", (tmp_path / "front.dat").read_text())  # numbers to compute with stay numbers


def test_a_file_stays_as_it_was_if_its_new_version_cannot_be_completed(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")

    def write() -> None:
        with replacing(target) as file:
            file.write(b"half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_new_file_has_the_permissions_of_any_other(tmp_path: Path) -> None:
    (tmp_path / "ordinary").write_text("")
    with replacing(tmp_path / "ours") as file:
        file.write(b"x")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_who_reads_a_file_while_it_is_replaced_reads_the_old_one_to_its_end(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    target.write_text("old")
    with target.open() as reader:
        with replacing(target) as file:
            file.write(b"new")
        assert reader.read() == "old"
    assert target.read_text() == "new"
