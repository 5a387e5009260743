"""Progressive resolution: which sizes, when, and that each is a phase of its own in time, operations and recordings."""

from __future__ import annotations

import importlib
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from paretosearch import methods, nets
from paretosearch.errors import RecipeError
from paretosearch.method import Pool
from paretosearch.methods.progressive_resolution import ProgressiveResolution
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.resolution import plain_share, resized, suited_edge, whole_epochs
from paretosearch.testing.images import image_set
from paretosearch.testing.recorder import OpRecorder
from paretosearch.training import Training, evaluation, forward, loop, replay, tiers, train
from paretosearch.training.flops import TRAINING_FORWARDS, flops_of
from paretosearch.training.sampling import Sample
from paretosearch.training.surgery import Surgeon

CPU = torch.device("cpu")
IMAGES = image_set(per_class=32, size=16)
RECIPE = Recipe(
    "stripes",
    "resnet8",
    width=0.25,
    epochs=5,
    batch_size=32,
    reference_batch_size=32,
    learning_rate=0.05,
    methods={"progressive_resolution": {"smallest": 0.5, "full_at": 0.8}},
)
#: Edge of the images in each epoch of that.
EDGES = [8, 8, 12, 12, 16]


def shares(epochs: int, **parameters: float) -> list[float]:
    method = ProgressiveResolution(**parameters)
    return [method._share(epoch, epochs) for epoch in range(epochs)]


def test_sizes_rise_in_equal_steps_to_the_full_one() -> None:
    assert shares(10, smallest=0.5) == [0.5] * 4 + [0.75] * 3 + [1.0] * 3
    assert shares(10, smallest=0.5, sizes=1) == [0.5] * 7 + [1.0] * 3
    assert shares(4, smallest=0.4, full_at=0.25) == [0.4, 1.0, 1.0, 1.0]
    assert shares(2, smallest=0.25) == [0.25, 1.0]


@pytest.mark.parametrize("epochs", range(2, 40))
def test_the_last_part_of_a_training_is_of_full_size(epochs: int) -> None:
    most = shares(epochs, smallest=0.5, full_at=0.85)
    assert most.count(1.0) >= 0.15 * epochs
    assert most[-1] == 1.0
    assert most == sorted(most)


def surgeon_of(network: str, size: int, channels: int = 3) -> Surgeon:
    model = nets.build(network, classes=3, channels=channels, image_size=size, width=0.125 if ":" not in network else 1)
    return Surgeon(model, torch.zeros(2, channels, size, size))


@pytest.mark.parametrize(
    ("network", "size", "share", "edge"),
    [
        ("resnet20", 32, 0.5, 16),
        ("resnet20", 32, 0.75, 24),
        ("resnet20", 28, 0.5, 16),  # 14 is no multiple of 4
        ("resnet20", 28, 0.75, 20),
        ("convnet", 28, 0.5, 16),
        ("vgg11", 64, 0.75, 64),  # 48 would be halfway between 32 and 64
        ("resnet18", 32, 0.25, 8),
        ("torchvision:squeezenet1_1", 40, 0.5, 32),  # 16 is too small for its poolings
        ("resnet20", 32, 1.0, 32),
    ],
)
def test_a_size_is_a_multiple_of_the_total_stride_on_which_the_network_works(
    network: str, size: int, share: float, edge: int
) -> None:
    surgeon = surgeon_of(network, size)
    assert suited_edge(surgeon, share) == edge
    surgeon.model(torch.zeros(2, 3, edge, edge))


