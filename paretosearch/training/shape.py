"""Changes the shape of a network in training, with all that depends on it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from paretosearch.channels import Shadow
from paretosearch.outcome import NOTES, SurgeryResult
from paretosearch.run import Run
from paretosearch.surgery import Surgery
from paretosearch.training.clock import Clock
from paretosearch.training.flops import Flops, flops_of
from paretosearch.training.surgery import Surgeon


class Shape:
    """The shape of the network of a Run.

    Args:
        run: The training.
        surgeon: Who operates on its network.
        clock: Where the seconds of every change count.
        channels: Those of an image.
        shadows: Gives the state of Methods by parameter, which changes with it.

    Attributes:
        results: What was done so far.
    """

    def __init__(
        self,
        run: Run,
        surgeon: Surgeon,
        clock: Clock,
        channels: int,
        shadows: Callable[[], Iterable[Shadow]],
    ) -> None:
        self._run, self._clock, self._shadows = run, clock, shadows
        self._image_channels = channels
        # By the edge of an image and by which parameters are trained, since others need no gradient.
        self._flops: dict[tuple[int, tuple[bool, ...]], Flops] = {}
        self.surgeon = surgeon
        self.results: list[SurgeryResult] = []

    @property
    def flops(self) -> Flops:
        """Floating-point operations for one image, of the size that is trained on."""
        edge, model = self._run.image_size, self._run.model
        known_as = edge, tuple(parameter.requires_grad for parameter in model.parameters())
        if known_as not in self._flops:
            self._flops[known_as] = flops_of(model, (self._image_channels, edge, edge), self._run.device)
        return self._flops[known_as]

    @property
    def flops_per_image(self) -> int:
        """Floating-point operations of one forward pass of one image, of the size that is trained on."""
        return self.flops.forward

    def take_back(self, results: list[SurgeryResult]) -> None:
        """Go on behind changes that an earlier process made, and a Surgeon has repeated."""
        self.results, self._flops = results, {}

    def change(self, asked: Iterator[Surgery]) -> None:
        """Do what is asked for until nothing more is; asking is on the clock as well."""
        changed = False
        while True:
            with self._clock.event() as event:
                surgery = next(asked, None)
                if surgery is None:
                    break
                channels = None if surgery.kind in NOTES else self._operate(surgery)
            # Who only notes something has no need to know the channels, which takes time to find out: off the clock.
            channels = channels or (self._channels, self._channels)
            result = SurgeryResult(self._run.epoch, surgery.kind, *channels, event.seconds, surgery.figures)
            self.results.append(result)
            changed = changed or bool(surgery.operations)
        if changed:
            self._flops = {}

    def _operate(self, surgery: Surgery) -> tuple[int, int]:
        before = self._channels
        with self._clock.rebuild():
            self.surgeon.operate(surgery, self._shadows())
        return before, self._channels

    @property
    def _channels(self) -> int:
        return sum(space.size for space in self.surgeon.channels.spaces.values())
