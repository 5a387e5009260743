"""S1: a file that is read as numbers runs nothing."""

import builtins
import hashlib
import io
import os
import pickle
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.datasets

from paretosearch import data
from paretosearch.api.fronts import chosen_recipe
from paretosearch.data import known, sources
from paretosearch.data.pickles import check_pickle
from paretosearch.errors import ParetosearchError
from paretosearch.fleet import spool
from paretosearch.studyfile import load
from paretosearch.testing.images import image_folder

NoteAttacks = Callable[[int, str, int, int, str], None]


class Runs:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.call


@pytest.fixture
def mark(tmp_path: Path) -> Path:
    """A file that is there if a payload was run."""
    return tmp_path / "mark"


def payloads(mark: Path) -> dict[str, Runs]:
    """Calls that leave the mark, by several ways of naming what is called."""
    return {
        "os.system": Runs(os.system, f"touch {mark}"),
        "builtins.exec": Runs(builtins.exec, f"open({str(mark)!r}, 'w').close()"),
        "builtins.eval": Runs(builtins.eval, f"open({str(mark)!r}, 'w').close()"),
        "subprocess.Popen": Runs(subprocess.Popen, ["touch", str(mark)]),
        "io.open": Runs(io.open, str(mark), "w"),
        "os.mkdir": Runs(os.mkdir, str(mark)),
    }


def numbered(mark: Path) -> Iterator[tuple[str, Any]]:
    """Every payload alone, and where the numbers of a checkpoint are expected."""
    for name, payload in payloads(mark).items():
        yield name, payload
        yield f"{name} in a model", {"model": {"weight": torch.zeros(2)}, "epoch": payload}


def test_the_payloads_work(mark: Path) -> None:
    """What follows would prove nothing if nobody could run them."""
    for name, payload in payloads(mark).items():
        result = pickle.loads(pickle.dumps(payload))
        if isinstance(result, subprocess.Popen):
            result.wait(10)
        if isinstance(result, io.IOBase):
            result.close()
        assert mark.exists(), name
        mark.rmdir() if mark.is_dir() else mark.unlink()


def torch_files(folder: Path, mark: Path) -> Iterator[Path]:
    """Write each payload in every format that torch reads."""
    for number, (_, value) in enumerate(numbered(mark)):
        zipped, old, bare = (folder / f"{number}.{kind}" for kind in ("zip", "old", "bare"))
        torch.save(value, zipped)
        torch.save(value, old, _use_new_zipfile_serialization=False)
        bare.write_bytes(pickle.dumps(value, protocol=2))
        yield from (zipped, old, bare)


def test_a_checkpoint_with_a_payload_is_refused_by_the_flag_that_all_loaders_must_have(
    mark: Path, tmp_path: Path, note_attacks: NoteAttacks
) -> None:
    files = list(torch_files(tmp_path, mark))
    for file in files:
        with pytest.raises(pickle.UnpicklingError):
            torch.load(file, weights_only=True)
        assert not mark.exists(), file
    assert tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 6)  # before, the flag had a hole
    note_attacks(1, "executions", 0, len(files), "payloads")


@pytest.mark.filterwarnings("ignore")  # what writes a script is on its way out, and torch says what it is
def test_a_script_in_place_of_a_checkpoint_is_refused(tmp_path: Path) -> None:
    torch.jit.script(torch.nn.Linear(1, 1)).save(str(tmp_path / "script.pt"))
    with pytest.raises(RuntimeError, match="TorchScript"):
        torch.load(tmp_path / "script.pt", weights_only=True)


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path]:
    """A data set that is decoded, and the folder of its arrays."""
    monkeypatch.setenv("PARETOSEARCH_DATA", str(tmp_path / "home"))
    name = f"folder:{image_folder(tmp_path / 'set', classes=2, per_class=10)}"
    data.load(name)
    return name, next((tmp_path / "home" / "arrays").glob("folder-*/1.*"))


