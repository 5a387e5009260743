"""Max pooling at every place of the network."""

from functools import partial

from torch import nn

from paretosearch.method import Method, Slot, fill_pools


class MaxPooling(Method):
    """Give the largest value of each 2x2 window, instead of a stride too."""

    name = "max"
    summary = "largest value of each 2x2 window"
    slot = Slot.POOLING

    def edit_model(self, model: nn.Module) -> nn.Module:
        return fill_pools(model, partial(nn.MaxPool2d, 2), self.name)
