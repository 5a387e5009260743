"""S4: no name and no link leads out of the folder where something belongs."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from paretosearch import data
from paretosearch.data.folder import _group
from paretosearch.errors import DeviceError, LockedError, StoreError, StudyFileError
from paretosearch.files import private_file, replacing
from paretosearch.fleet import locks, spool
from paretosearch.fleet.keeping import keep
from paretosearch.fleet.locks import Lock, device_lock_folder
from paretosearch.recipe import Recipe
from paretosearch.report.cells import write_csv
from paretosearch.studyfile import load
from paretosearch.testing.commands import STUDY
from paretosearch.testing.fleet import complete
from paretosearch.testing.images import image_folder, image_set

NoteAttacks = Callable[[int, str, int, int, str], None]

NAMES = [
    "..",
    "../outside",
    "../../outside",
    "/tmp/outside",
    "a/../../outside",
    "a/b",
    ".",
    "",
    ".hidden",
    "-rf",
    "~root",
    "a\\..\\outside",
    "..\\outside",
    "%2e%2e%2foutside",
    "%2e%2e/outside",
    "..%c0%afoutside",
    "..%00",
    "a\0/../../outside",
    "a\n",
    "a b",
    "a;b",
    "$(id)",
    "ünïcödé",
    "‥",
    "．．／outside",
    "a" * 101,
    "a" * 5000,
    "CON:",
]


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder that nothing may touch, with a file in it."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret").write_text("keep out")
    return folder


def untouched(outside: Path) -> bool:
    return [(path.name, path.read_text()) for path in outside.iterdir()] == [("secret", "keep out")]


def test_a_name_that_leads_elsewhere_is_no_name_of_a_study(
    tmp_path: Path, outside: Path, note_attacks: NoteAttacks
) -> None:
    for name in NAMES:
        with pytest.raises(StoreError):
            spool.folder_for(f"sqlite:///{tmp_path}/root/my.db", name)
        (tmp_path / "study.toml").write_text(STUDY.replace('"tiny"', json.dumps(name)))
        with pytest.raises(StudyFileError, match=r"name: .* is not 1 to 100 ASCII letters"):
            load(str(tmp_path / "study.toml"))
    assert untouched(outside)
    assert {path.name for path in tmp_path.iterdir()} == {"outside", "study.toml"}
    note_attacks(4, "files outside root", 0, 2 * len(NAMES), "names and links")


def test_names_of_folders_of_images_stay_in_the_cache(tmp_path: Path, note_attacks: NoteAttacks) -> None:
    for name in NAMES:
        assert _group(tmp_path / name.replace("\0", ""), 16).isascii()
        assert Path(_group(tmp_path / name.replace("\0", ""), 16)).name == _group(tmp_path / name.replace("\0", ""), 16)
    note_attacks(4, "files outside root", 0, len(NAMES), "names and links")


def link(place: Path, target: Path) -> Path:
    place.parent.mkdir(parents=True, exist_ok=True)
    place.symlink_to(target)
    return place


def test_a_spool_that_is_a_link_is_refused(tmp_path: Path, outside: Path, note_attacks: NoteAttacks) -> None:
    link(tmp_path / "my.db.spool", outside)
    (tmp_path / "other.db.spool").mkdir()
    link(tmp_path / "other.db.spool" / "study", outside)
    for database in ("my.db", "other.db"):
        with pytest.raises(StoreError, match="cannot make the folder .*: it is a link, and must be a folder"):
            spool.folder_for(f"sqlite:///{tmp_path}/{database}", "study")
    assert untouched(outside)
    note_attacks(4, "files outside root", 0, 2, "names and links")


def test_links_in_a_spool_are_not_followed(tmp_path: Path, outside: Path, note_attacks: NoteAttacks) -> None:
    folder = spool.folder_for(f"sqlite:///{tmp_path}/my.db", "study")
    (outside / "secret").write_text(complete(1, 0.5).to_json())
    link(folder / "1.json", outside / "secret")
    found = spool.read(folder, 1)
    assert found is not None
    assert found.message == "what is in place of the Outcome cannot be read: Too many levels of symbolic links"
    (outside / "secret").write_text("keep out")
    spool.write(folder, 1, complete(2, 0.5))
    link(folder / "2.json", outside / "secret")
    spool.delete(folder, 2)
    for name in ("launcher.lock", "worker-cpu-0.log", "core.holder"):
        link(folder / name, outside / "new")
        with pytest.raises((OSError, LockedError)):
            Lock(folder / name, "this") if name.endswith("lock") else private_file(folder / name, append=True)
    assert untouched(outside)
    assert spool.read(folder, 1) == complete(2, 0.5)
    note_attacks(4, "files outside root", 0, 6, "names and links")


@pytest.mark.parametrize("made", ["folder", "fifo", "device"])
def test_what_is_no_file_in_a_spool_is_a_failure_that_says_so(tmp_path: Path, made: str) -> None:
    place = tmp_path / "1.json"
    {"folder": place.mkdir, "fifo": lambda: os.mkfifo(place), "device": lambda: place.symlink_to("/dev/zero")}[made]()
    found = spool.read(tmp_path, 1)
    assert found is not None
    assert found.status == "failed"
    assert found.message.startswith("what is in place of the Outcome cannot be read: ")
    spool.delete(tmp_path, 1)


def test_a_folder_of_locks_that_somebody_else_has_made_is_refused(
    tmp_path: Path, outside: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    monkeypatch.setattr(locks.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(locks.os, "geteuid", lambda: 4711)
    link(tmp_path / "paretosearch-4711", outside)
    with pytest.raises(DeviceError, match="it is a link, and must be a folder; remove it, or set TMPDIR"):
        device_lock_folder()
    (tmp_path / "paretosearch-4711").unlink()
    (tmp_path / "paretosearch-4711").mkdir(0o777)
    with pytest.raises(DeviceError, match="it belongs to another user; remove it, or set TMPDIR"):
        device_lock_folder()
    assert untouched(outside)
    note_attacks(4, "files outside root", 0, 2, "names and links")


def test_links_in_a_folder_to_write_to_are_replaced(tmp_path: Path, outside: Path, note_attacks: NoteAttacks) -> None:
    """As for an export into a folder that others may write to."""
    out = tmp_path / "out"
    for name in ("front.csv", "weights.pt", "recipe.json", "network.py"):
        link(out / name, outside / "secret")
    write_csv([{"a": 1}], out / "front.csv")
    model = nn.Sequential(nn.Flatten(), nn.Linear(144, 4))
    assert keep(model, Recipe("mnist", "convnet"), image_set(), out) == []
    assert untouched(outside)
    assert not any(path.is_symlink() for path in out.iterdir())
    assert torch.load(out / "weights.pt", weights_only=True)
    note_attacks(4, "files outside root", 0, 4, "names and links")


def test_a_file_that_is_being_written_has_a_name_that_nobody_can_guess(tmp_path: Path) -> None:
    names = set()
    for _ in range(10):
        with replacing(tmp_path / "front.csv"):
            names |= {path.name for path in tmp_path.glob(".front.csv.*.part")}
    assert len(names) == 10


def test_an_image_may_be_a_link_but_its_name_may_not_write_to_a_terminal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PARETOSEARCH_DATA", str(tmp_path / "home"))
    folder = image_folder(tmp_path / "set", classes=2, per_class=10)
    for number, name in enumerate(("\x1b]0;gone\x07.png", "[red]x.png", "line\nbreak.png")):
        (folder / f"class-{number % 2}" / name).write_text("no image")
    left_out = data.load(f"folder:{folder}").left_out
    assert all(name.isprintable() for name in left_out)
    assert len(left_out) == 3


@pytest.mark.parametrize("name", ["-1", "x", "1e3", "1 "])
def test_only_numbers_name_an_outcome(tmp_path: Path, name: str) -> None:
    (tmp_path / f"{name}.json").write_text("{}")
    assert list(spool.waiting(tmp_path)) == []
