"""The value that names one place to train on."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal


@dataclass(frozen=True)
class Device:
    """A GPU, or a group of CPU cores, that trains one Attempt at a time.

    Args:
        kind: ``cuda`` or ``cpu``.
        uuid: Name that survives a restart: the GPU's UUID, or ``cpu-<host>-<cores>``.
        name: Model, such as ``NVIDIA GeForce RTX 2080 Ti``.
        memory_bytes: Memory of the GPU, or of the host.
        host: Name of the machine.
        index: Position in the launch, from 0, as the user wrote it for a GPU.
        cores: CPU cores that the Worker owns: its threads for a CPU, its host side for a GPU (empty: any).
    """

    kind: Literal["cpu", "cuda"]
    uuid: str
    name: str
    memory_bytes: int
    host: str
    index: int
    cores: tuple[int, ...] = field(default=())

    @property
    def device_class(self) -> str:
        """What makes times comparable: ``cuda:<model>`` or ``cpu:<model>x<threads>``."""
        return f"cuda:{self.name}" if self.kind == "cuda" else f"cpu:{self.name}x{len(self.cores)}"

    @property
    def label(self) -> str:
        """Short name for tables: ``gpu 0`` or ``cpu 0``."""
        return f"{'gpu' if self.kind == 'cuda' else 'cpu'} {self.index}"

    def to_plain(self) -> dict[str, Any]:
        """Give the fields as JSON can hold them."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: dict[str, Any]) -> Device:
        """Rebuild a Device from `to_plain`, after a trip through JSON or not."""
        return cls(**{**plain, "cores": tuple(plain["cores"])})


def share_cores(devices: Iterable[Device]) -> bool:
    """Whether some of them have cores in common, and so cannot train at the same time."""
    cores = [core for device in devices for core in device.cores]
    return len(cores) > len(set(cores))


def cpu_abilities() -> str:
    """Give what the processor can do, as Linux lists it: one name may stand for several kinds, and homes are shared."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


def cpu_name() -> str:
    """Give the model of the CPU."""
    try:
        models = re.findall(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        models = []
    return re.sub(r"\s+", " ", models[0]) if models else platform.processor() or platform.machine()
