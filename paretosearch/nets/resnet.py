"""Residual networks for small images as well as for those of ImageNet's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from paretosearch.method import Pool
from paretosearch.nets.blocks import classifier, conv_bn_relu, he_initialised, pool_before
from paretosearch.nets.spec import NetSpec

if TYPE_CHECKING:
    from torchvision.models.resnet import BasicBlock, Bottleneck

CIFAR_CHANNELS = (16, 32, 64)
IMAGENET_CHANNELS = (64, 128, 256, 512)
IMAGENET_BLOCKS = {18: (2, 2, 2, 2), 50: (3, 4, 6, 3)}

#: Up to this edge in pixels the stem leaves the map as it is: the usual one would hand 2x2 pixels to the last stage.
SMALL_IMAGE = 64


def cifar_resnet(spec: NetSpec, depth: int) -> nn.Module:
    """Make a residual network of three stages for small images.

    Where the shape changes the shortcut is a 1x1 convolution (option B of the paper). CIFAR networks often pad it with
    zeros instead (option A), which ties the channels of neighbouring stages and so forbids to change them later.

    Paper: He et al. 2016, arXiv:1512.03385, section 4.2.

    Args:
        spec: What the network must fit; the images need 4 pixels.
        depth: Weight layers, 6n + 2 for n blocks a stage.
    """
    from torchvision.models.resnet import BasicBlock  # takes two seconds, which most processes need not wait

    stem = conv_bn_relu(spec.channels, spec.scaled(CIFAR_CHANNELS[0]))
    return _residual(spec, stem, BasicBlock, CIFAR_CHANNELS, ((depth - 2) // 6,) * 3)


def imagenet_resnet(spec: NetSpec, depth: int) -> nn.Module:
    """Make a residual network of four stages.

    Up to 64 pixels the stem is a 3x3 convolution without stride or pooling, above that the paper's.

    Paper: He et al. 2016, arXiv:1512.03385, table 1; the stride of a bottleneck is on its 3x3 convolution.

    Args:
        spec: What the network must fit; the images need 8 pixels.
        depth: Weight layers: 18 or 50.
    """
    from torchvision.models.resnet import BasicBlock, Bottleneck

    channels = spec.scaled(IMAGENET_CHANNELS[0])
    small = spec.image_size <= SMALL_IMAGE
    stem = conv_bn_relu(spec.channels, channels) if small else _large_stem(spec.channels, channels)
    return _residual(spec, stem, BasicBlock if depth < 50 else Bottleneck, IMAGENET_CHANNELS, IMAGENET_BLOCKS[depth])


def _large_stem(inputs: int, outputs: int) -> nn.Sequential:
    conv = nn.Conv2d(inputs, outputs, 7, 2, padding=3, bias=False)
    pool = Pool(native=nn.MaxPool2d(3, 2, padding=1))
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True), pool)


def _residual(
    spec: NetSpec,
    stem: nn.Module,
    block: type[BasicBlock | Bottleneck],
    channels: tuple[int, ...],
    counts: tuple[int, ...],
) -> nn.Module:
    layers, inputs = [stem], spec.scaled(channels[0])
    for planes, count in zip(map(spec.scaled, channels), counts, strict=True):
        layers += _stage(block, inputs, planes, count, stride=1 if len(layers) == 1 else 2)
        inputs = planes * block.expansion
    return he_initialised(nn.Sequential(*layers, classifier(inputs, spec.classes)))


def _stage(block: type[BasicBlock | Bottleneck], inputs: int, planes: int, count: int, stride: int) -> list[nn.Module]:
    outputs = planes * block.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = _projection(inputs, outputs, stride)
    first = block(inputs, planes, stride, shortcut)
    place = [pool_before(first)] if stride != 1 else []
    return [*place, first, *(block(outputs, planes) for _ in range(count - 1))]


def _projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Make a 1x1 convolution with a stride as two steps: drop pixels, then convolve.

    One step takes up to 1.5 times as long on a CPU. With fewer channels than a vector register holds (8 for AVX2) its
    backward in channels-last format even writes past a buffer, and the process dies: oneDNN issue 6035.
    """
    drop = [nn.AvgPool2d(1, stride)] if stride != 1 else []
    return nn.Sequential(*drop, nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
