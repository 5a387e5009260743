"""A data set made of a folder of image files."""

import os
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from paretosearch.data import load
from paretosearch.data.imageset import ImageSet
from paretosearch.errors import DataError


def fill(folder: Path, classes: tuple[str, ...] = ("cat", "dog"), count: int = 10, size: int = 8) -> Path:
    """Write ``count`` images per class whose red says the class and whose green says the number."""
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (size, size), (label * 50, number, 200)).save(folder / name / f"{number:03d}.png")
    return folder


def loaded(folder: Path, size: int = 8) -> ImageSet:
    return load(f"folder:{folder}", size)


def one_image(folder: Path, image: Image.Image, file: str = "odd.png", size: int = 8, **options: object) -> np.ndarray:
    """What an image, saved under a name that puts it into the third class, is decoded to (size, size, 3)."""
    fill(folder)
    for number in range(3):
        name = folder / "odd" / f"{number}{file}"
        name.parent.mkdir(exist_ok=True)
        image.save(name, **options)
    images = loaded(folder, size)
    assert images.left_out == ()
    pixels: np.ndarray = images.train.images[images.train.labels == 2][0].permute(1, 2, 0).numpy()
    return pixels


def test_a_folder_of_classes_is_divided_in_8_1_1_by_class(tmp_path: Path) -> None:
    images = loaded(fill(tmp_path / "set", count=30))
    assert images.classes == ("cat", "dog")
    assert [torch.bincount(s.labels).tolist() for s in (images.train, images.validation, images.test)] == [
        [24, 24],
        [3, 3],
        [3, 3],
    ]
    splits = [images.train, images.validation, images.test]
    seen = [
        (label, int(image[1, 0, 0])) for s in splits for image, label in zip(s.images, s.labels.tolist(), strict=True)
    ]
    assert sorted(seen) == [(label, number) for label in (0, 1) for number in range(30)]
    assert all((s.images[:, 0, 0, 0] == s.labels * 50).all() for s in splits)
    assert (images.channels, images.image_size, images.flip) == (3, 8, True)


def test_the_size_is_64_unless_a_recipe_says_otherwise(tmp_path: Path) -> None:
    assert load(f"folder:{fill(tmp_path / 'set')}").image_size == 64


