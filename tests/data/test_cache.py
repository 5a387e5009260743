"""Decoded images on disk, mapped into memory."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from paretosearch.data.cache import Decoded, cached
from paretosearch.data.imageset import ImageSet
from paretosearch.errors import DataError

IMAGES = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 3), dtype=np.uint8)
PARTS = {"train": np.arange(30), "validation": np.arange(30, 40), "test": np.array([49, 40])}


def decoded(images: np.ndarray = IMAGES) -> Decoded:
    return Decoded(("a", "b"), images, np.arange(len(images)) % 2, PARTS, flip=True, left_out=("x.png",))


def kept(images: np.ndarray = IMAGES, key: str = "1") -> ImageSet:
    return cached("some", "group", key, lambda _: decoded(images))


def test_what_is_read_is_what_was_written() -> None:
    for images in (kept(), kept()):
        assert (images.train.images.permute(0, 2, 3, 1).numpy() == IMAGES[:30]).all()
        assert (images.test.images.permute(0, 2, 3, 1).numpy() == IMAGES[[49, 40]]).all()
        assert images.test.labels.tolist() == [1, 0]
        assert (images.name, images.classes, images.flip, images.left_out) == ("some", ("a", "b"), True, ("x.png",))


def test_mean_and_deviation_are_those_of_the_training_split() -> None:
    images, pixels = kept(), IMAGES[:30].reshape(-1, 3) / 255
    assert images.mean == pytest.approx(pixels.mean(axis=0), abs=1e-12)
    assert images.std == pytest.approx(pixels.std(axis=0), abs=1e-12)


def test_a_constant_channel_has_a_deviation() -> None:
    constant = IMAGES.copy()
    constant[..., 1] = 77
    images = kept(constant)
    assert images.std[1] == pytest.approx(1 / 255)
    assert images.mean[1] == pytest.approx(77 / 255)


def test_chunks_do_not_change_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = kept(key="1")
    monkeypatch.setattr("paretosearch.data.cache.CHUNK_BYTES", 7 * 6 * 6 * 3)
    parted = kept(key="2")
    assert (whole.mean, whole.std) == (parted.mean, parted.std)
    assert (whole.train.images == parted.train.images).all()


def test_images_are_mapped_rather_than_copied() -> None:
    images = kept()
    address = images.train.images.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(bound, 16) for bound in line.split()[0].split("-"))
        if start <= address < end:
            assert line.endswith("train-images.npy")
            return
    pytest.fail("the images are in no mapping")


def test_writing_to_a_tensor_changes_no_file() -> None:
    kept().train.images.zero_()
    assert (kept().train.images.permute(0, 2, 3, 1).numpy() == IMAGES[:30]).all()


def test_what_a_killed_process_left_is_cleared(data_home: Path) -> None:
    (data_home / "arrays" / "group" / ".new" / "source").mkdir(parents=True)
    (data_home / "arrays" / "group" / ".new" / "train-images.npy").write_bytes(b"half")
    assert len(kept().train) == 30
    assert [entry.name for entry in (data_home / "arrays" / "group").iterdir()] == ["1"]


def test_a_damaged_array_says_what_to_delete(data_home: Path) -> None:
    kept()
    entry = data_home / "arrays" / "group" / "1"
    (entry / "train-images.npy").write_bytes((entry / "train-images.npy").read_bytes()[:200])
    with pytest.raises(DataError, match=rf"^some: {entry} is damaged \(.*\); delete this folder and try again$"):
        kept()
    (entry / "facts.json").unlink()
    with pytest.raises(DataError, match="is damaged"):
        kept()


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PARETOSEARCH_DATA", str(tmp_path / "file" / "home"))
    with pytest.raises(
        DataError, match=r"^cannot keep the images of some under .*: Not a directory; set PARETOSEARCH_D"
    ):
        kept()


@contextmanager
def room_for(size: int) -> Iterator[None]:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_leaves_nothing(data_home: Path) -> None:
    with room_for(1000), pytest.raises(DataError, match="cannot keep the images of some under .*: File too large; set"):
        kept()
    assert not list((data_home / "arrays" / "group").iterdir())
    assert len(kept().train) == 30
