"""The parts that the networks share."""

from __future__ import annotations

from torch import nn

from paretosearch.method import Pool


def conv_bn_relu(inputs: int, outputs: int, edge: int = 3) -> nn.Sequential:
    """Make a convolution of an odd edge with batch norm and ReLU: (N, inputs, H, W) to (N, outputs, H, W)."""
    conv = nn.Conv2d(inputs, outputs, edge, padding=edge // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def classifier(features: int, classes: int) -> nn.Sequential:
    """Make global average pooling with a linear layer: (N, features, H, W) to logits (N, classes)."""
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes))


def pool_before(block: nn.Module) -> Pool:
    """Make the Pool that may take over the strides of a residual block, to stand right before it."""
    layers = (module for module in block.modules() if isinstance(module, nn.Conv2d | nn.AvgPool2d))
    return Pool(strided=tuple(layer for layer in layers if layer.stride in (2, (2, 2))))


def he_initialised(model: nn.Module) -> nn.Module:
    """Draw all convolution weights anew by He et al. 2015, arXiv:1502.01852, section 2.2, on the outgoing side."""
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return model
