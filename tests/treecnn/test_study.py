"""A study of a tree is read, and each kind of study names the command that runs it."""

from pathlib import Path

import pytest

from paretosearch.errors import StudyFileError
from paretosearch.studyfile import load, shipped
from paretosearch.studyfile.reading import shipped_trees
from paretosearch.treecnn.rules import Rules
from paretosearch.treecnn.study import load_tree

GOOD = """\
name    = "mine"
dataset = "cifar10"
network = "resnet8"
seed    = 7

[tree]
groups = [4, 3, 3]

[recipe]
epochs  = 3
pooling = "s3"
"label_smoothing.alpha" = 0.1
"""


def test_the_shipped_study_has_the_thresholds_of_the_paper() -> None:
    assert shipped_trees() == ("tree_cnn",)
    assert "tree_cnn" not in shipped()
    study = load_tree("tree_cnn")
    assert study.rules == Rules(alpha=0.1, beta=0.1, shortcut=0.55, most_classes=10)
    assert study.given == "tree_cnn"
    assert (study.name, sum(study.groups), study.groups[0]) == ("tree_cnn", 10, 4)
    assert (study.recipe.dataset, study.recipe.network) == ("fashion-mnist", "convnet")


def test_a_study_says_how_its_networks_are_trained(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(GOOD)
    study = load_tree(str(tmp_path / "mine.toml"))
    assert (study.groups, study.likelihood_images, study.grown_epochs) == ((4, 3, 3), 0, 0)
    assert study.retrain_root == "always"
    assert (study.recipe.epochs, study.recipe.pooling, study.recipe.seed) == (3, "s3", 7)
    assert study.recipe.methods["label_smoothing"] == {"alpha": 0.1}


def test_a_launch_of_a_tree_is_refused_with_the_command_that_runs_it() -> None:
    with pytest.raises(StudyFileError) as caught:
        load("tree_cnn")
    message = str(caught.value)
    assert message.endswith("tree: classes that arrive in groups are no search; run paretosearch tree tree_cnn")
    assert "tree_cnn.toml:" in message
    assert "\n" not in message


def test_a_tree_of_a_search_is_refused_with_the_command_that_runs_it() -> None:
    with pytest.raises(StudyFileError) as caught:
        load_tree("quickstart")
    message = str(caught.value)
    told = "is a search, as it has a [space] table and no [tree] table; run paretosearch launch quickstart"
    assert message.endswith(f"/quickstart.toml {told}")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("groups = [4, 3, 3]", "groups = [1, 3]", "7: tree.groups: [1, 3] has a group that is too small"),
        ("groups = [4, 3, 3]", "groups = [4, 0]", "7: tree.groups: [4, 0] has a group that is too small"),
        ("groups = [4, 3, 3]", "groups = []", "7: tree.groups: [] is not a list of numbers of classes"),
        ("groups = [4, 3, 3]", 'groups = [4, "a"]', "7: tree.groups: 'a' is not a list of numbers of classes"),
        ("groups = [4, 3, 3]", "alpha = 0.1", "tree.groups: is missing; it must be a list of numbers of classes"),
        ("[recipe]", "alpha = 1.5\n[recipe]", "tree.alpha: 1.5 is not a number from 0 to 1"),
        ("[recipe]", "beta = nan\n[recipe]", "tree.beta: nan is not a number from 0 to 1"),
        ("[recipe]", "most_classes = 1\n[recipe]", "tree.most_classes: 1 is not a whole number of at least 2"),
        ("[recipe]", 'retrain_root = "never"\n[recipe]', "tree.retrain_root: 'never' is not one of always, changed"),
        ("[recipe]", "cap = 3\n[recipe]", "tree.cap: unknown key"),
        ("[tree]\ngroups = [4, 3, 3]", "", "mine.toml:1: tree: is missing; it must be a table with groups and others"),
        ("epochs  = 3", "epochs = 0", "recipe.epochs: 0 is not a whole number from 1 to 10000"),
        ("epochs  = 3", "epohs = 3", "recipe.epohs: unknown key (did you mean 'epochs'?)"),
        ("epochs  = 3", "epochs = [1, 2]", "recipe.epochs: [1, 2] is not a whole number"),
        ('"resnet8"', '"resnet9"', "3: network: there is no network 'resnet9'"),
        ("seed    = 7", "sed = 7", "4: sed: unknown key (did you mean 'seed'?)"),
        (
            '"label_smoothing.alpha" = 0.1',
            '"prunetrain.penalty_ratio" = 0.1',
            "a node goes on from its weights, which this may change",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in GOOD
    (tmp_path / "mine.toml").write_text(GOOD.replace(old, new))
    with pytest.raises(StudyFileError) as caught:
        load_tree(str(tmp_path / "mine.toml"))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_study_that_is_not_there_is_suggested() -> None:
    with pytest.raises(StudyFileError, match=r"did you mean 'tree_cnn'\?"):
        load_tree("tree_cmn")
