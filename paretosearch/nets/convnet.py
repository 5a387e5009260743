"""A small network that learns fast on one CPU core."""

from __future__ import annotations

from torch import nn

from paretosearch.method import Pool
from paretosearch.nets.blocks import classifier, conv_bn_relu, he_initialised
from paretosearch.nets.spec import NetSpec

# At 28x28 the first block costs most of the time, nearly all of it in batch norm and ReLU on the whole map: halving its
# channels and doubling three times from there learns more per second than 16-32-64 does.
CHANNELS = (8, 16, 32, 64)


#: Edges of the kernels of a block: those of convnet, and of one that has something for `kernel_rescaling`.
SMALL, LARGE = (3, 3, 3, 3), (5, 5, 3, 3)


def convnet(spec: NetSpec, kernels: tuple[int, ...] = SMALL) -> nn.Module:
    """Make four blocks of one convolution, with a place to pool between them.

    Args:
        spec: What the network must fit; the images need 8 pixels.
        kernels: Edge of the kernel in each block.
    """
    layers: list[nn.Module] = []
    inputs = spec.channels
    for outputs, edge in zip(map(spec.scaled, CHANNELS), kernels, strict=True):
        if layers:
            layers.append(Pool(native=nn.MaxPool2d(2)))
        layers.append(conv_bn_relu(inputs, outputs, edge))
        inputs = outputs
    return he_initialised(nn.Sequential(*layers, classifier(inputs, spec.classes)))
