"""Ctrl-C ends a command with one word, at any moment."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from paretosearch.testing.commands import environment

#: Sends Ctrl-C as soon as somebody imports a module, or in a place where Python ignores what is raised.
PROGRAM = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
module, sys.argv = sys.argv[1], ["paretosearch", *sys.argv[2:]]

class Interrupted:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

class Finder:
    def find_spec(name, path=None, target=None):
        if name == module.removeprefix("ignored:"):
            if module == name:
                os.kill(os.getpid(), signal.SIGINT)
            else:
                Interrupted()

sys.meta_path.insert(0, Finder)
from paretosearch.__main__ import main
main()
"""


def interrupted(folder: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM, module, *arguments]
    env = environment(folder)
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=100, check=False)


@pytest.mark.parametrize("module", ["paretosearch.cli", "typer", "sqlalchemy", "ignored:rich.table"])
def test_ctrl_c_while_modules_are_imported_says_one_word(tmp_path: Path, module: str) -> None:
    result = interrupted(tmp_path, module, "front")
    assert (result.returncode, result.stdout, result.stderr.split()) == (130, "", ["stopped"])


def test_ctrl_c_while_a_training_is_prepared_leaves_no_folder(folder: Path) -> None:
    (folder / "ok.json").write_text('{"dataset": "folder:images", "network": "convnet"}')
    result = interrupted(folder, "torch", "train", "ok.json", "--cpu", "1", "--out", "stopped/here")
    assert result.returncode == 130
    assert result.stderr.strip().splitlines()[-1] == "stopped; nothing was kept"
    assert "Traceback" not in result.stderr
    assert not (folder / "stopped").exists()


def test_ctrl_c_while_a_worker_trains_leaves_no_folder(folder: Path) -> None:
    (folder / "long.json").write_text(
        f'{{"dataset": "folder:{folder}/images", "network": "convnet", "batch_size": 16, "epochs": 9999}}'
    )
    command = [sys.executable, "-c", PROGRAM, "nothing", "train", "long.json", "--cpu", "1", "--out", "none"]
    start = subprocess.Popen(command, cwd=folder, env=environment(folder), stderr=subprocess.PIPE, text=True)
    with start as process:
        assert process.stderr is not None
        lines = [process.stderr.readline() for _ in range(4)]
        os.kill(process.pid, signal.SIGINT)
        *_, last = process.stderr
    assert [line.split()[0] for line in lines] == ["convnet", "preparing", "starting", "epoch"]
    assert last == "stopped; nothing was kept\n"
    assert process.returncode == 130
    assert not (folder / "none").exists()
