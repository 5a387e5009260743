"""The number formats of a study are those that its device is good for, and the study says why."""

import io
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from paretosearch.api.choosing import Judge
from paretosearch.api.registering import registered
from paretosearch.device import Device
from paretosearch.errors import DeviceError, StudyFileError
from paretosearch.fleet.classes import Classes
from paretosearch.fleet.formats import Verdict
from paretosearch.recipe import Recipe
from paretosearch.report.status import status_json, status_table
from paretosearch.space import Space
from paretosearch.store import Store, open_store
from paretosearch.studyfile import load
from paretosearch.testing.store.builders import CPU

VERDICTS = {
    "fp32": Verdict(1.0),
    "tf32": Verdict(None, "needs an NVIDIA GPU"),
    "bf16": Verdict(0.55),
    "fp16": Verdict(270.0, "takes 270 times as long as fp32"),
    "dfp16": Verdict(1.3, "is simulated here and takes 1.3 times as long as fp32", slow=True),
    "bfp16": Verdict(1.6, "is simulated here and takes 1.6 times as long as fp32", slow=True),
    "bfp8": Verdict(None, "gave no result within 60 s"),
}

STUDY = """
name    = "s"
dataset = "mnist"
network = "convnet"
{top}
budget  = {{ trials = 3 }}
{recipe}
[space]
batch_size = [32, 64]
{space}
"""


