"""A trial that cannot be had is refused with what would help, before anything slow begins."""

import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from paretosearch.api.fronts import chosen_recipe, open_study
from paretosearch.api.retiming import retime
from paretosearch.api.training import train
from paretosearch.device import Device
from paretosearch.errors import RecipeError, UsageError
from paretosearch.outcome import Outcome, failed
from paretosearch.recipe import Recipe
from paretosearch.store import StudyRecord, open_store

DEVICE = Device("cpu", "cpu-box-0", "Ryzen 7", 2**34, "box", 0, (0,))
RECIPE = Recipe("mnist", "resnet8")


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Trials 0 to 2 and 5: complete, failed, stopped and running."""
    url = f"sqlite:///{tmp_path}/store.db"
    store = open_store(url)
    created = datetime(2026, 1, 1, tzinfo=UTC)
    store.add_study(StudyRecord("s", "", "", {}, "random", 7, DEVICE.device_class, {}, created))
    store.add_device(DEVICE)
    complete = Outcome("complete", train_seconds=1.0, wall_seconds=1.0, accuracy=0.5)
    ends = [(0, complete), (1, failed("diverged", "the loss is nan")), (2, Outcome("stopped")), (5, None)]
    for trial, outcome in ends:
        attempt = store.start_attempt("s", trial, DEVICE, RECIPE)
        if outcome is not None:
            store.finish_attempt(attempt, outcome)
    store.close()
    return url


@pytest.mark.parametrize(
    ("trial", "said"),
    [
        (99, "no trial 99; it has trials 0 to 2, 5"),
        (0, "kept no phases"),
        (1, "failed (diverged: the loss is nan)"),
        (2, "was stopped; the next launch goes on with it"),
        (5, "is running"),
    ],
)
def test_a_trial_that_cannot_be_timed_again_is_refused_with_its_reason(url: str, trial: int, said: str) -> None:
    with pytest.raises(UsageError) as error:
        retime(trial, storage=url, cpu="1")
    assert said in str(error.value)


def test_training_a_trial_that_there_is_not_says_which_there_are(url: str) -> None:
    with pytest.raises(UsageError, match="no trial 99; it has trials 0 to 2, 5"):
        chosen_recipe(None, 99, "s", url, None)
    assert chosen_recipe(None, 1, "s", url, None) == RECIPE  # a failed one can be tried again


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ('{"haar_stem": {"levels": 2}}', 'haar_stem.levels = 2 does nothing while haar_stem.kind is "off"; set'),
        ('{"ssf": {"sparsity": 0.2}}', 'ssf.sparsity = 0.2 does nothing while ssf.structure is "off"; set ssf.struct'),
        ('{"layer_replacement": {}}', "layer_replacement does nothing while layer_replacement.gain is 0.0; set"),
    ],
)
def test_a_recipe_with_a_method_whose_switch_it_does_not_name_is_refused(tmp_path: Path, named: str, said: str) -> None:
    file = tmp_path / "recipe.json"
    file.write_text(f'{{"dataset": "mnist", "network": "resnet8",\n "methods":\n {named}}}')
    with pytest.raises(RecipeError) as error:
        chosen_recipe(file, None, None, None, None)
    assert str(error.value).startswith(f"{file}:3: {said}")


@pytest.mark.parametrize(("table", "command"), [("tree", "tree"), ("space", "launch")])
def test_a_study_file_is_no_recipe_and_says_what_runs_it(tmp_path: Path, table: str, command: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\n[{table}]\n')
    with pytest.raises(RecipeError) as caught:
        chosen_recipe(file, None, None, None, None)
    assert str(caught.value).startswith(f"{file}: this is no recipe: a recipe is a JSON object")
    assert str(caught.value).endswith(f"; a study file is run by paretosearch {command} {file}")


def test_a_recipe_may_say_that_a_method_is_off(tmp_path: Path) -> None:
    file = tmp_path / "recipe.json"
    named = '{"haar_stem": {"kind": "off", "levels": 2}, "label_smoothing": {"alpha": 0}}'
    file.write_text(f'{{"dataset": "mnist", "network": "resnet8", "methods": {named}}}')
    assert chosen_recipe(file, None, None, None, None).methods["haar_stem"]["levels"] == 2


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("fashion-mnist", "(did you mean 'fashion_mnist'? it was not launched there yet; start with: paretosearch lau"),
        ("cifar10", "(it was not launched there yet; start with: paretosearch launch cifar10)"),
        ("mine2", "(did you mean 'mine'?)"),
        ("zzz", "(allowed: mine)"),
    ],
)
def test_a_study_that_the_store_has_not_is_answered_with_the_one_that_was_meant(
    tmp_path: Path, name: str, said: str
) -> None:
    url = f"sqlite:///{tmp_path}/store.db"
    created = datetime(2026, 1, 1, tzinfo=UTC)
    open_store(url).add_study(StudyRecord("mine", "", "", {}, "random", 7, "cpu", {}, created))
    with pytest.raises(UsageError) as error:
        open_study(name, url)
    assert said in str(error.value)


def test_a_recipe_and_a_trial_are_not_both_trained(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not both"):
        chosen_recipe(tmp_path / "r.json", 0, None, None, None)
    with pytest.raises(UsageError, match="write --trial 3"):
        chosen_recipe(Path("3"), None, None, None, None)


@pytest.mark.parametrize(("cpu", "said"), [("nonsense", "no list of slots"), ("2", "takes one device")])
def test_a_wish_for_devices_is_read_before_anything_else(
    cpu: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it would raise
    with pytest.raises(UsageError, match=said):
        retime(0, cpu=cpu, storage=f"sqlite:///{tmp_path}/none.db")
    with pytest.raises(UsageError, match=said):
        train(RECIPE, cpu=cpu, out=tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []


def test_a_training_that_cannot_begin_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("paretosearch.fleet.devices.device_lock_folder", lambda: tmp_path / "here")
    (tmp_path / "here").mkdir()
    with pytest.raises(Exception, match="resnet9999"):
        train(Recipe("mnist", "resnet9999"), cpu="1", out=tmp_path / "here" / "a" / "b")
    assert list(tmp_path.iterdir()) == [tmp_path / "here"]
    assert not (tmp_path / "here" / "a").exists()