@pytest.mark.parametrize("name", ["test", "val", "validation"])
def test_a_folder_set_apart_is_the_test_split(tmp_path: Path, name: str) -> None:
    fill(tmp_path / "set" / "train", count=20)
    fill(tmp_path / "set" / name, count=4)
    images = loaded(tmp_path / "set")
    assert [len(s) for s in (images.train, images.validation, images.test)] == [36, 4, 8]
    assert sorted(images.test.images[:, 1, 0, 0].tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_a_folder_that_brings_all_three_splits_is_taken_as_it_is(tmp_path: Path) -> None:
    for name, count in (("train", 5), ("val", 3), ("test", 2)):
        fill(tmp_path / "set" / name, count=count)
    images = loaded(tmp_path / "set")
    assert [len(s) for s in (images.train, images.validation, images.test)] == [10, 6, 4]


def test_train_and_test_may_be_classes(tmp_path: Path) -> None:
    assert loaded(fill(tmp_path / "set", ("test", "train"))).classes == ("test", "train")


def test_images_may_stand_in_deeper_folders(tmp_path: Path) -> None:
    fill(tmp_path / "set")
    fill(tmp_path / "set" / "dog", ("small", "large"), count=5)
    images = loaded(tmp_path / "set")
    assert images.classes == ("cat", "dog")
    assert len(images.train) + len(images.validation) + len(images.test) == 30


GREY = np.arange(64, dtype=np.uint8).reshape(8, 8) * 3
RGB = np.stack([GREY, 255 - GREY, GREY // 2], axis=-1)


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        (Image.fromarray(RGB), RGB),
        (Image.fromarray(GREY), np.stack([GREY] * 3, -1)),
        (Image.fromarray(GREY > 90), np.stack([(GREY > 90) * np.uint8(255)] * 3, -1)),
        (Image.fromarray(GREY.astype(np.uint16) * 256 + 77), np.stack([GREY] * 3, -1)),
        (Image.fromarray(RGB).quantize(64), RGB),
    ],
    ids=["rgb", "grey", "one bit", "16 bit", "palette"],
)
def test_every_mode_becomes_rgb(tmp_path: Path, image: Image.Image, expected: np.ndarray) -> None:
    pixels = one_image(tmp_path / "set", image)
    assert np.abs(pixels.astype(int) - expected).max() <= (6 if image.mode == "P" else 0)


def test_real_numbers_from_0_to_1_become_0_to_255(tmp_path: Path) -> None:
    pixels = one_image(tmp_path / "set", Image.fromarray(GREY.astype(np.float32) / 255), "odd.tiff")
    assert np.abs(pixels[..., 0].astype(int) - GREY).max() <= 1


def test_cmyk_becomes_rgb(tmp_path: Path) -> None:
    image = Image.new("RGB", (8, 8), (200, 30, 60)).convert("CMYK")
    pixels = one_image(tmp_path / "set", image, "odd.jpg", quality=95)
    assert np.abs(pixels.reshape(-1, 3).astype(int) - (200, 30, 60)).max() < 12


@pytest.mark.parametrize("palette", [False, True])
def test_what_is_transparent_becomes_white(tmp_path: Path, palette: bool) -> None:
    image = Image.new("RGBA", (8, 8), (200, 30, 60, 255))
    image.paste((9, 9, 9, 0), (0, 0, 8, 4))
    pixels = one_image(tmp_path / "set", image.quantize(8) if palette else image)
    assert pixels[0, 0].tolist() == [255, 255, 255]
    assert pixels[7, 7].tolist() == [200, 30, 60]


def test_an_animation_gives_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    pixels = one_image(tmp_path / "set", frames[0], "odd.gif", save_all=True, append_images=frames[1:])
    assert pixels[4, 4].tolist() == [255, 0, 0]


def test_a_photograph_on_its_side_is_turned_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), "black")
    image.paste("white", (0, 0, 32, 64))
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to see me": what is left comes to the top
    pixels = one_image(tmp_path / "set", image, "odd.jpg", exif=exif)
    assert pixels[1].min() > 240
    assert pixels[6].max() < 15


def test_the_shorter_edge_is_fitted_and_the_centre_kept(tmp_path: Path) -> None:
    image = Image.new("RGB", (160, 32), "red")
    image.paste("lime", (64, 0, 96, 32))
    assert (one_image(tmp_path / "set", image, size=16)[:, 1:-1] == (0, 255, 0)).all()


def test_a_large_photograph_is_averaged_rather_than_sampled(tmp_path: Path) -> None:
    checks = (np.indices((512, 512)).sum(axis=0) % 2 * 255).astype(np.uint8)
    pixels = one_image(tmp_path / "set", Image.fromarray(checks), "odd.jpg", quality=95)
    assert np.abs(pixels.astype(int) - 127).max() < 8


