"""Remembers what was measured on this machine, from one process to the next."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from paretosearch.device import cpu_abilities
from paretosearch.files import PRIVATE_FOLDER, replacing


def file_of(kind: str) -> Path:
    """Name the file of one kind of measurement, in the user's cache folder."""
    return user_cache_path("paretosearch") / f"{kind}.json"


@cache
def kernels() -> str:
    """Name the C that this program builds where it runs, and what the processor can do: else all is measured anew."""
    sources = sorted(Path(__file__).parent.rglob("*.[ch]"))
    texts = [*(source.read_bytes() for source in sources), cpu_abilities().encode()]
    return hashlib.sha256(b"".join(texts)).hexdigest()[:12]


def read(file: Path) -> dict[str, Any]:
    """Read measurements by name; none where there is no such file, or none that can be read."""
    try:
        known = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def write(file: Path, known: Mapping[str, object]) -> None:
    """Replace the file as a whole: somebody may read it, or write it as well."""
    file.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    with replacing(file, private=True) as replaced:
        replaced.write(json.dumps(known, indent=1).encode())