def test_resizing_takes_means_and_keeps_what_has_the_size() -> None:
    x = torch.randn(4, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    small = resized(x, 8)
    assert small.shape == (4, 3, 8, 8)
    assert small.is_contiguous(memory_format=torch.channels_last)
    assert resized(x, 16) is x
    flat = resized(torch.full((1, 1, 16, 16), 0.7), 12)
    torch.testing.assert_close(flat, torch.full((1, 1, 12, 12), 0.7))
    stripes = (torch.arange(16).remainder(4).sub(1.5).abs() > 1).float().expand(1, 1, 16, 16)  # 1 0 0 1, four times
    assert (resized(stripes, 4)[..., 1:-1] - 0.5).abs().max() < 0.1  # the two pixels in the middle alone have 0


def trained(recipe: Recipe = RECIPE, **more: Any) -> Training:
    training = Training(recipe, IMAGES, CPU, **more)
    training.go(with_test=False)
    return training


def test_each_size_is_a_phase_and_its_operations_are_counted() -> None:
    seen: list[int] = []
    training = Training(RECIPE, IMAGES, CPU)
    call = training.stepper._step
    training.stepper._step = lambda run, x, y: seen.append(x.shape[-1]) or call(run, x, y)  # type: ignore[func-returns-value]
    outcome = training.go(with_test=False).outcome
    assert seen == [edge for edge in EDGES for _ in range(4)]
    assert [(phase.pattern, phase.steps, phase.epoch) for phase in outcome.phases] == [
        ("images of 8 pixels", 8, 0),
        ("images of 12 pixels", 8, 2),
        ("", 4, 4),
    ]
    flops = {edge: flops_of(training.run.model, (1, edge, edge), CPU).forward for edge in EDGES}
    assert [epoch.flops_per_image for epoch in outcome.epochs] == [flops[edge] for edge in EDGES]
    assert outcome.training_flops == TRAINING_FORWARDS * 128 * sum(flops[edge] for edge in EDGES)
    assert outcome.inference_flops == flops[16]
    assert flops[8] / flops[16] == pytest.approx(0.25, rel=0.01)


def test_every_evaluation_is_of_full_size(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[int] = set()
    measure = evaluation.accuracy

    def watched(model: nn.Module, batches: Any, *rest: Any) -> float:
        seen.update(x.shape[-1] for x, _ in batches)
        return measure(model, batches, *rest)

    monkeypatch.setattr(evaluation, "accuracy", watched)
    training = trained()
    assert seen == {16}
    norm = next(module for module in training.run.model.modules() if isinstance(module, nn.BatchNorm2d))
    assert int(norm.num_batches_tracked) == 4  # the batches of an epoch, at the end, of full size


def checkpoints(recipe: Recipe) -> tuple[nn.Module, list[bytes]]:
    kept: list[bytes] = []

    def keep(checkpoint: Mapping[str, Any]) -> None:
        file = io.BytesIO()
        torch.save(checkpoint, file)
        kept.append(file.getvalue())

    return train(recipe, IMAGES, CPU, keep=keep).model, kept


def test_a_training_goes_on_from_every_size() -> None:
    model, kept = checkpoints(RECIPE)
    for state in kept:
        continued = train(RECIPE, IMAGES, CPU, checkpoint=torch.load(io.BytesIO(state), weights_only=True))
        assert all(map(torch.equal, model.state_dict().values(), continued.model.state_dict().values()))
        assert [phase.pattern for phase in continued.outcome.phases] == [
            "images of 8 pixels",
            "images of 12 pixels",
            "",
        ]


def test_off_is_as_absent() -> None:
    plain = trained(replace(RECIPE, methods={}, epochs=2))
    off = trained(replace(RECIPE, methods={"progressive_resolution": {"smallest": 1.0}}, epochs=2))
    assert all(map(torch.equal, plain.run.model.parameters(), off.run.model.parameters()))
    assert {phase.setting.pattern for phase in plain.clock.phases} == {""}


def test_a_replay_times_each_size(monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = Outcome.from_json(train(RECIPE, IMAGES, CPU).outcome.to_json())
    seen: list[int] = []
    steps = loop.Training.steps

    def watched(training: Training, *arguments: Any) -> None:
        seen.append(training.run.image_size)
        steps(training, *arguments)

    monkeypatch.setattr(loop.Training, "steps", watched)
    module = importlib.import_module("paretosearch.training.replay")
    monkeypatch.setattr(module, "sample", lambda _: Sample(dict.fromkeys(range(3), 10), 0.0))
    again = replay(RECIPE, IMAGES, CPU, outcome)
    assert seen == [8, 12, 16]
    assert [phase.pattern for phase in again.phases] == [phase.pattern for phase in outcome.phases]
    assert all(phase.seconds > 0 for phase in again.phases)


def test_steps_are_recorded_anew_for_each_size_and_never_made_again_at_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "worth_recording", lambda *_: True)
    monkeypatch.setattr(forward, "fused", lambda _: None)
    monkeypatch.setattr(loop, "TRIAL_STEPS", 1)
    monkeypatch.setattr(loop, "QUEUED_STEPS", 1)
    recorder = OpRecorder()
    recipe = replace(RECIPE, batch_size=8, reference_batch_size=8)
    ours, theirs = trained(recipe, recorder=recorder), trained(recipe)
    assert recorder.recordings == 3
    assert not ours.stepper.refusal
    assert [result.loss for result in ours.results] == pytest.approx(
        [result.loss for result in theirs.results], abs=1e-5
    )
    for a, b in zip(ours.run.model.parameters(), theirs.run.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_what_is_recorded_counts_on_the_steps_of_a_size_alone() -> None:
    training = Training(RECIPE, IMAGES, CPU)
    method = next(m for m in training.methods if isinstance(m, ProgressiveResolution))
    for epoch, until in enumerate([2, 2, 4, 4, 5]):
        training.run.epoch = epoch
        assert method.quiet_until(training.run) == until


def test_compiled_code_is_made_anew_for_each_size() -> None:
    adapted: list[object] = []
    training = Training(RECIPE, IMAGES, CPU)
    adapt = training.forward.adapt
    training.forward.adapt = lambda *shape: adapted.append(shape) or adapt(*shape)  # type: ignore[func-returns-value]
    training.go(with_test=False)
    assert adapted == [(0, 32, 8), (0, 32, 12), (0, 32, 16)]


def test_the_strips_of_s3_divide_the_maps_of_every_size() -> None:
    recipe = replace(RECIPE, pooling="s3", methods={**RECIPE.methods, "s3": {"grid": 4}})
    training = Training(recipe, IMAGES, CPU)
    seen: set[int] = set()

    def note(_: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(inputs[0], Tensor):  # and nothing that traces the network
            seen.add(inputs[0].shape[-1])

    for place in training.run.model.modules():
        if isinstance(place, Pool):
            place.register_forward_pre_hook(note)
    assert training.go(with_test=False).outcome.status == "complete"
    assert seen == {4, 6, 8, 12, 16}
    assert not any(edge % 2 for edge in seen)


@pytest.mark.parametrize("number_format", ["bf16", "dfp16", "bfp8", "bf16-pure"])
def test_every_number_format_trains_on_every_size(number_format: str) -> None:
    assert train(replace(RECIPE, number_format=number_format), IMAGES, CPU).outcome.status == "complete"


def test_it_goes_with_pruning_growth_and_averages() -> None:
    others: dict[str, dict[str, Any]] = {
        "prunetrain": {"penalty_ratio": 0.8, "interval": 1, "threshold": 0.05},
        "net2net": {"schedule": "widen@0.6x1.5"},
        "ema": {"decay": 0.9},
        "haar_stem": {"kind": "haar"},
    }
    recipe = replace(RECIPE, channel_multiple=1, methods={**RECIPE.methods, **others})
    model, kept = checkpoints(recipe)
    continued = train(recipe, IMAGES, CPU, checkpoint=torch.load(io.BytesIO(kept[2]), weights_only=True))
    assert all(map(torch.equal, model.state_dict().values(), continued.model.state_dict().values()))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"epochs": 1}, "progressive_resolution.full_at = 0.8 leaves no epoch for smaller images in a training of 1"),
        (
            {"methods": {**RECIPE.methods, "net2net": {"schedule": "widen@0.4"}}},
            "changes the size of images after epoch 2 of 5, at which net2net grows the network",
        ),
        (
            {"methods": {**RECIPE.methods, "kernel_rescaling": {"until": 0.5}}},
            "progressive_resolution and kernel_rescaling both take the resolution slot; keep one of them",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError) as caught:
        methods.active(replace(RECIPE, **fields))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_that_has_no_use_for_smaller_images_is_refused() -> None:
    with pytest.raises(RecipeError, match="finds no size below the 16 pixels .* vgg11 takes, .* multiples of 16"):
        ProgressiveResolution(smallest=0.5).check_anatomy(surgeon_of("vgg11", 16), "vgg11")
    flat = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Flatten(), nn.Linear(2 * 64, 3))
    with pytest.raises(RecipeError, match="progressive_resolution.smallest = 0.5"):
        ProgressiveResolution(smallest=0.5).check_anatomy(Surgeon(flat, torch.zeros(2, 1, 8, 8)), "flat")
    with pytest.raises(RecipeError, match="vgg11"):
        train(replace(RECIPE, network="vgg11"), IMAGES, CPU)


def test_equal_trainings_have_one_spelling() -> None:
    def spelled(full_at: float, epochs: int = 10, **more: float) -> Mapping[str, object] | None:
        given = {"smallest": 0.5, "full_at": full_at, "sizes": 2, **more}
        recipe = replace(RECIPE, epochs=epochs, methods={"progressive_resolution": given})
        return ProgressiveResolution(**given).canonical(recipe)

    assert spelled(0.72) == spelled(0.79) == {"smallest": 0.5, "full_at": 0.7, "sizes": 2}
    assert spelled(0.55) == spelled(0.5) == {"smallest": 0.5, "full_at": 0.5, "sizes": 2}
    assert spelled(0.4, epochs=3, sizes=1) == spelled(0.5, epochs=3)
    assert spelled(0.7, epochs=1) is None


@pytest.mark.parametrize("epochs", range(1, 30))
def test_a_plain_share_has_as_many_epochs(epochs: int) -> None:
    for count in range(epochs):
        assert whole_epochs(plain_share(count, epochs, 0.7), epochs) == count


def test_it_settles_when_full_size_has_been_seen() -> None:
    assert methods.settled_at(RECIPE) == 5
    assert methods.settled_at(replace(RECIPE, epochs=10)) == 9
