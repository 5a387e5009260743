"""Data sets by name."""

from dataclasses import replace
from pathlib import Path

import pytest

from paretosearch import data
from paretosearch.data.known import KNOWN
from paretosearch.errors import DataError
from paretosearch.testing.images import image_folder


def test_the_named_sets_are_those_of_the_design() -> None:
    assert data.names() == ("fashion-mnist", "mnist", "cifar10", "cifar100", "svhn")


def test_known_names_pass_without_loading_anything(data_home: Path) -> None:
    for name in data.names():
        data.check_name(name)
        assert data.where(name) in (None, f"/usr/share/datasets/{name}")
    assert not data_home.exists()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar-10", r"^there is no data set 'cifar-10' \(did you mean 'cifar10'\?\); one of your own"),
        ("imagenet", r"^there is no data set 'imagenet' \(allowed: fashion-mnist, .*, folder:PATH\); one of your own"),
        ("folder:", r"^'folder:': there is no such folder; write folder:PATH"),
        ("folder:/no/such", r"^'folder:/no/such': there is no such folder"),
    ],
)
def test_an_unknown_name_is_one_line_with_a_way_out(name: str, message: str) -> None:
    for function in (data.check_name, data.load, data.fetch, data.where):
        with pytest.raises(DataError, match=message):
            function(name)


def test_the_digest_of_a_named_set_is_that_of_its_pinned_files() -> None:
    digests = {name: known.digest for name, known in KNOWN.items()}
    assert len(set(digests.values())) == len(KNOWN)
    changed = replace(KNOWN["mnist"], sha256={**KNOWN["mnist"].sha256, "train-images-idx3-ubyte": "0" * 64})
    assert changed.digest not in digests.values()
    # In databases: studies of Fashion-MNIST would be refused if it became another.
    assert digests["fashion-mnist"] == "9d3a60af62cc5a564c67d1c39f4085442fe9ee1caceabc15c4371b0ea5d0ac4b"


def test_a_folder_is_fetched_and_found_like_any_other(tmp_path: Path, data_home: Path) -> None:
    folder = image_folder(tmp_path / "set", classes=3, per_class=10)
    (folder / "class-0" / "broken.png").write_text("no image")
    data.check_name(f"folder:{folder}")
    assert data.where(f"folder:{folder}") == str(folder)
    counts = "24 train, 3 validation, 3 test images of 64x64 in 3 classes, left out 1 unreadable (class-0/broken.png)"
    assert data.fetch(f"folder:{folder}") == f"folder:{folder}: {counts}, under {data_home}"


def test_the_home_is_the_users_cache_unless_said_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PARETOSEARCH_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert data.home() == Path("/somewhere/paretosearch")
    monkeypatch.setenv("PARETOSEARCH_DATA", "~/images")
    assert data.home() == Path.home() / "images"
