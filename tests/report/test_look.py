"""Words and numbers of a language."""

import re

from paretosearch.report.german import GERMAN
from paretosearch.report.look import PAPER, Look

GERMAN_PAGE = Look("thesis", "de")


def test_every_translation_fills_in_the_same_values() -> None:
    for english, german in GERMAN.items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", german)), english


def test_numbers_alone_get_a_comma_and_names_keep_their_point() -> None:
    said = [GERMAN_PAGE.number(text) for text in ("0.25", "−12.5", "5.1e-4", "3", "widen@0.3x1.5", "torch 2.14")]
    assert said == ["0,25", "−12,5", "5,1e-4", "3", "widen@0.3x1.5", "torch 2.14"]
    assert PAPER.number("0.25") == "0.25"


def test_a_recipe_is_said_in_german() -> None:
    said = GERMAN_PAGE.words("bf16, batch 256, lr 0.1, 3 epochs, s3 pooling, net2net widen@0.3x2")
    assert said == "bf16, Batch 256, Lernrate 0,1, 3 Epochen, s3 Pooling, net2net widen@0.3x2"


def test_what_has_no_translation_stays() -> None:
    assert GERMAN_PAGE.say("prunetrain") == "prunetrain"
    assert GERMAN_PAGE.say("trial {number}", number=3) == "Versuch 3"
