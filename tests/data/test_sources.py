"""Where the files of a data set come from, with small files in each one's true format."""

import gzip
import hashlib
import io
import pickle
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets

from paretosearch import data
from paretosearch.data import debian, known, sources
from paretosearch.errors import DataError

TRAIN, TEST = 200, 30


@dataclass
class Server:
    """A web server on this machine."""

    folder: Path
    address: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "www").mkdir()
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(f"{self.command} {self.path}")

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(tmp_path / "www")))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield Server(tmp_path / "www", f"http://127.0.0.1:{httpd.server_port}", asked)
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def pixels(count: int, size: int, channels: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, size, size, channels), dtype=np.uint8)


def labels(count: int, classes: int) -> np.ndarray:
    return (np.arange(count) * 7) % classes


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def idx_files() -> dict[str, bytes]:
    """The four files of an MNIST: a magic number with type and dimensions, the sizes, the bytes."""
    files = {}
    for half, count in (("train", TRAIN), ("t10k", TEST)):
        files[f"{half}-images-idx3-ubyte"] = struct.pack(">IIII", 0x803, count, 28, 28) + pixels(count, 28, 1).tobytes()
        files[f"{half}-labels-idx1-ubyte"] = struct.pack(">II", 0x801, count) + labels(count, 10).astype("u1").tobytes()
    return files


