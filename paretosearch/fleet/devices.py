"""The devices of this machine, and which of them a launch takes."""

from __future__ import annotations

import os
import re
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import psutil

from paretosearch.device import Device, cpu_name
from paretosearch.errors import DeviceError, LockedError, UsageError
from paretosearch.fleet import strangers
from paretosearch.fleet.locks import Lock, device_lock_folder


def gpus() -> tuple[Device, ...]:
    """Find the NVIDIA GPUs that this process may use, without starting CUDA.

    Returns:
        Those that ``CUDA_VISIBLE_DEVICES`` names, in its order and numbered by it; without it all, by PCI address. A
        GPU that the driver cannot describe is left out.
    """
    return visible(installed_gpus(), os.environ.get("CUDA_VISIBLE_DEVICES"))


def installed_gpus() -> tuple[Device, ...]:
    """Find all NVIDIA GPUs of this machine, whoever may use them, numbered by PCI address."""
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(gpu for index in range(pynvml.nvmlDeviceGetCount()) if (gpu := _gpu(index)) is not None)
    finally:
        pynvml.nvmlShutdown()


def visible(found: Sequence[Device], named: str | None) -> tuple[Device, ...]:
    """Keep the GPUs that ``CUDA_VISIBLE_DEVICES`` names by index or UUID, numbered anew; all where it is not set."""
    if named is None:
        return tuple(found)
    names = [name.strip() for name in named.split(",") if name.strip()]
    kept = [gpu for name in names for gpu in found if name == str(gpu.index) or gpu.uuid.startswith(name)]
    return tuple(replace(gpu, index=index) for index, gpu in enumerate(kept))


def _gpu(index: int) -> Device | None:
    import pynvml

    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        memory = int(pynvml.nvmlDeviceGetMemoryInfo(handle).total)
        uuid, name = (_text(read(handle)) for read in (pynvml.nvmlDeviceGetUUID, pynvml.nvmlDeviceGetName))
    except pynvml.NVMLError:
        return None
    return Device("cuda", uuid, name, memory, socket.gethostname(), index)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value  # older NVML bindings give bytes


@dataclass(frozen=True)
class Wish:
    """Devices that exist, before anybody has taken them.

    Args:
        cuda: GPUs.
        cpu: Number of cores of each CPU slot. Slots of different widths that are more than this machine has share
            cores, those of one width never do.
        flexible: Whether fewer CPU slots will do, down to one.
    """

    cuda: tuple[Device, ...]
    cpu: tuple[int, ...]
    flexible: bool = False


def wanted(gpu: str | None, cpu: str | None) -> Wish:
    """Read what a command line asks for.

    Args:
        gpu: ``0,1,2,3`` or ``all``; None for no wish.
        cpu: ``2`` (slots of one core), ``2x4`` (slots of four), ``1x1,1x2``; None for no wish. With neither wish: all
            GPUs, or one slot for each free core where there is no GPU.

    Raises:
        UsageError: If a wish cannot be read.
        DeviceError: If a GPU does not exist.
    """
    found = gpus()
    if gpu is None and cpu is None:
        cores = len(os.sched_getaffinity(0))
        return Wish(found, ()) if found else Wish((), (1,) * cores, flexible=True)
    return Wish(_chosen_gpus(gpu, found) if gpu is not None else (), slots(cpu) if cpu is not None else ())


def _chosen_gpus(wish: str, found: Sequence[Device]) -> tuple[Device, ...]:
    indices = gpu_numbers(wish)
    if not found:
        raise DeviceError(f"--gpus {wish}: this machine has no NVIDIA GPU that its driver shows; use --cpu 1")
    if indices is None:
        return tuple(found)
    for index in indices:
        if index >= len(found):
            raise DeviceError(f"--gpus {wish}: there is no GPU {index}; this machine has 0 to {len(found) - 1}")
    return tuple(found[index] for index in indices)


def gpu_numbers(wish: str) -> tuple[int, ...] | None:
    """Read ``0,1,2,3`` or ``all``: the number of every GPU; None for all of them.

    Raises:
        UsageError: If it cannot be read, or names a GPU twice.
    """
    if wish == "all":
        return None
    if not re.fullmatch(r"\d{1,6}(,\d{1,6})*", wish):
        raise UsageError(f"--gpus {wish!r} is no list of GPUs (allowed: 0,1,2,3 or all)")
    indices = tuple(int(index) for index in wish.split(","))
    if len(set(indices)) < len(indices):
        raise UsageError(f"--gpus {wish} names a GPU twice")
    return indices


