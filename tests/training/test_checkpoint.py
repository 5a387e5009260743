"""A training that is continued from a checkpoint ends as one that was never stopped, bit by bit."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch
from torch import nn

from paretosearch.data import Batches
from paretosearch.errors import RecipeError
from paretosearch.methods import dynamic_batch
from paretosearch.methods.prunetrain import PruneTrain
from paretosearch.outcome import EpochResult
from paretosearch.recipe import Recipe
from paretosearch.run import StepCost
from paretosearch.testing.images import image_set
from paretosearch.training import Trained, loop, train

#: Cuts channels and a branch, grows twice, and doubles the batch.
CHANGING = Recipe(
    "stripes",
    "resnet8",
    epochs=6,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.5,
    augmentation="standard",
    pooling="stochastic",
    channel_multiple=4,
    methods={
        "prunetrain": {"penalty_ratio": 0.9, "interval": 1, "form": "proximal", "threshold": 0.1},
        "net2net": {"schedule": "widen@0.5x1.5+deepen@0.7"},
        "dynamic_batch": {"largest": 64},
    },
    seed=5,
)


def _with_a_dead_branch(_: PruneTrain, model: nn.Module) -> nn.Module:
    for name in ("1.conv2", "1.bn2"):  # zeros behind zeros have no gradient
        nn.init.zeros_(model.get_submodule(name).weight)  # type: ignore[arg-type]  # a parameter
    return model


@pytest.fixture(autouse=True)
def _in_every_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a step cost a second whatever its batch, so that the batch doubles; let a branch be dead."""
    monkeypatch.setattr(loop, "step_cost", lambda *_: StepCost(1.0, 0, None))
    monkeypatch.setattr(dynamic_batch, "LEAST_STEPS", 0)
    monkeypatch.setattr(PruneTrain, "edit_model", _with_a_dead_branch)


class _KilledError(Exception):
    pass


def go(recipe: Recipe, **options: Any) -> Trained:
    return train(recipe, image_set(per_class=32), torch.device("cpu"), **options)


@cache
def unbroken(recipe: Recipe) -> Trained:
    return go(recipe)


def killed_after(epoch: int, recipe: Recipe) -> bytes:
    """Train until an epoch is done; gives the last checkpoint as it lies on a disk."""
    kept: list[bytes] = []

    def keep(checkpoint: object) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    def end(result: EpochResult) -> None:
        if result.epoch == epoch:
            raise _KilledError

    with pytest.raises(_KilledError):
        go(recipe, keep=keep, on_epoch=end)
    assert len(kept) == epoch
    return kept[-1]


def continued(checkpoint: bytes, recipe: Recipe) -> Trained:
    torch.manual_seed(99)  # whatever another process drew
    return go(recipe, checkpoint=torch.load(io.BytesIO(checkpoint), weights_only=True))


def without_seconds(results: tuple[Any, ...]) -> list[Any]:
    clocked = ("train_seconds", "step_seconds", "step_seconds_iqr", "seconds")
    return [replace(r, **{name: 0.0 for name in clocked if hasattr(r, name)}) for r in results]


def test_the_training_to_be_broken_changes_its_shape_in_every_way() -> None:
    kinds = {surgery.kind for surgery in unbroken(CHANGING).outcome.surgeries}
    assert kinds >= {"prune", "remove", "widen", "deepen", "batch"}
    assert unbroken(CHANGING).outcome.epochs[-1].batch_size == 64
    assert any(s.channels_after < s.channels_before for s in unbroken(CHANGING).outcome.surgeries)


@pytest.mark.parametrize("epoch", [1, 2, 3, 4, 5])
def test_a_continued_training_ends_with_the_same_bits(epoch: int, note_fault: Callable[[str, str], None]) -> None:
    one, other = unbroken(CHANGING), continued(killed_after(epoch, CHANGING), CHANGING)
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert without_seconds(one.outcome.epochs) == without_seconds(other.outcome.epochs)
    assert without_seconds(one.outcome.surgeries) == without_seconds(other.outcome.surgeries)
    assert one.outcome.training_flops == other.outcome.training_flops
    difference = max(float((ours[name] - theirs[name]).abs().max()) for name in ours if ours[name].is_floating_point())
    note_fault("F14", f"killed after epoch {epoch} of 6: max difference {difference}")


#: An average over a fixed shape, and one that begins anew with every change of it.
AVERAGING = [
    replace(CHANGING, network="convnet", epochs=4, methods={"ema": {"decay": 0.99}}),
    replace(CHANGING, network="convnet", epochs=4, methods={"swa": {"start": 0.5, "per_epoch": 2}}),
    replace(CHANGING, methods={**CHANGING.methods, "swa": {"start": 0.5, "per_epoch": 2}}),
]


@pytest.mark.parametrize("recipe", AVERAGING, ids=["ema", "swa", "changing"])
def test_an_average_goes_on_with_the_same_bits(recipe: Recipe) -> None:
    one, other = unbroken(recipe), continued(killed_after(recipe.epochs - 1, recipe), recipe)
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert list(ours) == list(theirs)
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert without_seconds(one.outcome.epochs) == without_seconds(other.outcome.epochs)


def test_the_clock_goes_on_where_it_was() -> None:
    other = continued(killed_after(3, CHANGING), CHANGING).outcome
    third, fourth = other.epochs[2:4]
    assert 0 < third.train_seconds < fourth.train_seconds < (other.train_seconds or 0)


def test_a_checkpoint_of_another_recipe_is_refused() -> None:
    checkpoint = killed_after(1, CHANGING)
    with pytest.raises(RecipeError, match="of another Recipe"):
        continued(checkpoint, replace(CHANGING, learning_rate=0.06))


@pytest.mark.parametrize("epoch", [1, 2])
def test_images_that_alternate_go_on_on_the_other_side(epoch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[dict[int, bool]] = []  # of every image, in every epoch
    plain = Batches._draw

    def watched(of: Batches) -> tuple[torch.Tensor, ...]:
        order, *corners, mirrored = plain(of)
        sides.append(dict(zip(order.tolist(), mirrored.tolist(), strict=True)))
        return order, *corners, mirrored

    def trained(checkpoint: bytes | None) -> tuple[Trained, list[dict[int, bool]]]:
        sides.clear()
        state = torch.load(io.BytesIO(checkpoint), weights_only=True) if checkpoint else None
        images = replace(image_set(per_class=32), flip=True)
        return train(recipe, images, torch.device("cpu"), checkpoint=state, keep=keep), list(sides)

    def keep(checkpoint: object) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    monkeypatch.setattr(Batches, "_draw", watched)
    recipe = Recipe(
        "stripes", "convnet", width=0.25, epochs=3, batch_size=32, augmentation="alternating", norm_batches=0
    )
    kept: list[bytes] = []
    one, (first, second, third) = trained(None)
    other, rest = trained(kept[epoch - 1])
    assert first == third == {image: not side for image, side in second.items()}
    assert rest == [first, second, third][epoch:]
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.parametrize("number_format", ["bf16", "dfp16", "bfp16", "bfp8", "bf16-pure"])
def test_it_does_so_in_every_number_format(number_format: str) -> None:
    recipe = replace(CHANGING, number_format=number_format)
    one, other = unbroken(recipe), continued(killed_after(3, recipe), recipe)
    ours, theirs = one.model.state_dict(), other.model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    kinds = {surgery.kind for surgery in one.outcome.surgeries}
    assert kinds >= {"prune", "widen", "deepen", "batch"}
    assert one.outcome.epochs[-1].loss < one.outcome.epochs[0].loss
