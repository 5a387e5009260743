"""A tree that is in no store is said to be, with the command that runs it."""

from contextlib import closing
from pathlib import Path

import pytest

from paretosearch.api.fronts import open_study
from paretosearch.errors import UsageError
from paretosearch.store import open_store


def test_a_shipped_tree_is_in_no_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    told = "^tree_cnn is a tree, which no store keeps; paretosearch tree tree_cnn runs it, and shows it$"
    with pytest.raises(UsageError, match=told):
        open_study("tree_cnn", url)
    with closing(open_store(url)):
        pass
    with pytest.raises(UsageError, match=told):
        open_study("tree_cnn", url)
    with pytest.raises(UsageError, match="^no study was launched in"):
        open_study("quickstart", url)
