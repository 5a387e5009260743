"""Recorded steps give what steps op by op give, and are recorded where that pays."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from paretosearch import methods
from paretosearch.method import Method, Slot
from paretosearch.methods.prunetrain import PROXIMAL_STEPS
from paretosearch.outcome import Outcome
from paretosearch.recipe import Recipe
from paretosearch.testing.acting import suited
from paretosearch.testing.images import image_set
from paretosearch.testing.recorder import OpRecorder
from paretosearch.training import Training, forward, loop, tiers
from paretosearch.training.tiers import Recorder, worth_recording

RECIPE = Recipe("stripes", "convnet", epochs=3, batch_size=8, reference_batch_size=8, learning_rate=0.02, width=0.5)

#: Loses a few channels, then all that `net2net` adds, so that steps are recorded anew again and again.
CHANGING = replace(
    RECIPE,
    network="resnet8",
    epochs=4,
    learning_rate=0.2,
    channel_multiple=2,
    pooling="stochastic",
    methods={
        "prunetrain": {"penalty_ratio": 0.8, "interval": 1, "threshold": 0.05},
        "net2net": {"schedule": "widen@0.5x2"},
    },
)


class Refusing:
    """A device on which nothing can be recorded."""

    def record(self, _: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        raise RuntimeError("operation not permitted when stream is capturing\nand a long tail")


@pytest.fixture(autouse=True)
def _recording_always_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    """Record whatever can be, and let the steps that are not recorded round as the recorded ones do.

    Layers cost what their weights are, so that two trainings choose the same ones.
    """
    monkeypatch.setattr(tiers, "worth_recording", lambda *_: True)
    monkeypatch.setattr(Training, "_layer_cost", lambda *given: sum(p.numel() for p in given[1].parameters()))
    monkeypatch.setattr(forward, "fused", lambda _: None)


def go(recipe: Recipe, recorder: Recorder | None) -> tuple[Outcome, Training]:
    training = Training(recipe, image_set(per_class=64), torch.device("cpu"), recorder=recorder)
    return training.go(with_test=False).outcome, training


def results(outcome: Outcome) -> list[tuple[float, float]]:
    return [(epoch.loss, epoch.accuracy) for epoch in outcome.epochs]


@pytest.mark.parametrize("recipe", [RECIPE, CHANGING], ids=["plain", "changing"])
def test_recorded_steps_have_the_losses_of_eager_ones(recipe: Recipe) -> None:
    recorder = OpRecorder()
    (recorded, ours), (eager, theirs) = go(recipe, recorder), go(recipe, None)
    assert {phase.tier for phase in recorded.phases} == {"eager", "graph"}
    assert {phase.tier for phase in eager.phases} == {"eager"}
    assert results(recorded) == [pytest.approx(pair, abs=1e-5) for pair in results(eager)]
    for a, b in zip(ours.run.model.parameters(), theirs.run.model.parameters(), strict=True):
        torch.testing.assert_close(a, b)


POOLINGS = [method.name for method in methods.CATALOGUE if method.slot is Slot.POOLING]
#: The last two act between steps alone.
SWITCHED = [
    m
    for m in methods.CATALOGUE
    if m.switch is not None and m.is_recordable and m.name not in ("net2net", "dynamic_batch")
]


@pytest.mark.parametrize("method", SWITCHED, ids=lambda method: method.name)
def test_every_method_can_be_recorded(method: type[Method]) -> None:
    on = suited(method).turned_on(method)
    network = "convnet5" if method.name == "kernel_rescaling" else "resnet8"
    parameters = {key: getattr(on, key) for key in method.space}
    # At a low rate, or what a tensor of it rounds otherwise than a number grows within an epoch.
    recipe = replace(RECIPE, network=network, learning_rate=0.002, methods={method.name: parameters})
    recorder = OpRecorder()
    (recorded, training), (eager, _) = go(recipe, recorder), go(recipe, None)
    assert recorder.recordings > 0
    assert not training.stepper.refusal
    assert results(recorded) == [pytest.approx(pair, abs=1e-5) for pair in results(eager)]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_pooling_can_be_recorded(pooling: str) -> None:
    recipe = replace(RECIPE, pooling=pooling)
    (recorded, training), (eager, _) = go(recipe, OpRecorder()), go(recipe, None)
    assert not training.stepper.refusal
    assert results(recorded) == [pytest.approx(pair, abs=1e-5) for pair in results(eager)]


def test_every_shape_is_recorded_anew() -> None:
    recorder = OpRecorder()
    outcome, _ = go(CHANGING, recorder)
    shapes = sum(phase.tier == "graph" for phase in outcome.phases)
    assert shapes > 1
    assert shapes <= recorder.recordings <= 2 * shapes  # with and without a proximal step


def test_where_nothing_can_be_recorded_steps_go_on_one_by_one() -> None:
    (refused, training), (eager, _) = go(RECIPE, Refusing()), go(RECIPE, None)
    assert results(refused) == results(eager)
    assert {phase.tier for phase in refused.phases} == {"eager"}
    assert training.stepper.refusal == "operation not permitted when stream is capturing"


class Failing:
    """A device that runs out of memory in the middle of a step."""

    def __init__(self, training: list[Training]) -> None:
        self._training = training

    def record(self, function: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
        def out_of_memory(*_: object, **__: object) -> None:
            raise torch.OutOfMemoryError("no memory left to record in")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(self._training[0].run.optimizer, "step", out_of_memory)
            function()
        raise AssertionError("the step has not been made")

    def forget(self) -> None:
        """Do nothing."""


@pytest.mark.parametrize("number_format", ["fp32", "fp16"])
def test_a_recording_that_fails_in_mid_step_leaves_nothing_behind(number_format: str) -> None:
    recipe = replace(RECIPE, number_format=number_format, width=0.125, epochs=2, batch_size=4)
    images, box = image_set(per_class=17), []
    box.append(Training(recipe, images, torch.device("cpu"), recorder=Failing(box)))
    failed = box[0].go(with_test=False).outcome
    assert box[0].stepper.refusal == "no memory left to record in"
    eager = Training(recipe, images, torch.device("cpu")).go(with_test=False).outcome
    assert results(failed) == results(eager)


def test_what_a_method_keeps_between_steps_stays_where_recorded_steps_find_it() -> None:
    """Nothing is cut, so one recording serves all epochs; an epoch ends between two proximal steps."""
    pruning = {"penalty_ratio": 0.4, "interval": 1, "form": "proximal", "threshold": 1e-8}
    recipe = replace(RECIPE, network="resnet8", epochs=4, learning_rate=0.1, methods={"prunetrain": pruning})
    images, recorder = image_set(per_class=50), OpRecorder()
    ours = Training(recipe, images, torch.device("cpu"), recorder=recorder)
    theirs = Training(recipe, images, torch.device("cpu"))
    for training in (ours, theirs):
        training.go(with_test=False)
    assert ours.run.steps_per_epoch % PROXIMAL_STEPS
    assert recorder.recordings == 2  # with and without a proximal step
    for a, b in zip(ours.run.model.parameters(), theirs.run.model.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-6)


def test_an_index_whose_length_the_host_must_ask_for_is_not_recorded() -> None:
    x = torch.arange(5.0)
    for reading in (lambda: x[x > 2], lambda: x.masked_select(x > 2), lambda: x.nonzero()):
        with pytest.raises(RuntimeError, match="not permitted"):
            OpRecorder().record(reading)


def test_a_step_that_reads_a_number_on_the_host_is_not_recorded() -> None:
    training = Training(RECIPE, image_set(per_class=64), torch.device("cpu"), recorder=OpRecorder())
    plain = training.stepper._step

    def reading(*arguments: object) -> Tensor:
        loss = plain(*arguments)  # type: ignore[arg-type]
        float(loss)
        return loss

    training.stepper._step = reading
    outcome = training.go(with_test=False).outcome
    assert "not permitted" in training.stepper.refusal
    assert outcome.status == "complete"


@pytest.mark.parametrize(
    ("steps", "step_seconds", "queued_seconds", "host_seconds", "pays"),
    [
        (500, 0.0024, 0.0005, 0.002, True),  # a small network on a fast device, which waits for the host
        (20, 0.0024, 0.0005, 0.002, False),  # too few to be worth it
        (500, 0.0024, 0.0024, 0.002, False),  # a device that does not wait
        (10_000, 0.1, 0.1, 0.004, True),  # a small gain, ten thousand times
        (40, 0.1, 0.1, 0.01, False),
    ],
)
def test_recording_pays_where_many_steps_wait_for_the_host(
    steps: int, step_seconds: float, queued_seconds: float, host_seconds: float, pays: bool
) -> None:
    assert worth_recording(steps, step_seconds, queued_seconds, host_seconds) is pays


def test_it_is_tried_once_for_each_shape_whether_recording_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "worth_recording", lambda _steps, _step, queued, _host: queued == 0.0)
    tried: list[float] = []
    decide = tiers.Stepper.decide

    def watched(stepper: tiers.Stepper, step_seconds: float, queued: float, steps: int) -> None:
        tried.append(queued)
        decide(stepper, step_seconds, queued, steps)

    monkeypatch.setattr(tiers.Stepper, "decide", watched)
    outcome, _ = go(CHANGING, OpRecorder())
    assert {phase.tier for phase in outcome.phases} == {"eager"}
    assert len(tried) == len(outcome.phases) > 1
    assert all(seconds > 0 for seconds in tried)


@pytest.mark.parametrize(("pays_from", "later"), [(1e9, False), (0.0, True)])
def test_algorithms_are_looked_for_at_first_and_then_where_many_steps_follow(
    monkeypatch: pytest.MonkeyPatch, pays_from: float, later: bool
) -> None:
    searched: list[bool] = []
    monkeypatch.setattr(loop, "SEARCH_PAYS_FROM", pays_from)
    monkeypatch.setattr(loop, "fit_to_shape", lambda _, search: searched.append(search))
    go(CHANGING, None)
    first, *others = searched
    assert first
    assert others
    assert set(others) == {later}
