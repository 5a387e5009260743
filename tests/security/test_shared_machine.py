"""S11: on a machine with other users, what a launch leaves is its user's alone, whatever the umask."""

from __future__ import annotations

import ctypes
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from paretosearch.files import is_ours_alone, private_file, private_folder, replacing
from paretosearch.fleet import spool
from paretosearch.fleet.locks import Lock
from paretosearch.store import open_store
from paretosearch.testing.fleet import complete
from paretosearch.testing.store.builders import study_record
from paretosearch.training import native

NoteAttacks = Callable[[int, str, int, int, str], None]

OTHERS = stat.S_IRWXG | stat.S_IRWXO


@pytest.fixture
def careless() -> Iterator[None]:
    """The umask of somebody who does not mind who reads and writes his files."""
    before = os.umask(0)
    yield
    os.umask(before)


@pytest.mark.usefixtures("careless")
def test_an_sqlite_database_and_what_lies_beside_it_are_its_owners_alone(
    tmp_path: Path, note_attacks: NoteAttacks
) -> None:
    url = f"sqlite:///{tmp_path}/my.db"
    folder = spool.folder_for(url, "study")
    lock = Lock(folder / "launcher.lock", "study")
    spool.write(folder, 1, complete(1, 0.5))
    with closing(open_store(url)) as store:
        store.add_study(study_record("study"))
        made = list(tmp_path.rglob("*"))
        found = [path for path in made if path.stat().st_mode & OTHERS]
    lock.release()
    names = {path.name for path in made}
    assert {"my.db", "my.db-wal", "my.db.spool", "launcher.lock", "launcher.holder", "1.json"} <= names
    assert found == []
    note_attacks(11, "world-readable", 0, len(made), "files and folders")


@pytest.mark.usefixtures("careless")
def test_a_private_file_or_folder_that_was_open_is_closed(tmp_path: Path, note_attacks: NoteAttacks) -> None:
    (tmp_path / "folder").mkdir(0o777)
    (tmp_path / "folder").chmod(0o777)
    (tmp_path / "log").write_text("old")
    (tmp_path / "log").chmod(0o666)
    (tmp_path / "new.json").write_text("old")
    private_folder(tmp_path / "folder" / "inner")
    private_folder(tmp_path / "folder")
    with private_file(tmp_path / "log", append=True) as file:
        file.write(b" and new")
    with replacing(tmp_path / "new.json", private=True) as file:
        file.write(b"{}")
    Lock(tmp_path / "folder" / "x.lock", "x").release()
    assert (tmp_path / "log").read_text() == "old and new"
    looked_at = [tmp_path / name for name in ("folder", "folder/inner", "folder/x.lock", "log", "new.json")]
    assert [path for path in looked_at if path.stat().st_mode & OTHERS] == []
    note_attacks(11, "world-readable", 0, len(looked_at), "files and folders")


def test_a_library_that_somebody_else_may_have_written_is_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler here (Debian: apt-get install gcc libc6-dev)")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    source = tmp_path / "evil.c"
    source.write_text(
        f'#include <stdio.h>\n__attribute__((constructor)) void run(void) {{ fclose(fopen("{tmp_path}/mark", "w")); }}'
    )
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(tmp_path / "evil.so"), str(source)], check=True)
    good = tmp_path / "good.c"
    good.write_text("void nothing(void) {}")
    assert isinstance(found := native.load(good, {"nothing": ()}), ctypes.CDLL), found
    (place,) = (tmp_path / "paretosearch" / "kernels").iterdir()
    assert is_ours_alone(place)
    count = 0
    for mode in (0o666, 0o622, 0o602):
        place.unlink()
        shutil.copy(tmp_path / "evil.so", place)
        place.chmod(mode)
        place.parent.chmod(0o777)
        assert isinstance(native.load(good, {"nothing": ()}), ctypes.CDLL)
        assert not (tmp_path / "mark").exists()
        assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
        assert is_ours_alone(place)
        count += 1
    place.unlink()
    place.symlink_to(tmp_path / "evil.so")
    assert isinstance(native.load(good, {"nothing": ()}), ctypes.CDLL)
    assert not (tmp_path / "mark").exists()
    ctypes.CDLL(str(tmp_path / "evil.so"))
    assert (tmp_path / "mark").exists()  # it would have been noticed
    note_attacks(1, "executions", 0, count + 1, "payloads")


def test_a_folder_of_kernels_that_belongs_to_somebody_else_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("paretosearch.files.os.geteuid", lambda: 4711)
    found = native.load(native.HEADER, {})
    assert isinstance(found, str)
    assert "it belongs to another user" in found or "there is no C compiler" in found
