"""Builds libraries of C once on every kind of machine, and loads them."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from platformdirs import user_cache_path

from paretosearch.device import cpu_abilities, cpu_name
from paretosearch.environment import for_programs
from paretosearch.files import PRIVATE_FOLDER, is_ours_alone, private_folder

#: Machine code for this very processor; NaNs must stay NaNs, so the arithmetic is not otherwise free.
FLAGS = ("-O3", "-march=native", "-mtune=native", "-fno-math-errno", "-fno-trapping-math", "-fPIC")

#: What all libraries share.
HEADER = files(__package__).joinpath("threads.h")


def load(source: Traversable, functions: Mapping[str, Sequence[type]]) -> ctypes.CDLL | str:
    """Load the functions of a C file, building them where that was not done before.

    Args:
        source: The file; what it includes must be the system's, or ``threads.h``.
        functions: Types of the arguments of every function, none of which returns anything.

    Returns:
        The library; why there is none, in one line, where there is no compiler or it fails.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        return "there is no C compiler (cc or gcc)"
    code, header = source.read_bytes(), HEADER.read_bytes()
    made_for = compiler, cpu_name(), cpu_abilities(), *FLAGS
    key = hashlib.sha256(b"\0".join([code, header, *map(str.encode, made_for)]))
    place = user_cache_path("paretosearch") / "kernels" / f"{key.hexdigest()[:24]}.so"
    try:
        private_folder(place.parent)
        if not is_ours_alone(place):  # what it holds is run: it must not be what somebody else has put there
            _build(compiler, code, place)
        return _declared(ctypes.CDLL(str(place)), functions)
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {error.returncode}"]
        return f"{compiler} does not build the kernels: {said[0]}"
    except OSError as error:
        return f"the kernels cannot be built or loaded: {error}"


def _build(compiler: str, source: bytes, place: Path) -> None:
    """Compile into a file of its own, then rename: several Workers may do so at once."""
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        code, compiled, made = (Path(folder) / f"kernels.{suffix}" for suffix in ("c", "o", "so"))
        code.write_bytes(source)
        (code.parent / HEADER.name).write_bytes(HEADER.read_bytes())
        # Linked without OpenMP, whose functions are then those of the library that torch has loaded for all to see: a
        # second one would have threads of its own, which fight with torch's for the cores.
        steps = ["-fopenmp", "-c", "-o", str(compiled), str(code)], ["-shared", "-o", str(made), str(compiled), "-lm"]
        for step in steps:
            subprocess.run([compiler, *FLAGS, *step], check=True, capture_output=True, env=for_programs())
        made.chmod(PRIVATE_FOLDER)  # as for a folder: to read, to write and to run, for this user
        made.replace(place)


def _declared(loaded: ctypes.CDLL, functions: Mapping[str, Sequence[type]]) -> ctypes.CDLL:
    for name, types in functions.items():
        function = getattr(loaded, name)
        function.argtypes, function.restype = types, None
    return loaded
