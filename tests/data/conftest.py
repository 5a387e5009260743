"""A home of its own for the data sets of each test."""

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def data_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARETOSEARCH_DATA", str(tmp_path / "home"))
    return tmp_path / "home"
