"""The trials that a study begins with are written in its file."""

from collections.abc import Callable

import pytest

from paretosearch.studyfile import StudyFile

Read = Callable[[str], StudyFile]
Complaint = Callable[[str], str]


def test_what_a_trial_leaves_out_has_its_first_or_lowest_value(read: Read, good: str) -> None:
    text = f'{good}\n[first.large]\nepochs = 3\n"label_smoothing.alpha" = 0.1\n[first.small]\npooling = "s3"\n'
    study = read(text)
    corner = study.space.corner
    assert list(study.first) == ["large", "small"]
    assert study.first["large"] == {**corner, "epochs": 3, "label_smoothing.alpha": 0.1}
    assert study.first["small"] == {**corner, "pooling": "s3"}
    assert all(study.space.has(genome) for genome in study.first.values())


def test_a_study_may_begin_with_nothing(read: Read, good: str) -> None:
    assert read(good).first == {}


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ("[first.a]\nepochs = 4", "28: first.a.epochs: 4 is not a whole number from 1 to 3"),
        ("[first.a]\nepoch = 2", "28: first.a.epoch: unknown key (did you mean 'epochs'?)"),
        ("[first.a]\nwidth = 2.0", "28: first.a.width: is not searched; only axes of [space] differ between trials"),
        ("[first.a]\nseed = 2", "28: first.a.seed: belongs at the top of the file"),
        ("[first]\na = 2", "28: first.a: is no table; write [first.NAME] with values of axes below it"),
    ],
)
def test_a_trial_to_begin_with_that_is_wrong(complaint: Complaint, good: str, lines: str, message: str) -> None:
    assert complaint(f"{good}\n{lines}\n") == f"study.toml:{message}"
