"""Where the files of a data set come from."""

from __future__ import annotations

import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from urllib.request import Request, urlopen

from filelock import FileLock

from paretosearch.data import debian
from paretosearch.data.archives import unzip
from paretosearch.data.cache import home
from paretosearch.data.known import Half, Known
from paretosearch.errors import DataError

#: Where Debian packages put data sets, below the root of the system.
DEBIAN_PLACE = "usr/share/datasets"
SYSTEM_FOLDER = Path("/", DEBIAN_PLACE)

#: Seconds in which a server must answer at all: it bounds the wait for names, too, which no socket time-out does.
ANSWER_SECONDS = 8.0

#: Seconds without a byte after which a download has failed.
STALL_SECONDS = 20.0

Halves = tuple[Half, Half]


def obtain(known: Known) -> Halves:
    """Read a data set from the first source that has it, keeping a copy of its files.

    Args:
        known: What to read.

    Returns:
        Its training and test halves.

    Raises:
        DataError: If no source has it, with the reason of each.
    """
    files = _files(known)
    files.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{files}.lock"):
        reasons = []
        for label, attempt in _attempts(known, files):
            try:
                return attempt()
            except Exception as error:  # torchvision, its servers and its formats fail in a dozen classes of error
                reasons.append(f"{label}: {_brief(error)}")
    raise DataError(
        f"{known.name} is not to be had ({'; '.join(reasons)}); fetch it where there is a network, or copy a folder "
        f"that torchvision's {known.reader} reads to {files}"
    )


def find(known: Known) -> Path | None:
    """Say which folder of this machine has the files, without reading them; None if no folder has.

    Args:
        known: What to look for.
    """
    places = [_files(known), *([SYSTEM_FOLDER / known.name] if known.debian_package else [])]
    return next((place for place in places if place.is_dir()), None)


def _files(known: Known) -> Path:
    return home() / "files" / known.name


def _attempts(known: Known, files: Path) -> Iterator[tuple[str, Callable[[], Halves]]]:
    yield str(files), lambda: _read_copy(known, files)
    if known.debian_package:
        folder = SYSTEM_FOLDER / known.name
        yield str(folder), lambda: _fetch(known, files, lambda root: _unzip(known, folder, root))
    yield "torchvision's download", lambda: _fetch(known, files, lambda root: _download(known, root))
    if known.debian_package:
        yield (
            f"Debian's {known.debian_package}",
            lambda: _fetch(known, files, lambda root: _unpack_debian(known, root)),
        )


def _read_copy(known: Known, root: Path) -> Halves:
    if not root.is_dir():
        raise FileNotFoundError("no copy there")
    known.check(root)
    return known.read(root, "train"), known.read(root, "test")


def _fetch(known: Known, files: Path, fill: Callable[[Path], None]) -> Halves:
    """Fill a new folder, read it, then put it in its place."""
    scratch = files.with_name(f".{files.name}.new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    try:
        fill(scratch)
        halves = _read_copy(known, scratch)
        for archive in scratch.rglob("*.gz"):
            archive.unlink()
        shutil.rmtree(files, ignore_errors=True)
        scratch.rename(files)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return halves


def _unzip(known: Known, folder: Path, root: Path) -> None:
    known.folder(root).mkdir(parents=True)
    for name in known.sha256:
        unzip(folder / f"{name}.gz", known.folder(root) / name)


def _unpack_debian(known: Known, root: Path) -> None:
    assert known.debian_package is not None
    unpacked = debian.unpack(known.debian_package, root / "debian")
    _unzip(known, unpacked / DEBIAN_PLACE / known.name, root)
    shutil.rmtree(root / "debian")


def _download(known: Known, root: Path) -> None:
    _wait_for_any(known.addresses)
    with _bounded_sockets(), _bar_on_terminals_only():
        known.download(root)


def _wait_for_any(addresses: tuple[str, ...]) -> None:
    """Raise the error of the last server unless one of them answers in time."""
    answers: SimpleQueue[Exception | None] = SimpleQueue()
    for address in addresses:
        Thread(target=_ask, args=(address, answers), daemon=True).start()
    last: Exception | None = None
    for _ in addresses:
        try:
            last = answers.get(timeout=ANSWER_SECONDS)
        except Empty:
            last = TimeoutError(f"no answer in {ANSWER_SECONDS:g} s")
        if last is None:
            return
    assert last is not None
    raise last


def _ask(address: str, answers: SimpleQueue[Exception | None]) -> None:
    try:
        with urlopen(Request(address, method="HEAD"), timeout=ANSWER_SECONDS):  # noqa: S310  addresses of torchvision
            answers.put(None)
    except Exception as error:  # raised again by who asked
        answers.put(error)


@contextmanager
def _bounded_sockets() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(STALL_SECONDS)  # torchvision offers no other way
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


@contextmanager
def _bar_on_terminals_only() -> Iterator[None]:
    if sys.stderr.isatty():
        yield
        return
    with redirect_stderr(StringIO()):
        yield


def _brief(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 160 else f"{text[:157]}..."
