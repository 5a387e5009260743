"""A launch without a result says why, and what to do."""

from pathlib import Path

from paretosearch.api.ending import spent
from paretosearch.report.words import counted
from paretosearch.studyfile import StudyFile, load, with_budget
from paretosearch.testing.commands import STUDY


def study(folder: Path, *changes: tuple[str, str]) -> StudyFile:
    text = STUDY
    for old, new in changes:
        text = text.replace(old, new)
    (folder / "tiny.toml").write_text(text)
    return load(str(folder / "tiny.toml"))


def test_a_spent_budget_is_said_with_what_goes_on(tmp_path: Path) -> None:
    file = study(tmp_path)
    assert spent(file, file.space, 6) == "the budget of study 'tiny' is spent, with 6 trials; --trials 12 goes on"
    hours = with_budget(file, trials=10, device_hours=1.0)
    assert spent(hours, file.space, 6).endswith("a larger --device-hours goes on")


def test_a_sampler_that_has_asked_for_everything_does_not_ask_for_a_larger_budget(tmp_path: Path) -> None:
    file = study(tmp_path)
    assert spent(file, file.space, 6, True) == "study 'tiny' has asked for every recipe of its space, 6 trials"


def test_a_grid_that_is_done_does_not_ask_for_a_larger_budget(tmp_path: Path) -> None:
    space = 'batch_size = [8, 16]\npooling = ["max"]\n[first]\n'
    head, _ = STUDY.split("[space]")
    (tmp_path / "grid.toml").write_text(head.replace("population = 4", 'sampler = "grid"') + "[space]\n" + space)
    file = load(str(tmp_path / "grid.toml"))
    assert "has trained every recipe of its plan, 2 trials" in spent(file, file.space, 2)
    assert "--trials 2 goes on" in spent(with_budget(file, trials=1), file.space, 1)


def test_one_thing_is_no_things() -> None:
    assert [counted(n, "study", "studies") for n in (0, 1, 2)] == ["0 studies", "1 study", "2 studies"]
    assert [counted(n, "trial") for n in (1, 2)] == ["1 trial", "2 trials"]
