"""Bad input gets one line, its exit code, and loses nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from paretosearch.testing.commands import STUDY, Run, environment
from paretosearch.testing.images import image_folder

#: What may be said before something slow goes wrong.
STAGES = ("preparing the data set", "measuring the number formats (once per device)", "starting 1 Worker")


def refused(result: subprocess.CompletedProcess[str], code: int, *said: str) -> None:
    """Check the exit code, that there is exactly one line behind the stages, and what it says."""
    assert result.returncode == code, (result.returncode, result.stdout, result.stderr)
    (line,) = [line for line in result.stderr.splitlines() if line not in STAGES]
    assert "Traceback" not in result.stdout + line
    for words in said:
        assert words in line, line


def study(folder: Path, name: str, *changes: tuple[str, str]) -> str:
    text = STUDY.replace('"tiny"', f'"{name}"')
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / f"{name}.toml").write_text(text)
    return f"{name}.toml"


def test_no_such_study(run: Run) -> None:
    refused(run("launch", "quikstart", "--cpu", "1"), 3, "quikstart", "quickstart")


def test_a_syntax_error_names_its_line(run: Run, folder: Path) -> None:
    refused(run("launch", study(folder, "a", ("[budget]", "[budget")), "--cpu", "1"), 3, "a.toml:7:", "']'")


def test_an_unknown_key_gets_a_suggestion(run: Run, folder: Path) -> None:
    refused(
        run("launch", study(folder, "b", ("batch_size  ", "batch_sise  ")), "--cpu", "1"),
        3,
        "batch_sise",
        "'batch_size'",
    )


def test_a_range_upside_down(run: Run, folder: Path) -> None:
    file = study(folder, "c", ("low = 8, high = 32", "low = 32, high = 8"))
    refused(run("launch", file, "--cpu", "1"), 3, "batch_size", "32", "8")


def test_a_number_format_that_no_device_here_has(run: Run, folder: Path) -> None:
    file = study(folder, "d", ("[recipe]", '[recipe]\nnumber_format = "tf32"'))
    refused(run("launch", file, "--cpu", "1"), 5, "tf32", "Ampere")


def test_a_format_that_a_device_lacks_is_left_out_of_the_space_with_a_line(run: Run, folder: Path) -> None:
    file = study(
        folder,
        "e",
        ("[space]", '[first.fast]\nnumber_format = "tf32"\n[space]\nnumber_format = ["fp32", "tf32"]'),
        ("trials = 6", "trials = 1"),
    )
    result = run("launch", file, "--cpu", "1")
    assert result.returncode == 0, result.stderr
    assert "number format tf32 is left out" in result.stdout
    assert "[first.fast] is left out, as its number format is" in result.stdout


@pytest.mark.parametrize("classes", [0, 1])
def test_a_data_folder_that_is_empty_or_has_one_class(run: Run, folder: Path, classes: int) -> None:
    images = folder / f"only-{classes}"
    images.mkdir()
    image_folder(images, classes=classes)
    file = study(folder, f"f{classes}", ("folder:images", f"folder:{images.name}"))
    refused(run("launch", file, "--cpu", "1"), 4, images.name)


def test_gpus_that_are_not_there(run: Run) -> None:
    refused(run("launch", "tiny.toml", "--gpus", "7"), 5, "7")
    refused(run("launch", "tiny.toml", "--gpus", "0;id"), 2, "allowed")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("launch", "quickstart", "--cpu", "nonsense"), 2, "'nonsense' is no list of slots"),
        (("launch", "quickstart", "--gpus", "97"), 5, "GPU"),
        (("train", "fine.json", "--cpu", "nonsense"), 2, "'nonsense' is no list of slots"),
        (("train", "fine.json", "--cpu", "2"), 2, "train takes one device"),
        (("train", "fine.json", "--gpus", "97"), 5, "GPU"),
    ],
)
def test_devices_are_read_before_torch_is_imported(
    folder: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (folder / "fine.json").write_text('{"dataset": "folder:images", "network": "convnet"}')
    program = "import sys; sys.modules['torch'] = None; from paretosearch.__main__ import main; main()"
    command = [sys.executable, "-c", program, *arguments]
    result = subprocess.run(
        command, cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=100, check=False
    )
    refused(result, code, said)


def test_a_launch_whose_trials_all_fail_says_why_and_what_to_do(run: Run, folder: Path) -> None:
    recipe = '[recipe]\nlearning_rate_rule = "none"\nweight_decay = 0.5'
    rates = ("{ low = 0.01, high = 0.2, log = true }", "[99.0, 100.0]")
    long = ("low = 1, high = 3", "low = 8, high = 9")
    file = study(folder, "l", ("[recipe]", recipe), rates, long, ("trials = 6", "trials = 2"))
    said = ["all 2 trials of this launch failed, most often diverged: DivergedError", "--trials 4"]
    refused(run("launch", file, "--cpu", "1"), 1, *said)
    again = run("launch", file, "--cpu", "1")
    assert "the budget of study 'l' is spent, with 2 trials; --trials 4 goes on" in again.stdout
    assert again.returncode == 0


def test_a_study_file_here_is_suggested(run: Run) -> None:
    refused(run("launch", "tin", "--cpu", "1"), 3, "did you mean 'tiny.toml'?")


def test_a_storage_url_without_its_driver(run: Run) -> None:
    refused(run("launch", "tiny.toml", "--cpu", "1", "--storage", "postgresql://me@db/x"), 2, "psycopg")
    refused(run("front", "--storage", "nonsense"), 2, "nonsense")


def test_a_directory_that_cannot_be_written(run: Run, folder: Path) -> None:
    refused(run("launch", "tiny.toml", "--cpu", "1", "--storage", "sqlite:////proc/x.db"), 2, "/proc")
    (folder / "in-the-way").write_text("")
    refused(run("export", "e", "--out", "in-the-way/plots"), 2, "in-the-way")


def test_what_is_no_name_of_a_data_set_or_no_recipe_is_said(run: Run, folder: Path) -> None:
    refused(run("data", "fetch", "imagenet"), 2, "there is no data set 'imagenet'")
    (folder / "README.md").write_text("# Read me")
    refused(run("train", "README.md", "--cpu", "1"), 3, "README.md: this is no recipe")


def test_looking_where_nothing_was_launched(run: Run, tmp_path: Path) -> None:
    refused(run("front", cwd=tmp_path), 2, "paretosearch.db")
    assert list(tmp_path.iterdir()) == []  # looking makes no database


@pytest.mark.usefixtures("launched")
def test_a_study_or_trial_that_is_not_in_the_store(run: Run) -> None:
    refused(run("front", "tyni"), 2, "tyni", "tiny")
    refused(run("train", "--study", "tiny", "--trial", "99", "--cpu", "1"), 2, "99")
    refused(run("retime", "--study", "tiny", "--trial", "99", "--cpu", "1"), 2, "no trial 99", "it has trials 0 to 5")
    refused(run("retime", "--trial", "0", "--cpu", "2"), 2, "retime takes one device")
    refused(run("train"), 2, "RECIPE.json")
    refused(run("train", "no-such.json"), 2, "no-such.json")


def test_a_recipe_file_that_is_wrong(run: Run, folder: Path) -> None:
    (folder / "wrong.json").write_text('{"dataset": "folder:images", "network": "convnet", "epoch": 3}')
    refused(run("train", "wrong.json", "--cpu", "1"), 3, "epoch", "epochs")
    (folder / "torn.json").write_text('{"dataset": ')
    refused(run("train", "torn.json", "--cpu", "1"), 3, "torn.json")


@pytest.mark.usefixtures("launched")
def test_the_same_name_with_another_space(run: Run, folder: Path) -> None:
    (folder / "other").mkdir()
    changed = STUDY.replace("high = 32", "high = 64").replace("folder:images", f"folder:{folder}/images")
    (folder / "other" / "tiny.toml").write_text(changed)
    refused(run("launch", "other/tiny.toml", "--cpu", "1"), 3, "another space", "batch_size", "64", "new name")


@pytest.mark.usefixtures("launched")
def test_another_class_of_device_and_mixed_classes(run: Run) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.fail("this test needs two cores")
    refused(run("launch", "tiny.toml", "--cpu", "1x2"), 5, "is searched by the seconds of", "has cpu:", "new name")


def test_a_network_that_the_images_are_too_small_for(run: Run, folder: Path) -> None:
    file = study(folder, "g", ('"convnet"', '"torchvision:alexnet"'))
    refused(run("launch", file, "--cpu", "1"), 3, "alexnet")


def test_a_recipe_that_diverges_ends_fail_and_the_study_goes_on(run: Run, folder: Path) -> None:
    # Half of the trials have a learning rate and a weight decay that no network survives.
    recipe = '[recipe]\nlearning_rate_rule = "none"\nweight_decay = 0.5'
    file = study(folder, "h", ("[recipe]", recipe), ("{ low = 0.01, high = 0.2, log = true }", "[0.05, 100.0]"))
    result = run("launch", file, "--cpu", "1")
    assert result.returncode == 0, result.stderr
    assert "failed, diverged: DivergedError: the training loss is" in result.stdout
    assert "diverged" in run("status", "h").stdout
    assert len(json.loads(run("front", "h", "--json").stdout)) >= 1


def test_a_command_line_that_cannot_be_meant(run: Run) -> None:
    refused(run("lanch"), 2, "lanch", "launch")
    refused(run("launch", "--trials", "0"), 2, "--trials '0' is no whole number from 1 on")
    refused(run("launch", "--device-hours", "nan"), 2, "--device-hours 'nan' is no number of hours from 0.001 on")
    refused(run("launch", "--fleet", "nonsense"), 2, "--fleet 'nonsense' is no fleet (allowed: local, ray)")
    refused(run("dashboard", "--port", "nine"), 2, "--port 'nine' is no whole number from 0 to 65535")
    refused(run("front", "--nope"), 2, "--nope")


def test_a_batch_that_is_larger_than_the_data_is_said_before_any_training(run: Run, folder: Path) -> None:
    file = study(folder, "i", ("low = 8, high = 32", "low = 8, high = 512"))
    refused(run("launch", file, "--cpu", "1"), 3, "batch_size goes up to 512", "there are 96 images")


def test_looking_at_a_network_that_there_is_not_or_at_none(run: Run) -> None:
    refused(run("methods", "--network", "resnet19"), 3, "resnet19", "'resnet18'")
    refused(run("methods", "--image-size", "64"), 2, "--image-size", "--network NAME")
    refused(run("methods", "early_birds"), 3, "early_birds", "'early_bird'")
    refused(run("methods", "early_bird", "--network", "resnet8"), 2, "either a method or --network")


@pytest.mark.parametrize(
    ("name", "lines", "said"),
    [
        ("j1", '"prunetrain.penalty_ratio" = 0.2\n"prunetrain.interval" = 3', ["interval = 3", "3 epochs", "lower it"]),
        ("j2", '"net2net.schedule" = "widen@0.9"', ["widen@0.9 comes after the last of 3 epochs", "0.17 to 0.83"]),
        (
            "j3",
            '"prunetrain.penalty_ratio" = 1.0',
            ["j3.toml:14", "penalty_ratio", "1.0 is not a number from 0 to 0.9"],
        ),
        ("j4", '"net2net.schedule" = "widne"', ["j4.toml:14", "net2net.schedule", "did you mean 'widen'?"]),
    ],
)
def test_a_change_of_shape_that_could_never_come(
    run: Run, folder: Path, name: str, lines: str, said: list[str]
) -> None:
    file = study(folder, name, ("[recipe]", f"[recipe]\n{lines}"))
    refused(run("launch", file, "--cpu", "1"), 3, *said)


def test_pruning_of_a_network_of_which_nothing_can_be_cut(run: Run, folder: Path) -> None:
    pruned = '[recipe]\n"prunetrain.penalty_ratio" = 0.2\n"prunetrain.interval" = 1'
    swin = ('"convnet"', '"torchvision:swin_t"')
    file = study(folder, "k", ("[recipe]", pruned), swin, ('["max", "stochastic", "s3"]', '["native"]'))
    refused(run("launch", file, "--cpu", "1"), 3, "prunetrain needs channels that may change", "swin_t", "permute")
