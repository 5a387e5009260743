"""Several views at test time: the answers for an image, its mirror image and shifted ones are averaged."""

from __future__ import annotations

from torch import nn

from paretosearch.axis import Choice, Value
from paretosearch.errors import RecipeError
from paretosearch.method import Method
from paretosearch.recipe import Recipe
from paretosearch.run import Sight
from paretosearch.views import View, Views

#: Views that are the image and its mirror image.
MIRRORED = 2


def views_of(count: int, mirrored: bool) -> tuple[View, ...]:
    """List the views of an image.

    Args:
        count: 1, the image; 2, with its mirror image; 6, with both moved by a pixel up and left, or down and right.
        mirrored: Whether there are mirror images.

    Returns:
        As many views, or half as many without mirror images. The image that is not moved weighs as much as the others
        together, as in airbench.
    """
    shifts = {0: 0.5, 1: 0.25, -1: 0.25} if count == 6 else {0: 1.0}
    sides = (False, True) if mirrored and count > 1 else (False,)
    return tuple(View(weight / len(sides), side, shift) for shift, weight in shifts.items() for side in sides)


class ViewAveraging(Method):
    """Evaluate the mean of the logits over several views of every image.

    The network is trained as it is without this, and whoever uses it pays for the views: the operations of an inference
    are so many times more. In the training's seconds are the forward passes beyond one for each image of the last
    evaluation of the validation split: of its measured seconds ``(views - 1) / views``. Evaluations before the last,
    and that of the test split, are on no clock, as with one view.

    What is kept of the network (``weights.pt``, ``network.py``, ONNX) averages the views as well.

    Paper: Jordan 2024, arXiv:2404.00498; the views and their weights are those of its code
    (github.com/KellerJordan/cifar10-airbench), which counts all passes of its last evaluation.

    Args:
        count: Views of an image: 1 is off, 2 adds its mirror image, 6 moves both by a pixel up and left, and down and
            right. A network that has seen no mirror image loses by them (convnet on 10 000 images of Fashion-MNIST 4
            to 6 points): where the data set forbids them there are half as many, and 2 is as good as off; so it is with
            ``augmentation = "none"``, where 2 is refused.
    """

    name = "test_views"
    summary = "logits averaged over mirrored and shifted images"
    paper = "Jordan 2024, arXiv:2404.00498"
    space = {"count": Choice((1, 2, 6), default=1)}
    switch = "count"
    off = 1

    count: int

    def __init__(self, **parameters: Value) -> None:
        super().__init__(**parameters)
        self._mirrored = False
        self._shown: Views | None = None

    def check(self, recipe: Recipe) -> None:
        """Refuse a mirror image that the network has never seen."""
        if self.count == MIRRORED and recipe.augmentation == "none":
            raise RecipeError(
                'test_views.count = 2 adds the mirror image of each, and with augmentation = "none" the network never '
                "learns what these show; use another augmentation, 6 views, which then are shifted ones, or 1"
            )

    def see(self, sight: Sight) -> None:
        """Learn whether the network knows mirror images."""
        self._mirrored = sight.mirrored

    def eval_model(self, model: nn.Module) -> nn.Module:
        """Give the network that looks at all views; the same one for the same network."""
        if self.passes() == 1:
            return model
        if self._shown is None or self._shown.network is not model:
            self._shown = Views(model, views_of(self.count, self._mirrored))
        return self._shown

    def passes(self) -> int:
        """Count the views."""
        return len(views_of(self.count, self._mirrored))
