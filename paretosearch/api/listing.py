"""Lists the methods of the catalogue."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from paretosearch.axis import spelled
from paretosearch.methods import CATALOGUE
from paretosearch.report.words import value_text


def methods_json() -> list[dict[str, Any]]:
    """Describe every Method as JSON can hold it."""
    return [
        {
            "name": method.name,
            "summary": method.summary,
            "slot": method.slot.value if method.slot else None,
            "parameters": {name: {"range": str(axis), "default": axis.default} for name, axis in method.space.items()},
            "timing": method.timing,
            "paper": method.paper,
        }
        for method in CATALOGUE
    ]


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
