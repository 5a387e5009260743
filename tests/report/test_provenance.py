"""Where figures come from is said beside them."""

import re

from paretosearch.report.findings import findings
from paretosearch.report.look import PAPER, Look
from paretosearch.report.provenance import provenance
from paretosearch.store import Store


def test_what_must_be_known_is_there(store: Store, study: str) -> None:
    found = findings(store, study)
    text = provenance(found, Look("slides", "de"))
    assert found.record.text in text
    for said in (
        "Not confirmed",
        "train_seconds",
        "| torch | 2.14.1 |",
        "seed 7",
        "Ryzen 7",
        "--style slides --lang de",
    ):
        assert said in text
    for point in found.front.points:
        assert f"| {point.trial} | {point.recipe.seed} |  | {point.digest} |" in text
    assert text.startswith("# Where the figures of `fashion-mnist` come from")


def test_a_confirmed_front_names_the_seeds_of_its_repeats(shaped: Store, study: str) -> None:
    text = provenance(findings(shaped, study), PAPER)
    assert re.search(r"\*\*Partly confirmed\*\*: \d+ of \d+ front trials are repeated; \d+.* not\.", text)
    assert "Not confirmed" not in text
    assert "| 1001 1002 |" in text


def test_a_name_neither_ends_its_quotes_nor_the_command(hostile: Store, hostile_study: str) -> None:
    text = provenance(findings(hostile, hostile_study), PAPER)
    assert text.startswith(f"# Where the figures of `` {hostile_study} `` come from")
    assert f"paretosearch export '{hostile_study}' --style" in text
    fences = re.findall("^`{3,}$", text, re.MULTILINE)
    assert len(fences) % 2 == 0
