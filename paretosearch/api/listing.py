"""Lists the methods of the catalogue."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from paretosearch.methods import CATALOGUE


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
    """Describe every Method as a table."""
    table = Table("method", "what it does", "slot", "parameters", "paper", box=None, pad_edge=False)
    for method in methods_json():
        parameters = "\n".join(f"{name}: {p['range']}" for name, p in method["parameters"].items())
        table.add_row(method["name"], method["summary"], method["slot"] or "", parameters, method["paper"])
    return table
