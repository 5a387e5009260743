"""The list of methods reads on a narrow terminal."""

import pytest
from rich.console import Console

from paretosearch.api.listing import method_json, method_page, methods_json, methods_markdown, methods_table
from paretosearch.errors import RecipeError
from paretosearch.method import Method
from paretosearch.methods import CATALOGUE


def test_every_method_and_parameter_is_whole_at_80_columns() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(methods_table())
    text = captured.get()
    assert "…" not in text
    for method in CATALOGUE:
        assert method.name in text
        assert all(f"  {name} = " in text for name in method.space)


@pytest.mark.parametrize("method", CATALOGUE, ids=lambda method: method.name)
def test_a_method_is_explained_with_the_meaning_of_each_parameter(method: type[Method]) -> None:
    explained = method_json(method.name)
    assert explained["explanation"][0].endswith(".")
    for key, parameter in explained["parameters"].items():
        assert len(parameter["meaning"]) > 10, key
    console = Console(width=80)
    with console.capture() as captured:
        console.print(method_page(method.name))
    lines = captured.get().splitlines()
    assert lines[0].startswith(f"{method.name}: ")
    assert all(any(line.startswith(f"{method.name}.{key} = ") for line in lines) for key in method.space)
    assert "`" not in captured.get()
    assert "Args:" not in captured.get()


def test_a_method_that_there_is_not_is_refused_with_the_next_best() -> None:
    with pytest.raises(RecipeError, match="there is no method 'early_birds'.*'early_bird'"):
        method_json("early_birds")


def test_what_is_simulated_is_called_so() -> None:
    console = Console(width=80)
    with console.capture() as captured:
        console.print(methods_table())
    assert "gradient_pruning (backward, simulated)" in captured.get()
    assert captured.get().count("simulated") == 1
    rows = [row for row in methods_markdown().splitlines() if "(simulated: it saves no time here)" in row]
    assert [row.split("`")[1] for row in rows] == ["gradient_pruning"]
    assert {m["name"] for m in methods_json() if m["timing"] == "simulated"} == {"gradient_pruning"}


def test_truth_values_are_spelled_as_a_study_file_has_them() -> None:
    console = Console(width=120)
    with console.capture() as captured:
        console.print(methods_table())
    (row,) = [line for line in captured.get().splitlines() if "renormalise" in line]
    assert row.split() == ["renormalise", "=", "false", "one", "of", "false,", "true"]
    assert not any(word in captured.get() for word in ("True", "False"))


def test_the_list_says_what_a_study_file_may_hold() -> None:
    described = {method["name"]: method for method in methods_json()}
    assert described["s3"]["slot"] == "pooling"
    assert described["prunetrain"]["parameters"]["interval"]["default"] == 2
    assert "widen@0.2x2+deepen@0.4" in described["net2net"]["parameters"]["schedule"]["range"]