def serve_mnist(kind: type, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, content in idx_files().items():
        (server.folder / f"{name}.gz").write_bytes(gzip.compress(content))
    resources = [(name, md5(server.folder / name)) for name, _ in kind.resources]  # type: ignore[attr-defined]
    monkeypatch.setattr(kind, "mirrors", [f"{server.address}/"])
    monkeypatch.setattr(kind, "resources", resources)
    for name, content in idx_files().items():
        for sums in (known.FASHION_MNIST_SHA256, known.MNIST_SHA256):
            monkeypatch.setitem(sums, name, hashlib.sha256(content).hexdigest())


def serve_cifar(kind: type, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A CIFAR: pickled dictionaries of (N, 3 * 32 * 32) bytes, plane by plane, in one archive."""
    wide = kind is torchvision.datasets.CIFAR100
    classes, key = (100, "fine_labels") if wide else (10, "labels")
    train, test = pixels(TRAIN, 32, 3), pixels(TEST, 32, 3)
    files: dict[str, object] = {kind.meta["filename"]: {kind.meta["key"]: [f"class {k}" for k in range(classes)]}}  # type: ignore[attr-defined]
    names = [name for name, _ in kind.train_list]  # type: ignore[attr-defined]
    for name, some, its_labels in zip(
        names, np.split(train, len(names)), np.split(labels(TRAIN, classes), len(names)), strict=True
    ):
        files[name] = {"data": some.transpose(0, 3, 1, 2).reshape(len(some), -1), key: its_labels.tolist()}
    test_name = kind.test_list[0][0]  # type: ignore[attr-defined]
    files[test_name] = {"data": test.transpose(0, 3, 1, 2).reshape(TEST, -1), key: labels(TEST, classes).tolist()}
    sums = {}
    archive = server.folder / kind.filename  # type: ignore[attr-defined]
    with tarfile.open(archive, "w:gz") as tar:
        for name, content in files.items():
            packed = pickle.dumps(content, protocol=2)
            sums[name] = hashlib.md5(packed).hexdigest()
            if not wide:
                monkeypatch.setitem(known.CIFAR10_SHA256, name, hashlib.sha256(packed).hexdigest())
            member = tarfile.TarInfo(f"{kind.base_folder}/{name}")  # type: ignore[attr-defined]
            member.size = len(packed)
            tar.addfile(member, io.BytesIO(packed))
    name = "cifar100" if wide else "cifar10"
    monkeypatch.setitem(known.ARCHIVE_SHA256, name, hashlib.sha256(archive.read_bytes()).hexdigest())
    monkeypatch.setattr(kind, "url", f"{server.address}/{archive.name}")
    monkeypatch.setattr(kind, "tgz_md5", md5(archive))
    monkeypatch.setattr(kind, "train_list", [[name, sums[name]] for name in names])
    monkeypatch.setattr(kind, "test_list", [[test_name, sums[test_name]]])
    monkeypatch.setattr(kind, "meta", {**kind.meta, "md5": sums[kind.meta["filename"]]})  # type: ignore[attr-defined]


def serve_svhn(kind: type, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The SVHN: MATLAB files of (32, 32, 3, N) bytes, in which the digit 0 has the label 10."""
    from scipy.io import savemat

    listed = dict(kind.split_list)  # type: ignore[attr-defined]
    for half, count in (("train", TRAIN), ("test", TEST)):
        path = server.folder / f"{half}_32x32.mat"
        digits = labels(count, 10)
        matrix = {"X": pixels(count, 32, 3).transpose(1, 2, 3, 0), "y": np.where(digits == 0, 10, digits)[:, None]}
        savemat(path, {**matrix, "y": matrix["y"].astype("u1")}, do_compression=True)
        listed[half] = [f"{server.address}/{path.name}", path.name, md5(path)]
        monkeypatch.setitem(known.SVHN_SHA256, path.name, hashlib.sha256(path.read_bytes()).hexdigest())
    monkeypatch.setattr(kind, "split_list", listed)


@dataclass(frozen=True)
class Case:
    name: str
    kind: type
    serve: Callable[[type, Server, pytest.MonkeyPatch], None]
    size: int
    channels: int
    classes: int
    flip: bool

    def start(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self.serve(self.kind, server, monkeypatch)


sets = torchvision.datasets
CASES = [
    Case("fashion-mnist", sets.FashionMNIST, serve_mnist, 28, 1, 10, flip=True),
    Case("mnist", sets.MNIST, serve_mnist, 28, 1, 10, flip=False),
    Case("cifar10", sets.CIFAR10, serve_cifar, 32, 3, 10, flip=True),
    Case("cifar100", sets.CIFAR100, serve_cifar, 32, 3, 100, flip=True),
    Case("svhn", sets.SVHN, serve_svhn, 32, 3, 10, flip=False),
]
every_set = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
CIFAR10 = CASES[2]


@pytest.fixture(autouse=True)
def no_other_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave what each test sets up itself: nothing in /usr/share, no network, no apt."""
    monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path / "usr")
    monkeypatch.setenv("PATH", str(tmp_path))
    for case in CASES:
        if hasattr(case.kind, "mirrors"):
            monkeypatch.setattr(case.kind, "mirrors", ["http://127.0.0.1:9/"])


@every_set
def test_every_set_is_read_in_its_true_format(case: Case, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    case.start(server, monkeypatch)
    images = data.load(case.name)
    assert (images.name, len(images.classes), images.flip) == (case.name, case.classes, case.flip)
    assert images.test.labels.tolist() == labels(TEST, case.classes).tolist()
    assert np.array_equal(images.test.images.permute(0, 2, 3, 1), pixels(TEST, case.size, case.channels))
    assert (images.train.images.dtype, images.train.labels.dtype) == (torch.uint8, torch.int64)
    assert len(images.validation) == max(TRAIN // 10, case.classes)
    together = {
        image.numpy().tobytes(): int(label)
        for s in (images.train, images.validation)
        for image, label in zip(s.images, s.labels, strict=True)
    }
    expected = pixels(TRAIN, case.size, case.channels).transpose(0, 3, 1, 2)
    assert together == {
        np.ascontiguousarray(image).tobytes(): label
        for image, label in zip(expected, labels(TRAIN, case.classes).tolist(), strict=True)
    }


@every_set
def test_once_fetched_a_set_is_kept(
    case: Case, server: Server, monkeypatch: pytest.MonkeyPatch, data_home: Path
) -> None:
    case.start(server, monkeypatch)
    assert data.where(case.name) is None
    first = data.load(case.name)
    asked = len(server.asked)
    assert asked > 0
    assert data.where(case.name) == str(data_home / "files" / case.name)
    assert torch.equal(data.load(case.name).train.images, first.train.images)
    shutil.rmtree(data_home / "arrays")
    assert torch.equal(data.load(case.name).train.images, first.train.images)
    assert data.load(case.name, 16).image_size == 16
    assert len(server.asked) == asked, "it was fetched again"
    assert not list((data_home / "files").rglob("*.gz")), "archives were kept beside what they held"


@every_set
def test_files_with_a_wrong_sum_are_refused(
    case: Case, server: Server, monkeypatch: pytest.MonkeyPatch, data_home: Path
) -> None:
    with pytest.MonkeyPatch.context() as wrong:
        case.start(server, wrong)
        addresses = known.KNOWN[case.name].addresses
    for name, value in (("mirrors", [f"{server.address}/"]), ("url", addresses[0])):
        if hasattr(case.kind, name):
            monkeypatch.setattr(case.kind, name, value)
    if hasattr(case.kind, "split_list"):
        real = {half: [f"{server.address}/{row[1]}", *row[1:]] for half, row in case.kind.split_list.items()}
        monkeypatch.setattr(case.kind, "split_list", real)
    with pytest.raises(DataError, match=r"torchvision's download: .*File not found or corrupted"):
        data.load(case.name)
    assert not (data_home / "files" / case.name).exists()


def test_a_kept_copy_that_was_damaged_is_fetched_again(
    server: Server, monkeypatch: pytest.MonkeyPatch, data_home: Path
) -> None:
    for case in (CASES[0], CIFAR10):
        case.start(server, monkeypatch)
        before = data.load(case.name).train.images.clone()
        file = next(
            f for f in sorted((data_home / "files" / case.name).rglob("*")) if f.stat().st_size > 20_000 and f.is_file()
        )
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        shutil.rmtree(data_home / "arrays")
        assert torch.equal(data.load(case.name).train.images, before)


def test_a_copy_in_the_layout_of_torchvision_is_used(
    server: Server, monkeypatch: pytest.MonkeyPatch, data_home: Path
) -> None:
    CIFAR10.start(server, monkeypatch)
    sets.CIFAR10(root=str(data_home / "files" / "cifar10"), download=True)
    server.asked.clear()
    assert len(data.load("cifar10").test) == TEST
    assert server.asked == []


def pack_for_debian(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.mkdir(parents=True)
    for name, content in idx_files().items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content, mtime=0))
        monkeypatch.setitem(known.FASHION_MNIST_SHA256, name, hashlib.sha256(content).hexdigest())


def test_the_files_of_an_installed_debian_package_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pack_for_debian(tmp_path / "usr" / "fashion-mnist", monkeypatch)
    assert data.where("fashion-mnist") == str(tmp_path / "usr" / "fashion-mnist")
    images = data.load("fashion-mnist")
    assert np.array_equal(images.test.images.permute(0, 2, 3, 1), pixels(TEST, 28, 1))


def test_a_damaged_debian_file_is_refused_and_the_next_source_tried(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    pack_for_debian(tmp_path / "usr" / "fashion-mnist", monkeypatch)
    file = tmp_path / "usr" / "fashion-mnist" / "t10k-labels-idx1-ubyte.gz"
    file.write_bytes(gzip.compress(gzip.decompress(file.read_bytes())[:-1] + b"\x00"))
    with pytest.raises(DataError, match=r"usr/fashion-mnist: t10k-labels-idx1-ubyte is damaged or changed"):
        data.load("fashion-mnist")
    serve_mnist(sets.FashionMNIST, server, monkeypatch)
    assert len(data.load("fashion-mnist").test) == TEST


def test_without_any_source_one_line_names_each_with_its_reason(data_home: Path) -> None:
    with pytest.raises(DataError) as caught:
        data.load("fashion-mnist")
    message = str(caught.value)
    assert "\n" not in message
    assert f"{data_home}/files/fashion-mnist: no copy there; " in message
    assert "usr/fashion-mnist: [Errno 2] No such file" in message
    assert "torchvision's download: <urlopen error [Errno 111] Connection refused>; " in message
    assert "Debian's dataset-fashion-mnist: this machine has no apt-get)" in message
    assert message.endswith(f"copy a folder that torchvision's FashionMNIST reads to {data_home}/files/fashion-mnist")
    assert caught.value.exit_code == 4


def test_a_server_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "ANSWER_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setattr(sets.CIFAR10, "url", f"http://127.0.0.1:{deaf.getsockname()[1]}/x.tar.gz")
        started = time.monotonic()
        with pytest.raises(DataError, match="torchvision's download: (no answer in 0.3 s|timed out|<urlopen)"):
            data.load("cifar10")
        assert time.monotonic() - started < 3


def test_a_download_that_stalls_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "STALL_SECONDS", 0.3)
    over = threading.Event()

    class Stalling(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"x")
            over.wait(20)

        def do_HEAD(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as httpd:
        threading.Thread(target=httpd.serve_forever, daemon=True).start()
        monkeypatch.setattr(sets.CIFAR10, "url", f"http://127.0.0.1:{httpd.server_port}/x.tar.gz")
        started = time.monotonic()
        with pytest.raises(DataError, match="torchvision's download: .*timed out"):
            data.load("cifar10")
        assert time.monotonic() - started < 5
        over.set()
        httpd.shutdown()
    assert socket.getdefaulttimeout() is None


def test_two_that_fetch_at_once_fetch_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    CIFAR10.start(server, monkeypatch)
    found: list[data.ImageSet] = []
    threads = [
        threading.Thread(target=lambda size=size: found.append(data.load("cifar10", size))) for size in (32, 24, 32)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(images.image_size for images in found) == [24, 32, 32]
    assert sum(line.startswith("HEAD") for line in server.asked) == 1  # we ask once a fetch, torchvision twice


def test_another_size_is_resized_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    CIFAR10.start(server, monkeypatch)
    half = data.load("cifar10", 16).test.images.float()
    assert half.shape == (TEST, 3, 16, 16)
    tent = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8  # the linear filter, widened for a result of half the size
    whole = data.load("cifar10").test.images.float().reshape(-1, 1, 32, 32)
    expected = torch.nn.functional.conv2d(whole, torch.outer(tent, tent)[None, None], stride=2, padding=1)
    difference = half - expected.view(half.shape)
    assert difference[:, :, 1:-1, 1:-1].abs().max() <= 1.01


def test_a_set_with_cached_arrays_loads_without_importing_torchvision(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    CIFAR10.start(server, monkeypatch)
    data.load("cifar10")
    script = """
        import sys
        from paretosearch import data
        assert len(data.load("cifar10").test) == 30
        assert "torchvision" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


class TestDebian:
    """The real package, through the real apt-get."""

    @pytest.fixture(autouse=True)
    def _real_path(self, monkeypatch: pytest.MonkeyPatch, no_other_source: None) -> None:
        monkeypatch.undo()
        if shutil.which("apt-get") is None:
            pytest.skip("this machine has no apt-get")

    def test_fashion_mnist_comes_from_debian(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PARETOSEARCH_DATA", str(tmp_path / "home"))
        monkeypatch.setattr(sources, "SYSTEM_FOLDER", tmp_path / "usr")
        monkeypatch.setattr(sets.FashionMNIST, "mirrors", ["http://127.0.0.1:9/"])
        line = data.fetch("fashion-mnist")
        assert line == (
            "fashion-mnist: 54000 train, 6000 validation, 10000 test images of 28x28 in 10 classes, "
            f"under {tmp_path / 'home'}"
        )
        images = data.load("fashion-mnist")
        assert images.mean == pytest.approx((0.2860,), abs=5e-4)
        assert images.std == pytest.approx((0.3530,), abs=5e-4)
        assert torch.bincount(images.validation.labels).tolist() == [600] * 10
        assert images.classes[:2] == ("T-shirt/top", "Trouser")

    def test_lists_of_packages_are_fetched_where_there_are_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "state" / "lists" / "partial").mkdir(parents=True)
        (tmp_path / "apt.conf").write_text(f'Dir::State "{tmp_path / "state"}";\n')
        monkeypatch.setenv("APT_CONFIG", str(tmp_path / "apt.conf"))
        root = debian.unpack("dataset-fashion-mnist", tmp_path / "work")
        assert (root / "usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz").is_file()

    def test_a_package_that_nobody_has_says_so(self, tmp_path: Path) -> None:
        with pytest.raises(OSError, match="no-such-package-here"):
            debian.unpack("no-such-package-here", tmp_path / "work")
