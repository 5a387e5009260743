"""A device is asked once what its number formats cost, in a process that may not hang."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from paretosearch.device import Device
from paretosearch.errors import DeviceError
from paretosearch.fleet import formats
from paretosearch.fleet.formats import HOPELESS, SLOWER, Verdict, verdicts
from paretosearch.recipe import NUMBER_FORMATS
from paretosearch.training import probe

CPU = Device("cpu", "cpu-here-0", "Some CPU", 1, "here", 0, ())

#: Says what a test wants it to say of the formats that it is asked for, and notes that it was asked.
FAKE = """
import json, os, sys, time
says, asked = json.loads(sys.argv[1]), sys.argv[2]
with open(asked, "a") as file:
    print(*sys.argv[5:], file=file)
for name in sys.argv[5:]:
    said = says.get(name, {"seconds": 1.0})
    print(json.dumps({"format": name, "begins": True}), flush=True)
    if said == "hang":
        print('{"format": "torn', end="", flush=True)
        open(asked + ".hangs", "w").close()
        time.sleep(600)
    if said == "crash":
        sys.exit("Illegal instruction")
    for line in said if isinstance(said, list) else [said]:
        print(json.dumps({"format": name, **line}), flush=True)
"""


class Fake:
    """A probe that measures nothing, with a cache of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cache, self._asked, self._monkeypatch = folder / "cache" / "formats.json", folder / "asked", monkeypatch

    def __call__(self, device: Device = CPU, **says: object) -> dict[str, Verdict]:
        Path(f"{self._asked}.hangs").unlink(missing_ok=True)
        says = {name.replace("_", "-"): said for name, said in says.items()}
        command = (sys.executable, "-c", FAKE, json.dumps(says), str(self._asked))
        self._monkeypatch.setattr(formats, "PROBE", command)
        return dict(verdicts(device, cache=self.cache))

    def over_when_it_hangs(self) -> list[float]:
        """Let the limit be over once a probe hangs, on a fast machine and on a slow one; gives the limits asked for."""
        real, limits, hangs = subprocess.Popen.communicate, [], Path(f"{self._asked}.hangs")

        def communicate(process: "subprocess.Popen[str]", timeout: float | None = None) -> tuple[str, str]:
            if timeout is not None:
                limits.append(timeout)
                while not hangs.exists() and process.poll() is None:
                    time.sleep(0.01)
            return real(process, timeout=timeout and (0.01 if hangs.exists() else timeout))

        self._monkeypatch.setattr(subprocess.Popen, "communicate", communicate)
        return limits

    @property
    def asked(self) -> list[list[str]]:
        """The formats that each probe was asked for."""
        return [line.split() for line in self._asked.read_text().splitlines()]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fake:
    return Fake(tmp_path, monkeypatch)


def test_a_format_is_judged_by_the_fastest_of_its_rounds(fake: Fake) -> None:
    found = fake(
        fp32=[{"seconds": 0.5}, {"seconds": 0.25}],
        bf16=[{"seconds": 0.125}, {"seconds": 2.0}],
        fp16={"seconds": 67.5},
        dfp16={"seconds": 0.325},
        tf32={"refused": "needs an NVIDIA GPU"},
    )
    assert found["fp32"] == Verdict(1.0)
    assert found["bf16"] == Verdict(0.5)
    assert found["fp16"] == Verdict(270.0, "takes 270 times as long as fp32", slow=False)
    assert found["dfp16"] == Verdict(1.3, "is simulated here and takes 1.3 times as long as fp32", slow=True)
    assert found["tf32"] == Verdict(None, "needs an NVIDIA GPU")
    assert list(found) == list(NUMBER_FORMATS)


@pytest.mark.parametrize(
    ("relative", "plain", "kept"),
    [(1.0, True, True), (SLOWER - 0.01, True, True), (SLOWER, False, True), (HOPELESS, False, False)],
)
def test_slower_is_left_out_unless_kept_and_hopeless_always(
    fake: Fake, relative: float, plain: bool, kept: bool
) -> None:
    verdict = fake(bf16={"seconds": relative})["bf16"]
    assert (verdict.is_usable(), verdict.is_usable(keep_slow=True)) == (plain, kept)


@pytest.mark.parametrize(
    ("relative", "reason"), [(0.8, ""), (0.95, "is no faster than"), (1.05, "takes 1.05 times as long as")]
)
def test_a_simulated_format_must_be_faster(fake: Fake, relative: float, reason: str) -> None:
    verdict = fake(dfp16={"seconds": relative})["dfp16"]
    assert verdict.reason == (f"is simulated here and {reason} fp32" if reason else "")
    assert verdict.is_usable() is not bool(reason)
    assert verdict.is_usable(keep_slow=True)


def test_what_cannot_be_done_is_never_kept(fake: Fake) -> None:
    verdict = fake(bf16={"refused": "fails: no such kernel"})["bf16"]
    assert verdict.reason == "fails: no such kernel"
    assert not verdict.is_usable(keep_slow=True)


def test_a_format_that_hangs_costs_the_limit_and_no_more(fake: Fake) -> None:
    limits = fake.over_when_it_hangs()
    found = fake(**{NUMBER_FORMATS[-1]: "hang"})
    assert limits == [formats.LIMIT_SECONDS]
    assert found[NUMBER_FORMATS[-1]].reason == "gave no result within 60 s"
    assert not found[NUMBER_FORMATS[-1]].is_usable(keep_slow=True)
    assert all(found[name].relative == 1.0 for name in NUMBER_FORMATS[:-1])


