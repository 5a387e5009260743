"""A study file that is wrong is refused in one line that helps."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paretosearch.errors import StudyFileError
from paretosearch.studyfile import StudyFile, load, shipped

#: What to replace in the good file, by what, and what is said about it.
WRONG = {
    "method searched without its switch": (
        '"label_smoothing.alpha" = { low = 0, high = 0.2 }',
        '"haar_stem.levels" = [1, 2]',
        '25: space.haar_stem.levels: does nothing while haar_stem.kind is "off"; set haar_stem.kind, or take it out',
    ),
    "method fixed without its switch": (
        "weight_decay = 0",
        "ssf.sparsity = 0.2",
        '15: recipe.ssf.sparsity: does nothing while ssf.structure is "off"; set ssf.structure, or take it out',
    ),
    "unknown key at the top": ("seed    = 7", "sead = 7", "4: sead: unknown key (did you mean 'seed'?)"),
    "misspelt key that is needed": ("dataset", "datset", "2: datset: unknown key (did you mean 'dataset'?)"),
    "misspelt option": (
        "seed    = 7",
        "keep_slow_format = true",
        "4: keep_slow_format: unknown key (did you mean 'keep_slow_formats'?)",
    ),
    "option of another type": (
        "seed    = 7",
        'keep_slow_formats = "yes"',
        "4: keep_slow_formats: 'yes' is not true or false",
    ),
    "option that is a number": ("seed    = 7", "keep_slow_formats = 1", "4: keep_slow_formats: 1 is not true or false"),
    "option in the recipe": (
        "weight_decay = 0",
        "keep_slow_formats = true",
        "15: recipe.keep_slow_formats: belongs at the top of the file",
    ),
    "option in the search": (
        "population = 12",
        "keep_slow_formats = true",
        "12: search.keep_slow_formats: belongs at the top of the file",
    ),
    "unknown table": ("[search]", "[serch]", "10: serch: unknown key (did you mean 'search'?)"),
    "unknown key in budget": ("trials  ", "trails  ", "7: budget.trails: unknown key (did you mean 'trials'?)"),
    "unknown key in search": (
        "population",
        "popluation",
        "12: search.popluation: unknown key (did you mean 'population'?)",
    ),
    "unknown field": (
        "weight_decay",
        "wait_decay",
        "15: recipe.wait_decay: unknown key (did you mean 'weight_decay'?)",
    ),
    "unknown axis": ("batch_size", "batchsize", "20: space.batchsize: unknown key (did you mean 'batch_size'?)"),
    "unknown parameter": (
        '"label_smoothing.alpha"',
        '"label_smoothing.alhpa"',
        "25: space.label_smoothing.alhpa: unknown key (did you mean 'label_smoothing.alpha'?)",
    ),
    "unknown parameter in a table of its Method": (
        '"label_smoothing.alpha"',
        "label_smoothing.alhpa",
        "25: space.label_smoothing.alhpa: unknown key (did you mean 'label_smoothing.alpha'?)",
    ),
    "unknown Method": (
        '"label_smoothing.alpha"',
        "label_smothing.alpha",
        "25: space.label_smothing: unknown key (did you mean 'label_smoothing'?)",
    ),
    "unknown key in a range": (
        "log2 = true",
        "lgo2 = true",
        "20: space.batch_size: lgo2: unknown key (did you mean 'log2'?)",
    ),
    "unknown data set": ('"cifar10"', '"cifar11"', "2: dataset: "),
    "unknown network": ('"resnet20"', '"resnet21"', "3: network: "),
    "unknown sampler": (
        '"tpe"',
        '"tpee"',
        "11: search.sampler: 'tpee' is not one of nsga2, nsga2-stock, tpe, gp, random, grid",
    ),
    "grid of a continuum": ('"tpe"', '"grid"', "21: space.learning_rate: has no end of values, and grid needs lists"),
    "seed that is fixed": ("weight_decay = 0", "seed = 0", "15: recipe.seed: belongs at the top of the file"),
    "unknown pooling": ('["max", "s3"]', '["max", "s4"]', "24: space.pooling: 's4' is not one of "),
    "unknown schedule": ('"constant"', '"linear"', "16: recipe.schedule: 'linear' is not one of "),
    "unknown number format": (
        '["fp32", "bf16"]',
        '["fp64"]',
        "19: space.number_format: 'fp64' is not one of fp32, tf32, bf16, fp16",
    ),
    "missing name": ('name    = "mine"', "", "1: name: is missing; it must be 1 to 100 ASCII letters"),
    "missing budget": (
        "[budget]\ntrials       = 64\ndevice_hours = 4",
        "",
        "1: budget: is missing; it must be a table with",
    ),
    "missing limit": (
        "trials       = 64\ndevice_hours = 4",
        "",
        "6: budget: a search needs an end; set trials, device_hours or both",
    ),
    "missing end of a range": (", high = 3", "", "22: space.epochs: high: is missing; it must be a number"),
    "end of a range that is a text": ("high = 3", 'high = "3"', "22: space.epochs: high: '3' is not a number"),
    "name with a space": ('"mine"', '"my study"', "1: name: 'my study' is not 1 to 100 ASCII letters"),
    "name with a line break": ('"mine"', '"mine\\n"', "1: name: 'mine\\n' is not 1 to 100 ASCII letters"),
    "name in Greek": ('"mine"', '"α"', "1: name: 'α' is not 1 to 100 ASCII letters"),
    "name that is too long": ('"mine"', f'"{"x" * 101}"', "1: name: 'xxxxxxxxxxxxxxxx"),
    "number for a name": ('"mine"', "3", "1: name: 3 is not 1 to 100 ASCII letters"),
    "date for a name": ('"mine"', "2026-01-01", "1: name: datetime.date(2026, 1, 1) is not 1 to 100 ASCII letters"),
    "seed below 0": ("= 7", "= -7", "4: seed: -7 is not a whole number from 0 to 2147483647"),
    "seed in quotes": ("= 7", '= "7"', "4: seed: '7' is not a whole number from 0 to 2147483647"),
    "no trials": ("= 64", "= 0", "7: budget.trials: 0 is not a whole number of at least 1"),
    "half a trial": ("= 64", "= 0.5", "7: budget.trials: 0.5 is not a whole number of at least 1"),
    "hours without an end": ("= 4", "= inf", "8: budget.device_hours: inf is not a number above 0"),
    "hours that are none": ("= 4", "= nan", "8: budget.device_hours: nan is not a number above 0"),
    "population of one": ("= 12", "= 1", "12: search.population: 1 is not a whole number from 2 to 10000"),
    "table that is none": ("[search]", "[[search]]", "10: search: "),
    "value out of range": (
        "weight_decay = 0",
        "weight_decay = 2",
        "15: recipe.weight_decay: 2 is not a number from 0 to 1",
    ),
    "truth value for a number": (
        "weight_decay = 0",
        "weight_decay = true",
        "15: recipe.weight_decay: true is not a number from 0 to 1",
    ),
    "range in recipe": (
        "weight_decay = 0",
        "weight_decay = [0, 1]",
        "15: recipe.weight_decay: [0, 1] is not a number from 0 to 1; lists and ranges belong in [space]",
    ),
    "value in space": (
        "epochs                  = { low = 1, high = 3 }",
        "epochs = 3",
        "22: space.epochs: 3 is no list of values and no range",
    ),
    "option out of range": ("[0, 0.9]", "[0, 1.9]", "23: space.momentum: 1.9 is not a number from 0 to 0.9999"),
    "option that is no number": (
        "[0, 0.9]",
        '[0, "0.9"]',
        "23: space.momentum: '0.9' is not a number from 0 to 0.9999",
    ),
    "no options": ('["fp32", "bf16"]', "[]", "19: space.number_format: a list of values needs at least one"),
    "option twice": (
        '["fp32", "bf16"]',
        '["fp32", "fp32"]',
        "19: space.number_format: 'fp32' stands twice in the list",
    ),
    "range upside down": (
        "low = 1, high = 3",
        "low = 3, high = 1",
        "22: space.epochs: low = 3 is above high = 1; exchange them",
    ),
    "range out of range": (
        "low = 1, high = 3",
        "low = 0, high = 3",
        "22: space.epochs: low = 0 is not a whole number from 1 to 10000",
    ),
    "range with a huge end": ("high = 3 ", f"high = {10**400} ", "22: space.epochs: high = 1000000000"),
    "half an epoch": (
        "low = 1, high = 3",
        "low = 1, high = 3.5",
        "22: space.epochs: high = 3.5 is not a whole number from 1 to 10000",
    ),
    "doublings that miss the end": (
        "high = 256",
        "high = 200",
        "20: space.batch_size: high = 200 is not low = 32 doubled some times; write 128 or 256",
    ),
    "doublings of a real number": (
        "high = 1, log =",
        "high = 1, log2 =",
        "21: space.learning_rate: log2 doubles whole numbers",
    ),
    "logarithm of a whole number": (
        "high = 256, log2",
        "high = 256, log",
        "20: space.batch_size: log is for real numbers",
    ),
    "logarithm from 0": (
        "high = 0.2 }",
        "high = 0.2, log = true }",
        "25: space.label_smoothing.alpha: log needs a low above 0, not 0",
    ),
    "log that is no truth value": ("log2 = true", "log2 = 1", "20: space.batch_size: log2: 1 is not true or false"),
    "range of names": (
        '["max", "s3"]',
        "{ low = 1, high = 2 }",
        "24: space.pooling: takes a list of values, not a range; each is one of ",
    ),
    "fixed and searched": (
        "weight_decay = 0",
        "epochs = 3",
        "15: recipe.epochs: is fixed here and searched in [space]; keep one of them",
    ),
    "seed in recipe": ("weight_decay = 0", "seed = 3", "15: recipe.seed: belongs at the top of the file"),
    "network in space": ("pooling  ", "network  ", "24: space.network: belongs at the top of the file"),
    "key twice": (
        "weight_decay = 0",
        'one_cycle.warmup = 0.1\n"one_cycle.warmup" = 0.1',
        "16: recipe.one_cycle.warmup: stands twice, once with a dot in its name; keep one of them",
    ),
    "syntax": ("seed    = 7", "seed    = ", "4: "),
    "syntax at the end": ("high = 0.2 }\n", "high = ", "25: "),
    "line break in a text": ('"mine"', '"mine', "1: "),
    "key of TOML twice": ("seed    = 7", "seed = 7\nseed = 8", "5: "),
    "NUL": ("seed    = 7", "seed = \x007", "4: "),
    "NUL in a comment": ("seed    = 7", "# \x00", "4: "),
    "number of many digits": ("seed    = 7", f"seed = {'7' * 5000}", "1: "),
    "deep nesting": ("seed    = 7", f"seed = {'[' * 50_000}", "1: is nested too deeply to be a study file"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_mistake_is_answered_with_its_line_its_value_and_what_is_allowed(
    case: str, good: str, complaint: Callable[[str], str]
) -> None:
    old, new, said = WRONG[case]
    assert old in good
    message = complaint(good.replace(old, new, 1))
    assert message.startswith(f"study.toml:{said}")
    assert len(message) < 600


def test_a_file_with_windows_line_ends_is_answered_with_the_same_lines(
    good: str, complaint: Callable[[str], str]
) -> None:
    text = good.replace("batch_size", "batchsize")
    assert complaint(text.replace("\n", "\r\n")) == complaint(text)


def test_a_space_without_an_axis_is_refused(good: str, complaint: Callable[[str], str]) -> None:
    text = good[: good.index("number_format")] + "epochs = [3]"
    assert complaint(text) == "study.toml:18: space: leaves nothing to search; give an axis at least two values"


def test_an_unknown_data_set_or_network_is_answered_with_what_there_is(
    good: str, complaint: Callable[[str], str]
) -> None:
    assert "did you mean 'cifar10" in complaint(good.replace('"cifar10"', '"cifar11"'))
    assert "did you mean 'convnet'" in complaint(good.replace('"resnet20"', '"convnt"'))


def test_a_file_that_is_not_utf8_is_answered_with_the_line_of_the_byte(tmp_path: Path, good: str) -> None:
    path = tmp_path / "latin.toml"
    path.write_bytes(good.replace("[search]", "# für\n[search]").encode("latin-1"))
    with pytest.raises(StudyFileError) as caught:
        load(str(path))
    assert str(caught.value) == f"{path}:10: byte 0xfc is not UTF-8; save the file as UTF-8 text"


def test_a_huge_file_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "huge.toml"
    with path.open("wb") as file:
        file.truncate(10 * 1024**2)
    with pytest.raises(StudyFileError, match=rf"^{path}: has 10485760 bytes, and a study file has at most 1048576$"):
        load(str(path))


def test_a_large_file_is_answered_as_quickly_as_a_small_one(good: str, complaint: Callable[[str], str]) -> None:
    text = good + "x = [\n" + "  1, # one\n" * 80_000 + "]\n"
    assert complaint(text).startswith("study.toml:26: space.x: unknown key")


def test_a_file_that_cannot_be_read_is_named_with_the_reason() -> None:
    path = "/proc/self/mem"  # root may read every file but this one
    with pytest.raises(StudyFileError, match=rf"^{path}: cannot be read: Input/output error$"):
        load(path)


def test_a_syntax_error_is_answered_with_its_column(good: str, complaint: Callable[[str], str]) -> None:
    assert complaint(good.replace("seed    = 7", "seed    = ")).endswith(" in column 11")
    assert complaint(good.replace("high = 0.2 }\n", "high = ")).endswith(" at the end of the file")


@pytest.mark.parametrize("name", ["quickstrat", "./quickstart.tml", "somewhere/quickstart.toml"])
def test_a_study_that_is_not_there_is_answered_with_the_nearest(name: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        load(name)
    assert str(caught.value) == f"there is no study file {name!r} and no shipped study (did you mean 'quickstart'?)"


@pytest.mark.parametrize("name", [".", "/"])
def test_a_folder_in_place_of_a_study_is_answered_with_what_to_do(name: str) -> None:
    with pytest.raises(StudyFileError, match="is a folder; copy studies/image_folder.toml"):
        load(name)


@pytest.mark.parametrize("name", ["", "nothing like it", "x" * 5000, "a\0b", "a\nb"])
def test_a_study_that_is_not_there_is_answered_with_all_there_are(name: str) -> None:
    with pytest.raises(StudyFileError) as caught:
        load(name)
    assert str(caught.value).endswith(f" and no shipped study (allowed: {', '.join(shipped())})")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.data())
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_happens_to_a_file_is_answered_in_one_line(tmp_path: Path, good: str, data: st.DataObject) -> None:
    lines = good.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        where = data.draw(st.integers(0, len(lines) - 1))
        damaged = data.draw(
            st.sampled_from([*good.splitlines(), "", "[space]", "[recipe.s3]", "epochs = 1", "x.y.z = {a.b = [1]}"])
            | st.text(max_size=8).map(lambda text: lines[where] + text)  # noqa: B023  # drawn at once
            | st.integers(0, 30).map(lambda length: lines[where][:length])  # noqa: B023
            | st.sampled_from(["0", "-1", "nan", "''", "[]", "{}", "true", "1e400", "[[1]]"]).map(
                lambda value: re.sub(r"=.*", f"= {value}", lines[where])  # noqa: B023
            )
        )
        lines[where] = damaged
    path = tmp_path / "damaged.toml"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    try:
        message = f"{path}:1: {load(str(path)).name}"
    except StudyFileError as error:
        message = str(error)
    assert re.match(rf"{path}:\d+: .", message)
    assert len(message.splitlines()) == 1


def test_a_method_whose_switch_is_off_or_searched_is_no_mistake(good: str, read: Callable[[str], StudyFile]) -> None:
    off = good.replace("weight_decay = 0", '"haar_stem.kind" = "off"\n"haar_stem.levels" = 2')
    searched = f'{good}"haar_stem.kind" = ["off", "haar"]\n"haar_stem.levels" = [1, 2]\n'
    assert "haar_stem.kind" not in read(off).space.axes
    assert "haar_stem.kind" in read(searched).space.axes