def test_files_that_cannot_be_read_are_named_and_left_out(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set")
    whole = (folder / "cat" / "003.png").read_bytes()
    (folder / "cat" / "003.png").write_bytes(whole[: len(whole) // 2])
    (folder / "cat" / "empty.jpg").touch()
    (folder / "dog" / "notes.txt").write_text("a dog")
    (folder / "dog" / "gone.png").symlink_to("nowhere.png")
    os.mkfifo(folder / "dog" / "pipe.png")
    (folder / "README.md").write_text("dogs, cats")
    images = loaded(folder)
    assert images.left_out == (
        "README.md",
        "cat/003.png",
        "cat/empty.jpg",
        "dog/gone.png",
        "dog/notes.txt",
        "dog/pipe.png",
    )
    splits = (images.train, images.validation, images.test)
    assert sum(len(s) for s in splits) == 19
    assert all((s.images[:, 0, 0, 0] == s.labels * 50).all() for s in splits)
    assert all((s.images[:, 2] == 200).all() for s in splits)


def test_what_file_managers_leave_behind_is_ignored(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set")
    for clutter in (".DS_Store", "cat/.DS_Store", "cat/Thumbs.db", "dog/desktop.ini", "cat/._001.png"):
        (folder / clutter).write_bytes(b"clutter")
    (folder / "__MACOSX").mkdir()
    (folder / ".git").mkdir()
    images = loaded(folder)
    assert images.left_out == ()
    assert images.classes == ("cat", "dog")


def test_a_name_that_is_no_text_can_be_shown(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set")
    Path(os.fsdecode(os.fsencode(folder / "cat") + b"/caf\xe9.png")).write_bytes(b"no image")
    assert loaded(folder).left_out == ("cat/caf\\xe9.png",)


def write_only_text(folder: Path) -> None:
    for name in ("cat", "dog"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.png").write_text("no image")


@pytest.mark.parametrize(
    ("prepare", "complaint"),
    [
        (str, "there is no such folder"),
        (lambda folder: folder.mkdir(), "the folder is empty"),
        (lambda folder: fill(folder, ("cat",)), "there is only one class, 'cat'"),
        (lambda folder: fill(folder / "train", ("cat",)) and fill(folder / "test", ("cat",)), "only one class, 'cat'"),
        (lambda folder: fill(folder, count=2), "class 'cat' has 2 images to divide and needs 3 or more"),
        (lambda folder: fill(folder) and (folder / "owl").mkdir(), "class 'owl' has 0 images to divide"),
        (
            lambda folder: (fill(folder / "train"), fill(folder / "test", ("ape",))),
            "class 'ape' has 0 images to divide",
        ),
        (lambda folder: (fill(folder / "train"), write_only_text(folder / "test")), "no image of its test folder"),
        (write_only_text, "none of its 2 files is an image that can be read, such as cat/a.png"),
    ],
    ids=["missing", "empty", "one class", "one class twice", "small", "bare class", "unknown class", "test", "text"],
)
def test_an_unusable_folder_is_one_line(tmp_path: Path, prepare, complaint: str) -> None:  # type: ignore[no-untyped-def]
    prepare(tmp_path / "set")
    with pytest.raises(DataError) as caught:
        loaded(tmp_path / "set")
    assert complaint in str(caught.value)
    assert str(tmp_path / "set") in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 4


def test_images_without_folders_are_told_to_be_put_in_folders(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "set" / "a.png")
    with pytest.raises(DataError, match="files, but no folder of a class; give each"):
        loaded(tmp_path / "set")


def test_a_folder_is_decoded_once_until_it_changes(tmp_path: Path, data_home: Path) -> None:
    folder, calls = fill(tmp_path / "set"), []

    def count() -> int:
        calls.clear()
        load(f"folder:{folder}", 8, lambda label, done, total: calls.append((label, done, total)))
        return len(calls)

    assert count() == 1
    assert calls == [("decoding images", 20, 20)]
    assert count() == 0
    Image.new("RGB", (8, 8)).save(folder / "cat" / "new.png")
    assert count() == 1
    os.utime(folder / "cat" / "new.png", (1, 1))
    assert count() == 1
    (folder / "cat" / "new.png").rename(folder / "dog" / "new.png")
    assert count() == 1
    (folder / "dog" / "new.png").rename(folder / "dog" / "newer.png")
    assert count() == 1
    assert count() == 0
    assert len(list((data_home / "arrays").glob("folder-set-*/*"))) == 1, "outdated arrays were kept"


def digest(folder: Path, size: int = 8) -> str:
    return load(f"folder:{folder}", size).digest


def test_copies_of_a_folder_have_one_digest_whatever_their_times_names_and_size(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set")
    before = digest(folder)
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(folder, copy)
    os.utime(copy / "cat" / "003.png", (1, 1))
    (copy / "cat" / "009.png").rename(copy / "cat" / "last.png")
    (copy / "dog").rename(copy / "hound")
    (copy / "cat" / "notes.txt").write_text("a cat")
    (copy / "README.md").write_text("cats")
    assert digest(copy) == digest(copy, 16) == before


def exchange(one: Path, other: Path) -> None:
    one.rename(one.with_name("between"))
    other.rename(one)
    one.with_name("between").rename(other)


@pytest.mark.parametrize(
    "change",
    [
        lambda folder: (folder / "cat" / "003.png").unlink(),
        lambda folder: shutil.copy(folder / "cat" / "003.png", folder / "cat" / "new.png"),
        lambda folder: Image.new("RGB", (8, 8)).save(folder / "cat" / "003.png"),
        lambda folder: (folder / "cat" / "003.png").write_bytes(b"damaged"),
        lambda folder: (folder / "cat" / "003.png").rename(folder / "dog" / "new.png"),
        lambda folder: (folder / "cat" / "009.png").rename(folder / "dog" / "-first.png"),
        lambda folder: exchange(folder / "cat" / "003.png", folder / "dog" / "003.png"),
        lambda folder: exchange(folder / "cat" / "003.png", folder / "cat" / "005.png"),
        lambda folder: fill(folder, ("ape",)),
        lambda folder: [fill(folder / part, count=5) for part in ("train", "test")],
    ],
    ids=[
        "less",
        "more",
        "other",
        "damaged",
        "moved",
        "moved to its neighbour",
        "other classes",
        "other splits",
        "new class",
        "divided",
    ],
)
def test_every_change_of_what_a_training_sees_changes_the_digest(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    folder = fill(tmp_path / "set")
    before = digest(folder)
    change(folder)
    assert digest(folder) != before
    with pytest.raises(DataError, match="holds other images than those that the launch began with"):
        load(f"folder:{folder}", 8, digest=before)


def test_an_image_that_moves_to_another_split_changes_the_digest(tmp_path: Path) -> None:
    for part in ("train", "val", "test"):
        fill(tmp_path / "set" / part, count=5)
    before = digest(tmp_path / "set")
    (tmp_path / "set" / "train" / "cat" / "000.png").rename(tmp_path / "set" / "test" / "cat" / "last.png")
    assert digest(tmp_path / "set") != before


def test_images_that_go_while_they_are_decoded_are_not_kept_as_if_that_were_all(
    tmp_path: Path, data_home: Path
) -> None:
    folder = fill(tmp_path / "set", count=50)
    before = digest(folder)
    shutil.rmtree(data_home)
    late = folder / "dog" / "049.png"
    with pytest.raises(DataError, match="files came, went or were written while they were decoded; try again"):
        load(f"folder:{folder}", 8, lambda *_: late.exists() and late.rename(tmp_path / "late.png"))
    (tmp_path / "late.png").rename(late)
    assert digest(folder) == before


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    load(f"folder:{fill(tmp_path / 'set', count=50)}", 8, lambda _, done, total: seen.append((done, total)))
    assert len(seen) > 1
    assert seen == sorted(seen)
    assert seen[-1] == (100, 100)


def test_an_interrupted_decoding_leaves_nothing_and_starts_again(tmp_path: Path, data_home: Path) -> None:
    folder = fill(tmp_path / "set", count=50)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load(f"folder:{folder}", 8, interrupt)
    assert not list((data_home / "arrays").glob("*/*"))
    assert len(loaded(folder).train) == 80


def test_processes_that_start_at_once_share_one_decoding(tmp_path: Path) -> None:
    folder = fill(tmp_path / "set", count=200)
    script = f"""
        import sys
        from paretosearch.data import load
        print("ready", flush=True)
        sys.stdin.readline()
        calls = []
        images = load("folder:{folder}", 32, lambda *call: calls.append(call))
        print(len(calls), len(images.train), int(images.train.images.sum()))
    """
    command = [sys.executable, "-c", textwrap.dedent(script)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    workers = [subprocess.Popen(command, **pipes) for _ in range(2)]  # type: ignore[call-overload]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    answers = [worker.communicate("go\n", timeout=60)[0].split() for worker in workers]
    assert sorted(calls != "0" for calls, _, _ in answers) == [False, True]
    assert len({tuple(rest) for _, *rest in answers}) == 1
