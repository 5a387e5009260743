"""The list of methods reads on a narrow terminal."""

from rich.console import Console

from paretosearch.api.listing import methods_json, methods_markdown, methods_table
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
