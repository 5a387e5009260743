"""A launch from the command line leaves a true front, everywhere that somebody may look."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import optuna
import pytest

from paretosearch.testing.commands import STUDY, Run, environment

pytestmark = pytest.mark.usefixtures("launched")


def brute_force(folder: Path, study: str = "tiny") -> set[int]:
    """The front by definition, from Optuna's own tables."""
    found = optuna.load_study(study_name=study, storage=f"sqlite:///{folder}/paretosearch.db")
    done = [(t.number, *t.values) for t in found.get_trials(deepcopy=False) if t.state.name == "COMPLETE"]
    return {
        n
        for n, s, a in done
        if not any(s2 <= s and a2 >= a and ((s2, a2) != (s, a) or m < n) for m, s2, a2 in done if m != n)
    }


def test_a_launch_ends_well_and_shows_its_front(launched: subprocess.CompletedProcess[str]) -> None:
    assert launched.returncode == 0, launched.stderr
    stages = ["preparing the data set", "starting 1 Worker"]
    assert launched.stderr.splitlines() == stages  # of one number format nothing is measured
    assert launched.stdout.count("trial ") >= 6
    assert "accuracy" in launched.stdout


def test_front_json_plain_sql_and_brute_force_agree(run: Run, folder: Path) -> None:
    printed = json.loads(run("front", "tiny", "--json").stdout)
    with closing(sqlite3.connect(folder / "paretosearch.db")) as database:
        query = "SELECT trial, train_seconds, accuracy FROM ps_pareto_front WHERE study = 'tiny' ORDER BY train_seconds"
        rows = database.execute(query).fetchall()
    assert [(p["trial"], p["train_seconds"], p["accuracy"]) for p in printed] == rows
    assert {p["trial"] for p in printed} == brute_force(folder)
    assert len(rows) >= 1


def test_a_second_launch_finishes_at_once(run: Run) -> None:
    again = run("launch", "tiny.toml", "--cpu", "1")
    assert again.returncode == 0
    assert "trial 6" not in again.stdout
    assert "the budget of study 'tiny' is spent, with 6 trials; --trials 12 goes on" in again.stdout


def test_a_program_is_told_what_happens_in_lines_of_json(run: Run, folder: Path) -> None:
    study = (folder / "tiny.toml").read_text().replace('"tiny"', '"told"')
    (folder / "told.toml").write_text(study)
    told = run("launch", "told.toml", "--cpu", "1", "--trials", "1", "--json")
    assert told.returncode == 0, told.stderr
    events = [json.loads(line) for line in told.stdout.splitlines()]
    asked = [event for event in events if event.get("purpose") != "replay"]  # a disturbed training is timed again
    named = [event["event"] for event in asked if event["event"] not in ("epoch", "message")]
    assert named == ["front", "starting", "started", "finished", "front"]
    assert "accuracy" in told.stderr  # the table, for whoever reads along


def test_status_counts_what_happened(run: Run) -> None:
    status = json.loads(run("status", "tiny", "--json").stdout)
    assert status["study"] == "tiny"
    assert run("status", "tiny").returncode == 0
    for more, said in (((), "--watch draws on a terminal"), (("--json",), "--watch draws for a person")):
        watching = run("status", "tiny", "--watch", *more)
        assert (watching.returncode, said in watching.stderr) == (2, True)


def test_front_as_csv_has_a_row_for_each_member(run: Run, folder: Path) -> None:
    lines = run("front", "tiny", "--csv").stdout.strip().splitlines()
    assert len(lines) == 1 + len(brute_force(folder))


def test_an_export_has_every_format(run: Run, folder: Path) -> None:
    exported = run("export", "tiny", "--out", "plots")
    assert exported.returncode == 0, exported.stderr
    suffixes = {path.suffix for path in (folder / "plots").iterdir()}
    assert suffixes == {".pdf", ".svg", ".png", ".html", ".csv", ".tex", ".dat", ".md"}
    for path in (folder / "plots").iterdir():
        assert path.stat().st_size > 0
    count = len(list((folder / "plots").iterdir()))
    first, opened, worth = exported.stdout.splitlines()
    assert first.startswith(f"{count} files are in plots/")
    assert "open plots/front.html in a browser" in opened
    assert worth == "not confirmed; paretosearch confirm repeats what may be on the front"
    listed = json.loads(run("export", "tiny", "--out", "plots", "--json").stdout)
    assert len(listed) == count


