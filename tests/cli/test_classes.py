"""The commands that look at a study with results on several classes of device."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from paretosearch.space import Space
from paretosearch.store import open_store
from paretosearch.testing.commands import environment
from paretosearch.testing.store.builders import CPU, complete, recipe, study_record

WIDE = replace(CPU, uuid="cpu-here-1", cores=(2, 3, 4, 5))
Front = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Front:
    """Make a study whose one trial was trained on two cores, and timed again on four; gives its command `front`."""
    home = tmp_path_factory.mktemp("classes")
    url = f"sqlite:///{home}/study.db"
    with closing(open_store(url)) as store:
        store.add_study(replace(study_record("mixed"), space={"declared": Space({}, {}).to_plain()}))
        for device, purpose, seconds in ((CPU, "search", 10.0), (WIDE, "replay", 6.0)):
            store.add_device(device)
            attempt = store.start_attempt("mixed", 0, device, recipe(), purpose)
            store.finish_attempt(attempt, complete(seconds, 0.9))
            store.record_front("mixed", 0, device.device_class)
    return lambda *options: run(home, url, *options)


def run(home: Path, url: str, *options: str, command: str = "front") -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "paretosearch", command, "--storage", url, *options]
    env = {**environment(home), "COLUMNS": "80"}
    return subprocess.run(line, cwd=home, env=env, capture_output=True, text=True, timeout=120, check=False)


def test_a_front_names_the_others_and_a_part_of_a_name_shows_one(front: Front) -> None:
    own, other = front().stdout, front("--device-class", "x4").stdout
    assert ("10.00" in own, "6.00" in own) == (True, False)
    assert "--device-class x4" in own
    assert ("10.00" in other, "6.00" in other) == (False, True)
    assert "--device-class x2" in other


def test_rows_for_programs_have_their_class(front: Front) -> None:
    [row] = json.loads(front("--json", "--device-class", "x4").stdout)
    assert (row["device_class"], row["train_seconds"]) == ("cpu:Some CPUx4", 6.0)
    heading, line = front("--csv").stdout.splitlines()
    assert dict(zip(heading.split(","), line.split(","), strict=False))["device_class"] == "cpu:Some CPUx2"


def test_what_may_be_several_classes_is_a_wrong_option(front: Front) -> None:
    ended = front("--device-class", "CPU")
    assert ended.returncode == 2
    assert "'CPU' may be any of cpu:Some CPUx2, cpu:Some CPUx4; name more of the one you mean" in ended.stderr


def test_results_on_another_class_alone_are_shown_and_picked_there_and_pointed_at_elsewhere(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/study.db"
    with closing(open_store(url)) as store:
        store.add_study(replace(study_record("elsewhere"), space={"declared": Space({}, {}).to_plain()}))
        for device in (CPU, WIDE):
            store.add_device(device)
        store.start_attempt("elsewhere", 1, CPU, recipe())
        attempt = store.start_attempt("elsewhere", 0, WIDE, recipe())
        store.finish_attempt(attempt, complete(6.0, 0.9))
        store.record_front("elsewhere", 0, WIDE.device_class)
    for command, bound in (("front", ()), ("pick", ("--accuracy", "80%"))):
        refused = run(tmp_path, url, *bound, command=command)
        assert (refused.returncode, "--device-class x4 has some" in refused.stderr) == (2, True), refused.stderr
        shown = run(tmp_path, url, *bound, "--device-class", "x4", command=command)
        assert (shown.returncode, "6.0" in shown.stdout) == (0, True), shown.stderr
