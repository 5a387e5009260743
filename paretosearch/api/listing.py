"""Lists the methods of the catalogue, and explains one."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from paretosearch.axis import spelled
from paretosearch.method import Method
from paretosearch.methods import CATALOGUE, by_name
from paretosearch.report.words import value_text


def methods_json() -> list[dict[str, Any]]:
    """Describe every Method as JSON can hold it."""
    return [method_json(method.name) for method in CATALOGUE]


def method_json(name: str) -> dict[str, Any]:
    """Describe a Method as JSON can hold it.

    Raises:
        RecipeError: If there is none of this name.
    """
    method = by_name(name)
    meanings = _meanings(method)
    parameters = {
        key: {"range": str(axis), "default": axis.default, "meaning": meanings[key]}
        for key, axis in method.space.items()
    }
    return {
        "name": method.name,
        "summary": method.summary,
        "slot": method.slot.value if method.slot else None,
        "parameters": parameters,
        "timing": method.timing,
        "paper": method.paper,
        "explanation": _paragraphs(method),
    }


def method_page(name: str) -> Group:
    """Explain a Method, and each of its parameters; see `method_json`."""
    method = method_json(name)
    simulated = " (simulated: it saves no time here)" if method["timing"] == "simulated" else ""
    heading = Text.assemble((name, "bold"), f": {method['summary']}{simulated}")
    return Group(heading, *_explained(method))


def _explained(method: dict[str, Any]) -> Iterator[Text | Padding]:
    for paragraph in method["explanation"]:
        yield Text("\n" + paragraph)
    for key, parameter in method["parameters"].items():
        default = spelled(parameter["default"], value_text)
        yield Text.assemble("\n", (f"{method['name']}.{key}", "bold"), f" = {default}; {parameter['range']}")
        yield Padding(Text(parameter["meaning"]), (0, 0, 0, 4))


def _parts(method: type[Method]) -> tuple[str, str]:
    text, _, arguments = inspect.cleandoc(method.__doc__ or "").partition("\n\nArgs:\n")
    return text.replace("`", ""), arguments.replace("`", "")


def _paragraphs(method: type[Method]) -> list[str]:
    return [" ".join(paragraph.split()) for paragraph in _parts(method)[0].split("\n\n")]


def _meanings(method: type[Method]) -> dict[str, str]:
    """Give what the docstring says of each parameter."""
    said = re.split(r"^ {4}(\w+): ", _parts(method)[1], flags=re.MULTILINE)[1:]
    return {key: " ".join(meaning.split()) for key, meaning in zip(said[::2], said[1::2], strict=True)}


def methods_table() -> Table:
    """Describe every Method, with its parameters and their defaults below it."""
    table = Table("method, parameter = default", "what it does, what is allowed", box=None, pad_edge=False)
    table.columns[0].no_wrap = True
    for method in methods_json():
        said = ", ".join(filter(None, (method["slot"], "simulated" if method["timing"] == "simulated" else "")))
        slot = f" ({said})" if said else ""
        paper = f"[dim]; {method['paper']}[/]" if method["paper"] else ""
        table.add_row(f"[bold]{method['name']}[/]{slot}", method["summary"] + paper)
        for name, parameter in method["parameters"].items():
            table.add_row(f"  {name} = {spelled(parameter['default'], value_text)}", str(parameter["range"]))
    return table


def methods_markdown() -> str:
    """Describe every Method in a table for the README."""
    lines = ["| method | what it does | searched by | paper |", "|---|---|---|---|"]
    for method in CATALOGUE:
        kind = method.slot.value if method.slot else ""
        by = f"`{method.name}.{method.switch}`" if method.switch else f'`{kind} = "{method.name}"`'
        simulated = " (simulated: it saves no time here)" if method.timing == "simulated" else ""
        lines.append(f"| `{method.name}` | {method.summary}{simulated} | {by} | {method.paper} |")
    return "\n".join(lines)
