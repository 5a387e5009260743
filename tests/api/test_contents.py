"""A study's data sets are compared with what its results are of, and the difference is shown."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from paretosearch.api.contents import changes, check_unchanged, contents_of, remark
from paretosearch.errors import StudyFileError
from paretosearch.store import Store, open_store
from paretosearch.testing.images import image_set
from paretosearch.testing.store.builders import study_record


def content(digest: str, train: int = 96, classes: str = "ab") -> dict[str, Any]:
    return {"digest": digest, "images": {"train": train, "validation": 12, "test": 12}, "classes": list(classes)}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_store(f"sqlite:///{tmp_path}/a.db")) as store:
        store.add_study(study_record("s", data_sets={"folder:x": content("1")}))
        store.add_study(study_record("older", data_sets=None))
        yield store


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (content("2", 104), "train: 96 -> 104 images"),
        (content("2"), "as many images, but other ones"),
        (content("2", classes="abc"), "classes: 2 -> 3, with 'c'"),
        (content("2", 90, "a"), "classes: 2 -> 1, without 'b', train: 96 -> 90 images"),
        (content("2", classes="acdefg"), "classes: 2 -> 6, without 'b' and with 'c', 'd', 'e' and 2 more"),
    ],
)
def test_the_difference_is_shown(now: dict[str, Any], said: str) -> None:
    assert changes({"folder:x": content("1"), "mnist": content("3")}, {"folder:x": now}) == {"folder:x": said}


def test_what_has_one_digest_or_was_never_known_has_not_changed(store: Store) -> None:
    assert changes({"x": content("1")}, {"x": content("1", classes="cd"), "y": content("2")}) == {}
    assert changes(None, {"x": content("1")}) == {}
    for study in ("s", "older", "new"):
        check_unchanged(study, store, {"folder:x": content("1")})
    check_unchanged("older", store, {"folder:x": content("2")})


def test_other_images_are_refused_with_the_ways_out(store: Store) -> None:
    with pytest.raises(StudyFileError) as caught:
        check_unchanged("s", store, {"folder:x": content("2", 104)})
    assert caught.value.exit_code == 3
    assert str(caught.value) == (
        "study 's' is in the store with other images (folder:x: train: 96 -> 104 images); put them back as they were, "
        "or give the study file a new name (by --from-study s it begins with the recipes of this front)"
    )


def test_a_training_beside_the_study_is_only_remarked_upon(store: Store) -> None:
    images = image_set()
    store.keep_data_sets("older", contents_of([images]))
    assert remark(images, "older", store.url) == remark(images, "s", store.url) == ""
    store.keep_data_sets("s", {"stripes": content("1")})
    said = (
        "not to be compared with study 's', as images have changed (stripes: classes: 2 -> 4, without 'a', 'b' and with"
    )
    assert remark(images, "s", store.url).startswith(said)