def test_an_array_with_a_payload_is_refused(cached: tuple[str, Path], mark: Path, note_attacks: NoteAttacks) -> None:
    name, folder = cached
    count = 0
    for payload in payloads(mark).values():
        for part in ("train-images", "train-labels", "test-labels"):
            good = (folder / f"{part}.npy").read_bytes()
            objects = io.BytesIO()
            np.save(objects, np.array([payload], dtype=object), allow_pickle=True)
            for bad in (objects.getvalue(), pickle.dumps(payload)):
                (folder / f"{part}.npy").write_bytes(bad)
                with pytest.raises(ParetosearchError, match="is damaged"):
                    data.load(name)
                assert not mark.exists()
                count += 1
            (folder / f"{part}.npy").write_bytes(good)
    data.load(name)
    note_attacks(1, "executions", 0, count, "payloads")


def keep(kind: Any, root: Path, bad: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make a kept copy of a CIFAR of payloads whose every sum is right."""
    name = "cifar100" if kind is torchvision.datasets.CIFAR100 else "cifar10"
    folder = root / "files" / name / kind.base_folder
    folder.mkdir(parents=True)
    md5 = hashlib.md5(bad).hexdigest()
    for file, _ in [*kind.train_list, *kind.test_list, (kind.meta["filename"], "")]:
        (folder / file).write_bytes(bad)
        if name == "cifar10":
            monkeypatch.setitem(known.CIFAR10_SHA256, file, hashlib.sha256(bad).hexdigest())
    for parts in ("train_list", "test_list"):
        monkeypatch.setattr(kind, parts, [[file, md5] for file, _ in getattr(kind, parts)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": md5})


@pytest.mark.parametrize("kind", [torchvision.datasets.CIFAR10, torchvision.datasets.CIFAR100])
def test_a_data_set_with_a_payload_is_not_even_unpickled(
    kind: Any, mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    monkeypatch.setattr(kind, "url", "http://127.0.0.1:9/x.tar.gz")
    count = 0
    for number, payload in enumerate(payloads(mark).values()):
        for protocol in (0, 1, 2, 4):
            root = tmp_path / f"{number}-{protocol}"
            monkeypatch.setenv("PARETOSEARCH_DATA", str(root))
            value = {"data": payload, "labels": [0]}
            with pytest.MonkeyPatch.context() as patched:
                keep(kind, root, pickle.dumps(value, protocol=protocol), patched)
                with pytest.raises(ParetosearchError, match=r"would call '.*' when it is read"):
                    data.load("cifar100" if "100" in kind.__name__ else "cifar10")
            assert not mark.exists()
            count += 1
    note_attacks(1, "executions", 0, count, "payloads")


@pytest.mark.parametrize("protocol", [2, 3])
def test_the_pickles_of_numbers_pass(tmp_path: Path, protocol: int) -> None:
    value = {"data": np.zeros((4, 3072), np.uint8), "labels": [0, 1], "filenames": ["a.png"]}
    (tmp_path / "batch").write_bytes(pickle.dumps(value, protocol=protocol))
    check_pickle(tmp_path / "batch")


def test_a_pickle_in_place_of_a_text_is_refused(
    mark: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path)
    count = 0
    for payload in payloads(mark).values():
        for protocol in (0, 4):
            for name in ("5.json", "study.toml", "recipe.json"):
                (tmp_path / name).write_bytes(pickle.dumps(payload, protocol=protocol))
            outcome = spool.read(tmp_path, 5)
            assert outcome is not None
            assert outcome.status == "failed"
            with pytest.raises(ParetosearchError):
                load(str(tmp_path / "study.toml"))
            with pytest.raises(ParetosearchError):
                chosen_recipe(tmp_path / "recipe.json", None, None, None, None)
            assert not mark.exists()
            count += 3
    note_attacks(1, "executions", 0, count, "payloads")
