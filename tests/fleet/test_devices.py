"""Wishes for devices are read, refused in one line, and kept exclusive."""

import json
import os
import socket
from pathlib import Path

import pytest

from paretosearch.device import Device, share_cores
from paretosearch.errors import DeviceError, LockedError, UsageError
from paretosearch.fleet import devices
from paretosearch.fleet.locks import Lock, seems_held

CORES = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _own_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.mark.parametrize(
    ("wish", "widths"), [("2", (1, 1)), ("2x4", (4, 4)), ("1x1,1x2", (1, 2)), ("1x4", (4,)), ("3x1,1x8", (1, 1, 1, 8))]
)
def test_slots_are_read(wish: str, widths: tuple[int, ...]) -> None:
    assert devices.slots(wish) == widths


@pytest.mark.parametrize("wish", ["", "0", "x", "2x", "2x0", "-1", "1,,2", "2×4", "1;id"])
def test_a_wish_that_is_no_slots_is_refused_with_what_is_allowed(wish: str) -> None:
    with pytest.raises(UsageError, match="allowed: 2, or 2x4"):
        devices.slots(wish)


GPUS = tuple(Device("cuda", f"GPU-{i}", "Card", 1, "here", i) for i in range(4))


@pytest.mark.parametrize(
    ("named", "uuids"),
    [(None, [0, 1, 2, 3]), ("", []), ("2,0", [2, 0]), ("GPU-3", [3]), (" 1 ", [1]), ("7", []), ("GPU-1,GPU-0", [1, 0])],
)
def test_only_gpus_that_the_job_was_given_are_seen_and_numbered_anew(named: str | None, uuids: list[int]) -> None:
    seen = devices.visible(GPUS, named)
    assert [gpu.uuid for gpu in seen] == [f"GPU-{i}" for i in uuids]
    assert [gpu.index for gpu in seen] == list(range(len(uuids)))


def test_gpu_seven_of_four_is_refused_with_the_range() -> None:
    with pytest.raises(DeviceError, match=r"there is no GPU 7; this machine has 0 to 3"):
        devices._chosen_gpus("0,7", GPUS)


def test_gpus_are_chosen_in_the_order_of_the_wish() -> None:
    assert [d.index for d in devices._chosen_gpus("2,0", GPUS)] == [2, 0]
    assert devices._chosen_gpus("all", GPUS) == GPUS


@pytest.mark.parametrize("wish", ["0;id", "a", "0,,1", "", "1-3"])
def test_a_wish_that_is_no_gpus_is_refused(wish: str) -> None:
    with pytest.raises(UsageError, match="allowed: 0,1,2,3 or all"):
        devices._chosen_gpus(wish, GPUS)


def test_a_gpu_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        devices._chosen_gpus("1,1", GPUS)


def test_a_machine_without_gpus_says_so() -> None:
    with pytest.raises(DeviceError, match="no NVIDIA GPU"):
        devices._chosen_gpus("all", ())


def test_slots_own_disjoint_cores_and_give_them_back() -> None:
    first = devices.Reservation(devices.wanted(None, "1"))
    assert len(first.devices[0].cores) == 1
    assert first.devices[0].device_class == f"cpu:{devices.cpu_name()}x1"
    with pytest.raises(
        DeviceError, match=rf"CPU cores asked for: {CORES}, free here: {CORES - 1}: core 0 is in use by"
    ):
        devices.Reservation(devices.wanted(None, str(CORES)))
    first.release()
    everything = devices.Reservation(devices.wanted(None, str(CORES)))
    owned = [core for device in everything.devices for core in device.cores]
    assert sorted(owned) == sorted(os.sched_getaffinity(0))
    everything.release()


def test_without_a_wish_the_free_cores_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "gpus", lambda: ())
    first = devices.Reservation(devices.wanted(None, "1"))
    rest = devices.Reservation(devices.wanted(None, None))
    assert len(rest.devices) == CORES - 1
    with pytest.raises(DeviceError, match="free here: 0"):
        devices.Reservation(devices.wanted(None, None))
    first.release()
    rest.release()


@pytest.mark.parametrize(("wish", "advice"), [(f"1x{CORES + 1}", f"1x{CORES}"), (f"{CORES + 1}", f"{CORES}")])
def test_more_cores_than_there_are_is_refused(wish: str, advice: str) -> None:
    asked = f"CPU cores asked for: {CORES + 1}, free here: {CORES}"
    with pytest.raises(DeviceError, match=f"^{asked}; --cpu {advice} takes what is free$"):
        devices.Reservation(devices.wanted(None, wish))
    devices.Reservation(devices.wanted(None, str(CORES))).release()  # the refusal kept nothing


def test_a_lock_names_its_holder(tmp_path: Path) -> None:
    held = Lock(tmp_path / "a.lock", "study 'x'")
    with pytest.raises(LockedError, match=rf"study 'x' is in use by process {os.getpid()} on ") as caught:
        Lock(tmp_path / "a.lock", "study 'x'")
    assert caught.value.exit_code == 75
    held.release()
    Lock(tmp_path / "a.lock", "study 'x'").release()


def test_whether_a_lock_is_held_is_told_without_trying_it(tmp_path: Path) -> None:
    path = tmp_path / "a.lock"
    assert seems_held(path) is False
    held = Lock(path, "study 'x'")
    assert seems_held(path) is True
    held.release()
    assert seems_held(path) is False
    for pid, host, expected in ((2**22 + 1, socket.gethostname(), False), (os.getpid(), "elsewhere", None)):
        path.with_suffix(".holder").write_text(json.dumps({"pid": pid, "host": host}))
        assert seems_held(path) is expected


def test_a_device_survives_the_wire() -> None:
    assert all(
        Device.from_plain(device.to_plain()) == device for device in (*GPUS, devices._cpu_devices([2], [0, 1])[0])
    )


@pytest.mark.parametrize(
    ("widths", "cores", "owned"),
    [
        ((1, 2), [0, 1], [(0,), (0, 1)]),
        ((2, 1), [0, 1], [(0, 1), (0,)]),
        ((1, 1, 2), [3, 5], [(3,), (5,), (3, 5)]),
        ((1, 2), [0, 1, 2], [(0,), (1, 2)]),  # there are enough for both
        ((2, 2, 1), [0, 1, 2, 3], [(0, 1), (2, 3), (0,)]),
    ],
)
def test_slots_of_several_widths_share_cores_where_there_are_too_few(
    widths: tuple[int, ...], cores: list[int], owned: list[tuple[int, ...]]
) -> None:
    assert devices._cores_of(widths, len(cores)) == len(cores)
    found = devices._cpu_devices(widths, cores)
    assert [device.cores for device in found] == owned
    assert len({device.uuid for device in found}) == len(found)
    assert share_cores(found) == (sum(widths) > len(cores))


@pytest.mark.parametrize("widths", [(1, 1, 1), (2, 2), (3,), (1, 3)])
def test_slots_of_one_width_never_share_cores_and_none_is_wider_than_the_machine(widths: tuple[int, ...]) -> None:
    assert devices._cores_of(widths, 2) == sum(widths)  # which is refused


def test_a_reservation_of_several_widths_locks_each_core_once() -> None:
    reservation = devices.Reservation(devices.wanted(None, f"1x1,1x{CORES}"))
    assert [len(device.cores) for device in reservation.devices] == [1, CORES]
    with pytest.raises(DeviceError, match="free here: 0"):
        devices.Reservation(devices.wanted(None, "1"))
    reservation.release()
    devices.Reservation(devices.wanted(None, str(CORES))).release()
