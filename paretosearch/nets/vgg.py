"""VGG networks with batch norm for small images."""

from __future__ import annotations

from torch import nn

from paretosearch.method import Pool
from paretosearch.nets.blocks import classifier, conv_bn_relu, he_initialised
from paretosearch.nets.spec import NetSpec

#: Convolutions in each of the five stages by depth (configurations A, B and D), each stage ends in a pooling.
CONVOLUTIONS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3)}
CHANNELS = (64, 128, 256, 512, 512)


def vgg(spec: NetSpec, depth: int) -> nn.Module:
    """Make a VGG whose three dense layers are one linear layer behind global pooling.

    The five poolings need 32 pixels. On smaller images the last ones are left out, where the map is down to one
    pixel: a 28x28 image is pooled four times (14, 7, 3, 1).

    Paper: Simonyan & Zisserman 2015, arXiv:1409.1556, table 1.

    Args:
        spec: What the network must fit.
        depth: Weight layers of the original: 11, 13 or 16.
    """
    layers: list[nn.Module] = []
    inputs, edge = spec.channels, spec.image_size
    for channels, convolutions in zip(CHANNELS, CONVOLUTIONS[depth], strict=True):
        for _ in range(convolutions):
            layers.append(conv_bn_relu(inputs, spec.scaled(channels)))
            inputs = spec.scaled(channels)
        if edge > 1:
            layers.append(Pool(native=nn.MaxPool2d(2)))
            edge //= 2
    return he_initialised(nn.Sequential(*layers, classifier(inputs, spec.classes)))
