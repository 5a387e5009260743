"""The network's own pooling."""

from paretosearch.method import Method, Slot


class NativePooling(Method):
    """Leave the network's own max poolings and strides as they are."""

    name = "native"
    summary = "the network's own pooling or strides"
    slot = Slot.POOLING