def test_what_was_not_reached_is_measured_next_time_and_what_hung_is_not(fake: Fake) -> None:
    fake.over_when_it_hangs()
    slow, last = NUMBER_FORMATS[-2:]
    found = fake(**{slow: "hang"})
    assert found[slow].reason == found[last].reason == "gave no result within 60 s"
    found = fake(**{slow: {"seconds": 0.5}, last: {"seconds": 0.5}})
    assert (found[slow].relative, found[last].relative) == (None, 0.5)
    assert fake.asked[1] == ["fp32", last]


def test_what_died_is_measured_next_time(fake: Fake) -> None:
    assert fake(bf16="crash")["bf16"].relative is None
    assert not formats.is_measured(CPU, cache=fake.cache)
    assert fake(bf16={"seconds": 0.5})["bf16"].relative == 0.5
    assert formats.is_measured(CPU, cache=fake.cache)


def test_a_probe_that_dies_says_why(fake: Fake) -> None:
    found = fake(**{NUMBER_FORMATS[-1]: "crash"})
    assert found[NUMBER_FORMATS[-1]].reason == "ends the measurement: Illegal instruction"
    assert found["bf16"] == Verdict(1.0)


def test_without_fp32_nothing_is_known_and_nothing_remembered(fake: Fake) -> None:
    with pytest.raises(DeviceError, match="cpu 0 could not be measured: the probe ends the measurement: Illegal"):
        fake(fp32="crash")
    assert not fake.cache.exists()


def test_a_measurement_is_remembered_for_its_device_and_its_programs(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = fake(bf16={"seconds": 0.5})
    assert fake(bf16={"seconds": 7.0}) == first
    assert len(fake.asked) == 1
    fake(Device("cpu", "cpu-here-0", "Another CPU", 1, "here", 0, ()))
    assert len(fake.asked) == 2
    real = formats.version
    monkeypatch.setattr(formats, "version", lambda name: "9.9" if name == "torch" else real(name))
    fake()
    assert len(fake.asked) == 3
    monkeypatch.setattr(formats, "_driver", lambda _: "NVRM version: 999")
    fake()
    assert len(fake.asked) == 4
    monkeypatch.setenv("CC", "/opt/cc")
    fake()
    assert len(fake.asked) == 5


def test_a_format_that_an_old_cache_does_not_know_is_measured_alone(fake: Fake) -> None:
    fake(bf16={"seconds": 0.5})
    known = json.loads(fake.cache.read_text())
    ((key, figures),) = known.items()
    del figures["dfp16"], figures["fp16-pure"]
    figures["tf32"] = {"usable": True}  # as another version may have written it
    fake.cache.write_text(json.dumps({key: figures, "another device": {"fp32": {"relative": 1.0}}}))
    found = fake(fp32={"seconds": 2.0}, dfp16={"seconds": 3.0}, bf16={"seconds": 9.0})
    assert fake.asked[-1] == ["fp32", "tf32", "dfp16", "fp16-pure"]
    assert found["dfp16"].relative == 1.5
    assert found["bf16"].relative == 0.5
    assert json.loads(fake.cache.read_text()).keys() == {key, "another device"}


@pytest.mark.parametrize("content", ["", "[]", "3", "{", '{"x": 3}', '{"x": {"fp32": 3}}', '{"x": {"fp32": {}}}'])
def test_a_damaged_cache_is_no_obstacle(fake: Fake, content: str) -> None:
    fake.cache.parent.mkdir()
    fake.cache.write_text(content)
    assert fake()["fp32"] == Verdict(1.0)
    assert fake()["fp32"] == Verdict(1.0)
    assert len(fake.asked) == 1


@pytest.mark.parametrize(
    ("relative", "said"), [(1.1, "1.1"), (1.304, "1.3"), (9.999, "10"), (27.4, "27"), (270, "270")]
)
def test_how_much_slower_is_said_shortly(relative: float, said: str) -> None:
    assert formats.times(relative) == said


def test_the_probe_measures_what_may_take_long_last_and_once() -> None:
    cpu, gpu = torch.device("cpu"), torch.device("cuda")
    order = probe.turns(NUMBER_FORMATS, cpu)
    assert order[-2:] == ["fp16", "fp16-pure"]
    assert order.count("fp16") == 1
    assert order.count("fp32") == order.count("dfp16") == probe.ROUNDS
    assert order[:3] == ["fp32", "tf32", "bf16"]
    assert probe.turns(NUMBER_FORMATS, gpu) == [*NUMBER_FORMATS] * probe.ROUNDS


def test_the_probe_goes_on_behind_a_format_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str, device: torch.device) -> float:
        raise RuntimeError(f"no {name} on {device}\nand a trace")

    monkeypatch.setattr(probe, "seconds_per_step", fails)
    assert probe.measured("bf16", torch.device("cpu")) == {"refused": "fails: no bf16 on cpu"}
    assert "NVIDIA" in str(probe.measured("tf32", torch.device("cpu"))["refused"])
    with pytest.raises(RuntimeError):
        probe.measured("fp32", torch.device("cpu"))


def test_the_probe_measures_for_real_and_nothing_that_is_not_asked_for(tmp_path: Path) -> None:
    names, cache = ("fp32", "tf32", "dfp16"), tmp_path / "formats.json"
    found = verdicts(CPU, names, cache)
    assert tuple(found) == names
    assert found["fp32"] == Verdict(1.0)
    assert "NVIDIA" in found["tf32"].reason
    assert found["dfp16"].relative is not None
    assert verdicts(CPU, names, cache) == found
