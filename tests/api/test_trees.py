"""A call that learns a tree."""

from contextlib import nullcontext
from pathlib import Path

import pytest

from paretosearch.api import trees
from paretosearch.errors import UsageError


@pytest.fixture(autouse=True)
def _no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "taken", lambda _: nullcontext())


@pytest.mark.parametrize("end", [KeyboardInterrupt, UsageError])
def test_a_tree_that_does_not_come_to_its_results_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, end: type[BaseException]
) -> None:
    def ended(*_: object) -> None:
        assert (tmp_path / "new" / "tree").is_dir(), "whether it can be written is known before"
        raise end

    monkeypatch.setattr(trees, "learn", ended)
    with pytest.raises(end):
        trees.tree(cpu=1, out=tmp_path / "new" / "tree")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_was_there_stays(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def ended(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(trees, "learn", ended)
    with pytest.raises(KeyboardInterrupt):
        trees.tree(cpu=1, out=tmp_path)
    assert tmp_path.is_dir()


def test_a_folder_of_another_study_is_refused_before_any_training(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(trees, "learn", lambda *_: pytest.fail("it trains"))
    (tmp_path / "PROVENANCE.md").write_text("# Where the figures of `mine` come from\n")
    with pytest.raises(UsageError, match="has a PROVENANCE.md that is not of 'tree_cnn'; name another folder by --out"):
        trees.tree(cpu=1, out=tmp_path)