def test_a_trial_is_trained_again_with_its_weights_kept(run: Run, folder: Path) -> None:
    member = min(brute_force(folder))
    result = run("train", "--study", "tiny", "--trial", str(member), "--cpu", "1", "--out", "again", "--json")
    assert result.returncode == 0, result.stderr
    outcome = json.loads(result.stdout)
    front = {p["trial"]: p for p in json.loads(run("front", "tiny", "--json").stdout)}
    assert outcome["accuracy"] == front[member]["accuracy"]  # one thread, one seed: the same training
    assert outcome["test_accuracy"] is not None
    kept = {path.name for path in (folder / "again").iterdir()}
    assert kept == {"weights.pt", "network.py", "recipe.json", "outcome.json"}
    by_file = run("train", "again/recipe.json", "--cpu", "1", "--out", "twice", "--json")
    assert json.loads(by_file.stdout)["accuracy"] == outcome["accuracy"]


def test_optunas_own_command_reads_the_study(folder: Path) -> None:
    command = [str(Path(sys.executable).parent / "optuna"), "trials", "--storage", "sqlite:///paretosearch.db"]
    command += ["--study-name", "tiny", "--format", "json"]
    read = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert len(json.loads(read.stdout)) == 6


def test_methods_and_doctor_and_help_say_something(run: Run) -> None:
    methods: list[dict[str, Any]] = json.loads(run("methods", "--json").stdout)
    assert {"max", "stochastic", "s3", "one_cycle", "label_smoothing"} <= {m["name"] for m in methods}
    assert run("methods").returncode == 0
    doctor = json.loads(run("doctor", "--json").stdout)
    assert {"CPU", "store", "fashion-mnist", "cpu fp32"} <= {check["what"] for check in doctor}
    help_text = run("--help").stdout
    assert run("help").stdout == help_text
    assert run("help", "store", "copy").stdout == run("store", "copy", "--help").stdout
    assert all(
        command in help_text for command in ("launch", "front", "export", "dashboard", "train", "retime", "doctor")
    )


def test_ctrl_c_stops_after_the_epoch_and_the_same_command_goes_on(folder: Path, run: Run) -> None:
    (folder / "long.toml").write_text(STUDY.replace('"tiny"', '"long"').replace("high = 3 }", "high = 40 }"))
    command = [sys.executable, "-m", "paretosearch", "launch", "long.toml", "--cpu", "1"]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()
    time.sleep(1)
    os.kill(process.pid, signal.SIGINT)
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == 130, rest
    assert "the same command continues" in rest
    again = run("launch", "long.toml", "--cpu", "1")
    assert again.returncode == 0, again.stderr
    found = optuna.load_study(study_name="long", storage=f"sqlite:///{folder}/paretosearch.db")
    assert [t.state.name for t in found.trials] == ["COMPLETE"] * 6
    assert {p["trial"] for p in json.loads(run("front", "long", "--json").stdout)} == brute_force(folder, "long")


def test_looking_at_a_front_does_not_wait_for_torch(folder: Path) -> None:
    program = (
        "import sys\nfrom paretosearch.cli import main\nsys.argv[1:] = ['front', 'tiny']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "print([name for name in ('torch', 'optuna', 'matplotlib') if name in sys.modules])"
    )
    command = [sys.executable, "-c", program]
    result = subprocess.run(command, cwd=folder, env=environment(folder), capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_a_second_launch_of_a_running_study_exits_75_and_names_the_holder(folder: Path, run: Run) -> None:
    (folder / "busy.toml").write_text(STUDY.replace('"tiny"', '"busy"').replace("high = 3 }", "high = 400 }"))
    command = [sys.executable, "-m", "paretosearch", "launch", "busy.toml", "--cpu", "1"]
    process = subprocess.Popen(command, cwd=folder, env=environment(folder), stdout=subprocess.PIPE, text=True)
    holder = folder / "paretosearch.db.spool" / "busy" / "launcher.holder"
    while not holder.exists():
        time.sleep(0.1)
    second = run("launch", "busy.toml", "--cpu", "1")
    assert second.returncode == 75
    assert f"study 'busy' is in use by process {process.pid} on " in second.stderr
    process.terminate()
    process.communicate(timeout=60)
    assert process.returncode == 143


def test_a_trial_is_timed_again_without_training_it(run: Run, folder: Path) -> None:
    member = min(brute_force(folder))
    again = json.loads(run("retime", "--study", "tiny", "--trial", str(member), "--cpu", "1", "--json").stdout)
    recorded, here = again["recorded"], again["here"]
    assert recorded["device_class"] == here["device_class"]
    assert 0.2 < here["train_seconds"] / recorded["train_seconds"] < 5  # another program may be busy here
    phases = [(phase["epoch"], phase["steps"]) for phase in here["phases"]]
    assert phases == [(phase["epoch"], phase["steps"]) for phase in recorded["phases"]]
    shown = run("retime", str(member), "--study", "tiny", "--cpu", "1")
    assert f"trial {member}: recorded" in shown.stdout
    assert "\nepochs " in shown.stdout
    assert shown.returncode == 0
