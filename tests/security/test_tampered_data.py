"""S10: data that is not what it was is used by nobody, and an archive writes where it should."""

from __future__ import annotations

import gzip
import hashlib
import io
import pickle
import struct
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from torchvision import datasets

from paretosearch import data
from paretosearch.data import archives, known, sources
from paretosearch.errors import DataError

NoteAttacks = Callable[[int, str, int, int, str], None]

CIFARS = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home for data, and no source but what a test makes one."""
    monkeypatch.setenv("PARETOSEARCH_DATA", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path / "usr")
    for kind in (datasets.MNIST, datasets.FashionMNIST):
        monkeypatch.setattr(kind, "mirrors", ["http://127.0.0.1:9/"])
    for kind in (datasets.CIFAR10, datasets.CIFAR100):
        monkeypatch.setattr(kind, "url", "http://127.0.0.1:9/x.tar.gz")
    unreachable = {half: ["http://127.0.0.1:9/x", *row[1:]] for half, row in datasets.SVHN.split_list.items()}
    monkeypatch.setattr(datasets.SVHN, "split_list", unreachable)
    return tmp_path / "home"


def sum_of(content: bytes, kind: str) -> str:
    return hashlib.new(kind, content, usedforsecurity=False).hexdigest()


def mnist_files() -> dict[str, bytes]:
    files = {}
    for half, count in (("train", 200), ("t10k", 30)):
        labels = (np.arange(count) % 10).astype("u1").tobytes()
        files[f"{half}-images-idx3-ubyte"] = struct.pack(">IIII", 0x803, count, 28, 28) + bytes(count * 784)
        files[f"{half}-labels-idx1-ubyte"] = struct.pack(">II", 0x801, count) + labels
    return files


def cifar_files(kind: Any) -> dict[str, bytes]:
    key = "labels" if kind is datasets.CIFAR10 else "fine_labels"
    classes = 10 if kind is datasets.CIFAR10 else 100
    batch = {"data": np.zeros((4 * classes, 3072), np.uint8), key: 4 * list(range(classes))}
    names = [name for name, _ in [*kind.train_list, *kind.test_list]]
    meta = {kind.meta["key"]: [str(number) for number in range(classes)]}
    return {**{name: pickle.dumps(batch, 2) for name in names}, kind.meta["filename"]: pickle.dumps(meta, 2)}


def svhn_files() -> dict[str, bytes]:
    from scipy.io import savemat

    files = {}
    for name in ("train_32x32.mat", "test_32x32.mat"):
        file = io.BytesIO()
        savemat(file, {"X": np.zeros((32, 32, 3, 20), np.uint8), "y": np.arange(20, dtype="u1")[:, None] % 10})
        files[name] = file.getvalue()
    return files


def place(home: Path, name: str, files: dict[str, bytes]) -> Path:
    """Put files where a kept copy of a data set is."""
    folder = known.KNOWN[name].folder(home / "files" / name)
    folder.mkdir(parents=True, exist_ok=True)
    for file, content in files.items():
        (folder / file).write_bytes(content)
    return folder


#: Names of the data sets whose every file has a SHA-256, with what makes such files.
SETS: dict[str, Callable[[], dict[str, bytes]]] = {
    "fashion-mnist": mnist_files,
    "mnist": mnist_files,
    "cifar10": lambda: cifar_files(datasets.CIFAR10),
    "svhn": svhn_files,
}


def pin(name: str, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """Make these the right files of a set, for us and for torchvision."""
    for file, content in files.items():
        if known.KNOWN[name].sha256:
            monkeypatch.setitem(known.KNOWN[name].sha256, file, sum_of(content, "sha256"))  # type: ignore[arg-type]
    if name in CIFARS:
        pin_md5(CIFARS[name], files, monkeypatch)
    if name == "svhn":
        listed = {
            half: [*row[:2], sum_of(files[row[1]], "md5")]
            for half, row in datasets.SVHN.split_list.items()
            if row[1] in files
        }
        monkeypatch.setattr(datasets.SVHN, "split_list", {**datasets.SVHN.split_list, **listed})


def pin_md5(kind: Any, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    for parts in ("train_list", "test_list"):
        monkeypatch.setattr(kind, parts, [[file, sum_of(files[file], "md5")] for file, _ in getattr(kind, parts)])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sum_of(files[kind.meta["filename"]], "md5")})


@pytest.mark.parametrize("name", [*SETS, "cifar100"])
def test_a_kept_copy_of_which_a_bit_was_changed_is_refused(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    files = SETS[name]() if name in SETS else cifar_files(datasets.CIFAR100)
    pin(name, files, monkeypatch)
    folder = place(home, name, files)
    for file, content in files.items():
        for at in (0, len(content) // 2, len(content) - 1):
            bad = bytearray(content)
            bad[at] ^= 1
            (folder / file).write_bytes(bad)
            with pytest.raises(DataError, match="its SHA-256 is wrong|corrupted|is damaged"):
                data.load(name)
            assert not (home / "arrays" / f"{name}-32px" / "1").exists()
        (folder / file).write_bytes(content)
    assert len(data.load(name).classes) in (10, 100)  # it was the bit
    note_attacks(10, "accepted", 0, 3 * len(files), "tampered files")


@pytest.mark.parametrize("name", SETS)
def test_files_whose_md5_alone_is_right_are_refused(
    name: str, home: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    """Two files of one MD5 are made in seconds; the second of a given file's is not yet, and need not be waited for."""
    files = SETS[name]()
    with pytest.MonkeyPatch.context() as patched:
        pin(name, files, patched)
        sums = {file: known.KNOWN[name].sha256[file] for file in files}
    assert all(len(value) == 64 and value != sums[file] for file, value in known.KNOWN[name].sha256.items())
    if name in CIFARS:
        pin_md5(CIFARS[name], files, monkeypatch)
    place(home, name, files)
    with pytest.raises(DataError, match="its SHA-256 is wrong"):
        data.load(name)
    note_attacks(10, "accepted", 0, 1, "tampered files")