def slots(wish: str) -> tuple[int, ...]:
    """Read ``2``, ``2x4`` or ``1x1,1x2``: the number of cores of every slot.

    Raises:
        UsageError: If it cannot be read.
    """
    match = [re.fullmatch(r"([1-9]\d{0,3})(?:x([1-9]\d{0,3}))?", part) for part in wish.split(",")]
    if not all(match):
        raise UsageError(
            f"--cpu {wish!r} is no list of slots (allowed: 2, or 2x4 for 2 slots of 4 cores, or 1x1,1x2; at least 1)"
        )
    return tuple(int(m[2] or 1) for m in match if m for _ in range(int(m[1])))


def hold(device: Device) -> Sequence[Lock]:
    """Take a Device of this machine that was taken before, its very cores or GPU.

    Returns:
        Its locks; whoever lets go of them gives it back.

    Raises:
        LockedError: If it is in use.
    """
    names = [f"core-{core}" for core in device.cores] if device.kind == "cpu" else [device.uuid]
    return [Lock(device_lock_folder() / f"{name}.lock", device.label) for name in names]


class Reservation:
    """Devices that this process alone may use until it releases them.

    Args:
        wish: What to take.

    Raises:
        DeviceError: If one is in use, by a launch or by any other program, or there are too few cores.
    """

    def __init__(self, wish: Wish) -> None:
        self._locks: list[Lock] = []
        try:
            for device in wish.cuda:
                self._lock(device.uuid, device.label)
                strangers.refuse(device)
            most = _cores_of(wish.cpu, len(os.sched_getaffinity(0)))
            cores = self._lock_cores(most, 1 if wish.flexible else most, "1x" if len(wish.cpu) == 1 else "")
        except LockedError as error:
            self.release()
            raise DeviceError(str(error)) from None
        except DeviceError:
            self.release()
            raise
        widths = wish.cpu[: len(cores)] if wish.flexible else wish.cpu
        self.devices = (*wish.cuda, *_cpu_devices(widths, cores))

    def _lock(self, name: str, what: str) -> None:
        self._locks.append(Lock(device_lock_folder() / f"{name}.lock", what))

    def _lock_cores(self, count: int, least: int, one_slot: str) -> list[int]:
        """Take the first free cores, so that launches side by side share a machine; advice begins by ``one_slot``."""
        mine: list[int] = []
        taken: list[str] = []
        for core in sorted(os.sched_getaffinity(0)):
            if len(mine) == count:
                break
            try:
                self._lock(f"core-{core}", f"core {core}")
                mine.append(core)
            except LockedError as error:
                taken.append(str(error))
        if count and len(mine) < least:
            rest = f": {taken[0]}" if taken else ""
            way_out = (
                f"--cpu {one_slot}{len(mine)} takes what is free" if mine else "wait until they are, or name others"
            )
            raise DeviceError(f"CPU cores asked for: {least}, free here: {len(mine)}{rest}; {way_out}")
        return mine

    def release(self) -> None:
        """Give the devices back."""
        while self._locks:
            self._locks.pop().release()


def _cores_of(widths: Sequence[int], there: int) -> int:
    """Count the cores that slots need; slots of several widths that are more than there are have their turns."""
    together, alone = sum(widths), [width * count for width, count in Counter(widths).items()]
    return max(alone) if len(alone) > 1 and max(alone) <= there < together else together


def _cpu_devices(widths: Sequence[int], cores: Sequence[int]) -> tuple[Device, ...]:
    host, name, memory = socket.gethostname(), cpu_name(), psutil.virtual_memory().total
    taken: Counter[int] = Counter()
    devices = []
    for index, width in enumerate(widths):
        turn = width if sum(widths) > len(cores) else 0
        own = tuple(cores[taken[turn] : taken[turn] + width])
        taken[turn] += width
        uuid = f"cpu-{host}-{'-'.join(map(str, own))}"
        devices.append(Device("cpu", uuid, name, memory, host, index, own))
    return tuple(devices)
