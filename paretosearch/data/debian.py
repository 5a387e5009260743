"""Files out of a Debian package without installing it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from paretosearch.environment import for_programs

#: Seconds for one command of apt; the largest package of ours is 31 MB.
COMMAND_SECONDS = 180

#: What apt-get says when its lists do not know the package, or know one that is gone.
_STALE = ("Unable to locate", "Can't select", "no installation candidate", "404")

_BOUNDED = [
    *("-o", "Acquire::http::Timeout=10"),
    *("-o", "Acquire::https::Timeout=10"),
    *("-o", "Acquire::Retries=0"),
    *("-o", "APT::Sandbox::User=root"),  # the other user may not enter a private folder
]


def unpack(package: str, folder: Path) -> Path:
    """Download a package and unpack it; needs no root and changes nothing outside the folder.

    Where the lists of packages are missing or old, new ones are fetched into the folder first.

    Args:
        package: Name of the package.
        folder: New folder to work in.

    Returns:
        The folder that stands for ``/`` in the package.

    Raises:
        OSError: If there is no apt-get here, or it cannot download the package.
    """
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise FileNotFoundError(f"this machine has no {tool}")
    folder.mkdir(parents=True)
    _download(package, folder)
    root = folder / "root"
    _run(["dpkg", "-x", str(next(folder.glob("*.deb"))), str(root)], folder)
    return root


def _download(package: str, folder: Path) -> None:
    try:
        _run(["apt-get", *_BOUNDED, "download", package], folder)
    except OSError as error:
        if not any(sign in str(error) for sign in _STALE):
            raise
        own_lists = [*_BOUNDED, *_own_folders(folder)]
        _run(["apt-get", *own_lists, "update"], folder)
        _run(["apt-get", *own_lists, "download", package], folder)


def _own_folders(folder: Path) -> list[str]:
    for name in ("state/lists/partial", "cache/archives/partial"):
        (folder / name).mkdir(parents=True)
    return ["-o", f"Dir::State={folder / 'state'}", "-o", f"Dir::Cache={folder / 'cache'}"]


def _run(command: list[str], folder: Path) -> None:
    environment = {**for_programs(), "LC_ALL": "C"}  # the answer is read
    try:
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"{command[0]} took more than {COMMAND_SECONDS} s") from None
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E:")]
        raise OSError(" ".join(errors or done.stderr.split() or [f"{command[0]} failed"]))