def archive(path: Path, members: dict[str, bytes], *more: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for member in more:
            tar.addfile(member, io.BytesIO(bytes(member.size)) if member.isreg() else None)
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = kind, target
    return made


def unsafe(outside: Path) -> Iterator[tarfile.TarInfo]:
    """Members that write, or let another write, outside of the folder."""
    for name in (str(outside / "new"), "../outside/new", "a/../../outside/new", "./../outside/new", ".."):
        yield member(name)
    for target in (str(outside), "../outside", "/etc"):
        yield member("link", tarfile.SYMTYPE, target)
        yield member("link", tarfile.LNKTYPE, f"{target}/secret")
    yield member("cifar-10-batches-py", tarfile.SYMTYPE, str(outside))
    yield member("cifar-10-batches-py/data_batch_1", tarfile.SYMTYPE, str(outside / "secret"))
    yield member("cifar-10-batches-py/data_batch_1", tarfile.LNKTYPE, str(outside / "secret"))
    yield member("device", tarfile.CHRTYPE)
    yield member("pipe", tarfile.FIFOTYPE)


def test_an_archive_with_links_or_paths_that_lead_elsewhere_is_refused(
    tmp_path: Path, note_attacks: NoteAttacks
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_text("keep out")
    good = {f"cifar-10-batches-py/{name}": b"x" for name in ("data_batch_1", "batches.meta")}
    count = 0
    for number, bad in enumerate(unsafe(outside)):
        packed = archive(tmp_path / f"{number}.tar.gz", good, bad)
        with pytest.raises((ValueError, FileExistsError)):
            archives.take(packed, list(good), tmp_path / f"in-{number}")
        assert [(path.name, path.read_text()) for path in outside.iterdir()] == [("secret", "keep out")]
        count += 1
    archives.take(archive(tmp_path / "good.tar.gz", good), list(good), tmp_path / "in")
    assert {path.name for path in (tmp_path / "in").iterdir()} == {"data_batch_1", "batches.meta"}
    note_attacks(10, "accepted", 0, count, "tampered files")
    note_attacks(4, "files outside root", 0, count, "names and links")


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve the files of a folder to this machine; gives the address of the folder."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize("name", CIFARS)
def test_an_archive_whose_sha256_is_wrong_is_not_opened(
    name: str, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    kind = CIFARS[name]
    files = cifar_files(kind)
    pin(name, files, monkeypatch)
    packed = archive(tmp_path / kind.filename, {f"{kind.base_folder}/{file}": x for file, x in files.items()})
    monkeypatch.setattr(kind, "tgz_md5", sum_of(packed.read_bytes(), "md5"))
    with served(tmp_path) as address:
        monkeypatch.setattr(kind, "url", f"{address}/{packed.name}")
        with pytest.raises(DataError, match=rf"{kind.filename} is damaged or changed: its SHA-256 is wrong"):
            data.load(name)
        assert not list(home.rglob(kind.meta["filename"]))
        monkeypatch.setitem(known.ARCHIVE_SHA256, name, sum_of(packed.read_bytes(), "sha256"))
        assert len(data.load(name).classes) in (10, 100)  # it was the sum
    note_attacks(10, "accepted", 0, 1, "tampered files")


def test_a_file_that_unpacks_to_more_than_any_of_ours_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, note_attacks: NoteAttacks
) -> None:
    monkeypatch.setattr(archives, "MOST_BYTES", 1 << 20)
    (tmp_path / "bomb.gz").write_bytes(gzip.compress(bytes(1 << 23)))
    with pytest.raises(ValueError, match="holds more than 1048576 bytes"):
        archives.unzip(tmp_path / "bomb.gz", tmp_path / "bomb")
    assert (tmp_path / "bomb").stat().st_size <= 2 << 20
    big = member("cifar-10-batches-py/data_batch_1")
    big.size = 1 << 23
    packed = archive(tmp_path / "big.tar.gz", {}, big)
    with pytest.raises(ValueError, match="of 8388608 bytes, and 1048576 are the most"):
        archives.take(packed, [big.name], tmp_path / "in")
    note_attacks(10, "accepted", 0, 2, "tampered files")


def test_what_is_fetched_without_encryption_has_a_sum_of_ours() -> None:
    """A server that speaks no HTTPS may be anybody."""
    for name, kind in (("fashion-mnist", "FashionMNIST"), ("mnist", "MNIST"), ("svhn", "SVHN")):
        assert known.KNOWN[name].reader == kind
        assert all(len(value) == 64 for value in known.KNOWN[name].sha256.values())
    assert set(known.ARCHIVE_SHA256) == set(CIFARS)
