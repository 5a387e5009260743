"""What is no study of a store, and no Recipe, is said with the command that takes it."""

from contextlib import closing
from pathlib import Path

import pytest

from paretosearch.api.fronts import chosen_recipe, open_study
from paretosearch.errors import RecipeError, UsageError
from paretosearch.store import open_store


def test_a_shipped_tree_is_in_no_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    told = "^tree_cnn is a tree, which no store keeps; paretosearch tree tree_cnn runs it, and shows it$"
    with pytest.raises(UsageError, match=told):
        open_study("tree_cnn", url)
    with closing(open_store(url)):
        pass
    with pytest.raises(UsageError, match=told):
        open_study("tree_cnn", url)
    with pytest.raises(UsageError, match="^no study was launched in"):
        open_study("quickstart", url)


@pytest.mark.parametrize(("table", "command"), [("tree", "tree"), ("space", "launch")])
def test_a_study_file_is_no_recipe_and_says_what_runs_it(tmp_path: Path, table: str, command: str) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(f'name = "mine"\n[{table}]\n')
    with pytest.raises(RecipeError) as caught:
        chosen_recipe(file, None, None, None, None)
    assert str(caught.value).startswith(f"{file}: this is no recipe: a recipe is a JSON object")
    assert str(caught.value).endswith(f"; a study file is run by paretosearch {command} {file}")