class Launch:
    """Registers studies on a device with known verdicts."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store, self.printed = folder, store, ""
        self.judge: Judge = lambda _, names: {name: VERDICTS[name] for name in names}
        self.devices = [CPU]
        self.classes = Classes(CPU.device_class, self.devices)

    def __call__(self, top: str = "", recipe: str = "", space: str = "") -> Space:
        path = self.folder / "s.toml"
        path.write_text(STUDY.format(top=top, recipe=recipe, space=space))
        console = Console(file=io.StringIO(), width=60)
        try:
            space, self.classes = registered(load(str(path)), self.store, self.devices, console, self.judge)
            return space
        finally:
            assert isinstance(console.file, io.StringIO)
            self.printed = console.file.getvalue()

    @property
    def status(self) -> str:
        """What `status` shows."""
        console = Console(file=io.StringIO(), width=120)
        console.print(status_table(self.store, "s"))
        assert isinstance(console.file, io.StringIO)
        return console.file.getvalue()


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Launch]:
    with closing(open_store(f"sqlite:///{tmp_path}/a.db")) as store:
        yield Launch(tmp_path, store)


def listed(*names: str) -> str:
    return f"number_format = {[*names]}"


ALL = listed(*VERDICTS)


def test_what_is_slower_than_fp32_is_left_out_and_the_reason_printed_stored_and_shown(launch: Launch) -> None:
    assert launch(space=ALL).values_of("number_format") == ("fp32", "bf16")
    lines = launch.printed.splitlines()
    assert lines[0] == (
        "seconds of a step on Some CPU relative to fp32: fp32 1.00, bf16 0.55, fp16 270.00, dfp16 1.30, bfp16 1.60"
    )
    reasons = {name: verdict.reason for name, verdict in VERDICTS.items() if verdict.reason}
    assert lines[1:] == [f"number format {name} is left out on Some CPU: it {said}" for name, said in reasons.items()]
    record = launch.store.study("s")
    assert record is not None
    assert record.number_formats == {name: vars(verdict) for name, verdict in VERDICTS.items()}
    assert status_json(launch.store, "s")["number_formats"]["dfp16"] == {
        "relative": 1.3,
        "reason": "is simulated here and takes 1.3 times as long as fp32",
        "searched": False,
    }
    assert "fp32 1.00, bf16 0.55 (seconds of a step relative to fp32)" in launch.status
    for name, said in reasons.items():
        assert f"{name}: it {said}" in launch.status


def test_a_study_may_keep_what_is_slow_but_not_what_would_take_days(launch: Launch) -> None:
    space = launch(top="keep_slow_formats = true", space=ALL)
    assert space.values_of("number_format") == ("fp32", "bf16", "dfp16", "bfp16")
    assert "dfp16 is kept, though it is simulated here and takes 1.3 times as long as fp32\n" in launch.printed
    for name in ("tf32", "fp16", "bfp8"):
        assert f"number format {name} is left out" in launch.printed
    assert "fp32 1.00, bf16 0.55, dfp16 1.30, bfp16 1.60" in launch.status


@pytest.mark.parametrize("where", ["recipe", "space"])
def test_the_one_format_of_a_study_may_be_slow_with_a_line(launch: Launch, where: str) -> None:
    fixed = '[recipe]\nnumber_format = "dfp16"'
    space = launch(recipe=fixed) if where == "recipe" else launch(space=listed("dfp16"))
    assert space.fixed["number_format"] == "dfp16"
    assert "number format dfp16 is kept, though it is simulated here and takes 1.3 times as long" in launch.printed


@pytest.mark.parametrize(("name", "why"), [("fp16", "270 times as long"), ("tf32", "NVIDIA"), ("bfp8", "within 60 s")])
def test_the_one_format_of_a_study_may_not_be_hopeless(launch: Launch, name: str, why: str) -> None:
    for top in ("", "keep_slow_formats = true"):
        with pytest.raises(DeviceError, match=f"{name} .*{why}.*; add fp32 to them$"):
            launch(top=top, recipe=f'[recipe]\nnumber_format = "{name}"')
    assert launch.store.study("s") is None


def test_a_study_of_slow_formats_alone_says_what_to_do(launch: Launch) -> None:
    with pytest.raises(DeviceError, match="dfp16 is simulated.*set keep_slow_formats = true at the top of the study"):
        launch(space=listed("dfp16", "bfp16"))
    assert launch(top="keep_slow_formats = true", space=listed("dfp16", "bfp16")).values_of("number_format") == (
        "dfp16",
        "bfp16",
    )


def test_fp32_alone_needs_no_measurement(launch: Launch) -> None:
    launch.judge = lambda *_: pytest.fail("measured")
    assert launch().fixed["number_format"] == "fp32"
    assert launch.printed == ""
    assert launch() == launch()


def test_a_study_goes_on_with_the_formats_that_it_began_with(launch: Launch) -> None:
    first = launch(space=ALL)
    printed = launch.printed
    launch.judge = lambda *_: pytest.fail("measured again")
    assert launch(space=ALL) == first
    assert launch.printed == printed
    with pytest.raises(
        StudyFileError,
        match="number formats fp32, bf16, and by keep_slow_formats = true they would be fp32, bf16, dfp16, bfp16; give",
    ):
        launch(top="keep_slow_formats = true", space=ALL)


def test_keeping_that_changes_nothing_is_no_other_study(launch: Launch) -> None:
    first = launch(space=listed("fp32", "bf16"))
    assert launch(top="keep_slow_formats = true", space=listed("fp32", "bf16")) == first


OLD = Device("cuda", "GPU-old", "GTX 1080 Ti", 1, "here", 0)
NEW = Device("cuda", "GPU-new", "RTX 2080 Ti", 1, "here", 1)


class TestSeveralClasses:
    """Devices of several classes search what any of them can do."""

    @pytest.fixture(autouse=True)
    def _mixed(self, launch: Launch) -> None:
        launch.devices = [OLD, replace(OLD, uuid="GPU-old-2", index=2), NEW]
        refused = Verdict(None, "needs bfloat16")
        launch.judge = lambda device, names: {
            name: refused if device.name == OLD.name and name == "bf16" else VERDICTS[name] for name in names
        }

    def test_each_gets_what_it_admits_and_each_class_is_measured_once(self, launch: Launch) -> None:
        asked: list[str] = []
        judge = launch.judge
        launch.judge = lambda device, names: asked.append(device.uuid) or judge(device, names)  # type: ignore[func-returns-value]
        space = launch(space=listed("fp32", "bf16", "dfp16"))
        assert space.values_of("number_format") == ("fp32", "bf16")
        assert sorted(asked) == ["GPU-new", "GPU-old"]
        recipe = Recipe("mnist", "convnet")
        able = {name: launch.classes.able(replace(recipe, number_format=name)) for name in ("fp32", "bf16", "dfp16")}
        assert able == {"fp32": {OLD.device_class, NEW.device_class}, "bf16": {NEW.device_class}, "dfp16": set()}
        assert "number format bf16 is left out on cuda:GTX 1080 Ti: it needs bfloat16" in launch.printed

    def test_the_reference_class_is_that_of_the_first_device_or_the_study_files(self, launch: Launch) -> None:
        launch()
        assert launch.classes.reference == OLD.device_class

    def test_a_reference_class_that_is_not_there_is_missed(self, launch: Launch) -> None:
        with pytest.raises(
            DeviceError, match=r"reference = 'A100' is no part of a class of this launch \(cuda:GTX 1080"
        ):
            launch(top='hardware = { reference = "A100" }')

    def test_a_study_goes_on_with_any_devices_that_can_do_all_of_it(self, launch: Launch) -> None:
        first = launch(top='hardware = { reference = "2080" }', space=listed("fp32", "bf16"))
        assert launch.classes.reference == NEW.device_class
        launch.devices = [NEW]
        assert launch(space=listed("fp32", "bf16")) == first
        launch.devices = [OLD]
        with pytest.raises(
            DeviceError, match="by the seconds of cuda:RTX 2080 Ti, and this launch has cuda:GTX 1080 Ti"
        ):
            launch(space=listed("fp32", "bf16"))

    def test_a_format_that_nobody_here_can_do_is_missed(self, launch: Launch) -> None:
        first = launch(space=listed("fp32", "bf16"))
        launch.devices = [OLD]
        with pytest.raises(DeviceError, match="no device of this launch can do bf16; add one that can"):
            launch(space=listed("fp32", "bf16"))
        launch.devices = [OLD, NEW]
        assert launch(space=listed("fp32", "bf16")) == first
