"""The README says what the code says."""

from pathlib import Path

from paretosearch.api.listing import methods_markdown

README = Path(__file__).parents[1] / "README.md"


def test_the_table_of_methods_is_that_of_the_code() -> None:
    assert methods_markdown() in README.read_text(encoding="utf-8"), f"README.md needs:\n{methods_markdown()}"
