"""Selective backprop: which images, in which steps, and what the look at them leaves behind."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from paretosearch.errors import RecipeError
from paretosearch.methods.selective_backprop import LEAST, SelectiveBackprop, hardest
from paretosearch.recipe import Recipe
from paretosearch.run import Run
from paretosearch.testing.methods import BATCH, TinyTraining


def logits_and_labels(count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return 3 * torch.randn(count, 5, generator=generator), torch.randint(5, (count,), generator=generator)


@given(count=st.integers(1, 40), keep=st.floats(0.2, 1.0), seed=st.integers(0, 99))
def test_it_keeps_a_fixed_number_of_the_highest_losses(count: int, keep: float, seed: int) -> None:
    logits, labels = logits_and_labels(count, seed)
    index = hardest(logits, labels, keep)
    losses = F.cross_entropy(logits, labels, reduction="none")
    others = torch.ones(count, dtype=torch.bool).index_fill(0, index, value=False)
    assert len(index) == min(count, max(LEAST, -(-round(keep * count * 1e6) // 10**6)))
    assert index.tolist() == sorted(set(index.tolist()))
    assert not others.any() or losses[others].max() <= losses[index].min()


def test_half_of_a_batch_is_half_of_it() -> None:
    assert [len(hardest(*logits_and_labels(n), keep=0.5)) for n in (128, 127, 2, 1)] == [64, 64, 2, 1]
    assert len(hardest(*logits_and_labels(10), keep=0.3)) == 3


def test_targets_may_be_probabilities() -> None:
    logits, labels = logits_and_labels(20)
    assert torch.equal(hardest(logits, F.one_hot(labels, 5).float(), 0.4), hardest(logits, labels, 0.4))


def seen(method: SelectiveBackprop, epoch: int = 2) -> tuple[TinyTraining, list[tuple[Tensor, Tensor]]]:
    """Make one step in an epoch, and list what the ordinary step got."""
    got: list[tuple[Tensor, Tensor]] = []
    training = TinyTraining((method,))
    plain = training._ordinary_step

    def watched(run: Run, x: Tensor, y: Tensor) -> Tensor:
        got.append((x, y))
        return plain(run, x, y)

    training.run.model.train()
    training.run.epoch = epoch
    method.edit_step(watched)(training.run, *training.batch)
    return training, got


def test_the_step_is_an_ordinary_one_on_the_hardest_images() -> None:
    x, y = TinyTraining(()).batch
    logits = TinyTraining(()).run.model.train()(x)
    index = hardest(logits, y, 0.5)
    training, [(chosen, labels)] = seen(SelectiveBackprop(keep=0.5))
    assert torch.equal(chosen, x[index])
    assert torch.equal(labels, y[index])
    reference = TinyTraining(())
    reference.run.model.train()
    reference._ordinary_step(reference.run, chosen, labels)
    ours, theirs = training.run.model.state_dict(), reference.run.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs), "the look has left a trace"


def test_images_stay_channels_last() -> None:
    method, training = SelectiveBackprop(keep=0.5), TinyTraining(())
    training.run.logits = lambda images: images[:, 0, 0, :4]
    x = torch.randn(8, 3, 6, 6).to(memory_format=torch.channels_last)
    chosen, _ = method._chosen(training.run, x, torch.zeros(8, dtype=torch.int64))
    assert chosen.shape == (4, 3, 6, 6)
    assert chosen.is_contiguous(memory_format=torch.channels_last)


def variants(method: SelectiveBackprop, epochs: int, steps: int) -> list[list[str]]:
    training = TinyTraining(())
    run = training.run
    run.recipe, run.steps_per_epoch = Recipe("random", "convnet", epochs=epochs), steps

    def of_epoch(epoch: int) -> list[str]:
        run.epoch = epoch
        found = []
        for run.epoch_step in range(steps):
            found.append(method.variant(run))
        return found

    return [of_epoch(epoch) for epoch in range(epochs)]


def test_it_is_on_between_two_moments_and_every_second_step_is_plain() -> None:
    found = variants(SelectiveBackprop(keep=0.5), 10, 4)
    assert found[:5] == [[""] * 4] * 5
    assert found[5:9] == [["hardest", "", "hardest", ""]] * 4
    assert found[9] == [""] * 4


@pytest.mark.parametrize(("every", "expected"), [(0, "hhhhhhhh"), (4, "hhh.hhh.")])
def test_plain_steps_may_be_rarer_or_none(every: int, expected: str) -> None:
    (found,) = variants(SelectiveBackprop(keep=0.5, start=0.0, until=1.0, every=every), 1, 8)
    assert "".join("h" if name else "." for name in found) == expected


def test_an_epoch_outside_has_the_pattern_of_a_training_without_it() -> None:
    method, run = SelectiveBackprop(keep=0.5), TinyTraining(()).run
    said: Callable[[int], str] = lambda epoch: (setattr(run, "epoch", epoch), method.pattern(run))[1]  # noqa: E731
    assert [said(epoch) for epoch in range(4)] == ["", "", "on the hardest images", "on the hardest images"]


def quiet_spans(method: SelectiveBackprop, epochs: int) -> list[int]:
    run = TinyTraining(()).run
    run.recipe, told = Recipe("random", "convnet", epochs=epochs), []
    for run.epoch in range(epochs):
        told.append(method.quiet_until(run))
    return told


def test_its_steps_are_alike_until_it_begins_and_until_it_ends() -> None:
    assert quiet_spans(SelectiveBackprop(keep=0.5), 10) == [5] * 5 + [9] * 4 + [10]
    assert quiet_spans(SelectiveBackprop(keep=0.5, start=0.0, until=1.0), 4) == [4] * 4
    assert quiet_spans(SelectiveBackprop(), 4) == [4] * 4


def test_a_batch_of_few_images_keeps_two() -> None:
    _, [(chosen, _)] = seen(SelectiveBackprop(keep=0.2))
    assert len(chosen) == 2 == LEAST
    assert BATCH == 8


def test_a_time_without_the_middle_of_an_epoch_is_refused() -> None:
    method = SelectiveBackprop(keep=0.5, start=0.6, until=0.7)
    method.check(Recipe("random", "convnet", epochs=10))
    with pytest.raises(RecipeError) as caught:
        method.check(Recipe("random", "convnet", epochs=2))
    assert str(caught.value) == (
        "selective_backprop.start = 0.6 and until = 0.7 have no epoch between them in a training of 2 epochs; "
        "move them apart, or set selective_backprop.keep = 1"
    )


def test_the_refusal_counts_the_epochs_that_there_are_with_larger_batches() -> None:
    recipe = Recipe("random", "convnet", epochs=2, epochs_rule="updates", batch_size=512)
    assert recipe.total_epochs == 8
    with pytest.raises(RecipeError, match=r"in a training of 8 epochs; move them apart"):
        SelectiveBackprop(keep=0.5, start=0.6, until=0.65).check(recipe)
    SelectiveBackprop(keep=0.5, start=0.6, until=0.7).check(recipe)
