"""NanoTrack V1, a Siamese tracker for phones and boards, as the two networks that a tracker calls.

The backbone sees the template once (127 x 127) and the search region each frame (255 x 255); the head compares their
features. Architecture after HonglinChu/SiamTrackers, NanoTrack V1 (mobile_v3.py, ban_v1.py), written anew: its
checkpoints name their tensors differently. The neck that the original builds and never calls is left out.
"""

from __future__ import annotations

import torch
from torch import nn

# MobileNetV3-Small's first rows: kernel, hidden width, output width, squeeze-and-excite width (0: none), hard-swish, stride.
_ROWS = (
    (3, 16, 16, 8, False, 2),
    (3, 72, 24, 0, False, 2),
    (3, 88, 24, 0, False, 1),
    (5, 96, 40, 24, True, 2),
    (5, 240, 40, 64, True, 1),
    (5, 240, 40, 64, True, 1),
    (5, 120, 48, 32, True, 1),
    (5, 144, 48, 40, True, 1),
)
_STEM_WIDTH = 16
_TEMPLATE_CELLS = 8 * 8


class ChannelGate(nn.Module):
    """Scales each channel of N x C x H x W by a factor that two 1x1 convolutions draw from the channel means."""

    def __init__(self, channels: int, hidden: int, gate: nn.Module) -> None:
        super().__init__()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.relu = nn.ReLU()
        self.expand = nn.Conv2d(hidden, channels, 1)
        self.gate = gate

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape as ``x``."""
        scaled: torch.Tensor = x * self.gate(self.expand(self.relu(self.reduce(self.pool(x)))))
        return scaled


class InvertedResidual(nn.Module):
    """MobileNetV3's block: widen, depthwise convolution, gate, narrow; the input is added where the shapes agree."""

    def __init__(self, width: int, row: tuple[int, int, int, int, bool, int]) -> None:
        super().__init__()
        kernel, hidden, out, squeeze, hard_swish, stride = row
        activation = nn.Hardswish if hard_swish else nn.ReLU
        self.residual = stride == 1 and width == out
        self.widen = nn.Identity() if width == hidden else _conv_norm(width, hidden, 1, activation=activation())
        self.depthwise = _conv_norm(hidden, hidden, kernel, stride=stride, groups=hidden)
        self.squeeze = ChannelGate(hidden, squeeze, nn.Hardsigmoid()) if squeeze else nn.Identity()
        self.activation = activation()
        self.narrow = _conv_norm(hidden, out, 1)
        # Without the widening convolution the activation comes before the gate, as in the original.
        self.gate_last = width == hidden

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """N x C x H x W to N x C' x H/stride x W/stride."""
        y = self.depthwise(self.widen(x))
        y = self.squeeze(self.activation(y)) if self.gate_last else self.activation(self.squeeze(y))
        out: torch.Tensor = self.narrow(y)
        return x + out if self.residual else out


class Backbone(nn.Module):
    """N x 3 x 127 x 127 to N x 48 x 8 x 8 (template), N x 3 x 255 x 255 to N x 48 x 16 x 16 (search); BGR, 0 to 255."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = _conv_norm(3, _STEM_WIDTH, 3, stride=2, activation=nn.Hardswish())
        widths = (_STEM_WIDTH, *(row[2] for row in _ROWS))
        self.blocks = nn.Sequential(*(InvertedResidual(width, row) for width, row in zip(widths, _ROWS, strict=False)))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Features at stride 16."""
        features: torch.Tensor = self.blocks(self.stem(image))
        return features


class PixelCorrelation(nn.Module):
    """Inner products of every template cell with every search cell: each template cell becomes a channel."""

    def forward(self, template: torch.Tensor, search: torch.Tensor) -> torch.Tensor:
        """N x C x h x w and N x C x H x W to N x h*w x H x W."""
        cells = template.flatten(2).transpose(1, 2)
        products = torch.matmul(cells, search.flatten(2))
        return products.reshape(search.shape[0], -1, search.shape[2], search.shape[3])


class Head(nn.Module):
    """Template N x 48 x 8 x 8 and search N x 48 x 16 x 16 to scores N x 2 x 16 x 16 and boxes N x 4 x 16 x 16.

    Scores are logits of background and target. Boxes are the distances from each cell to the left, top, right and bottom
    edges in pixels of the search region, positive by an exponential inside the network.
    """

    def __init__(self) -> None:
        super().__init__()
        self.correlation = PixelCorrelation()
        self.attention = ChannelGate(_TEMPLATE_CELLS, _TEMPLATE_CELLS, nn.Sigmoid())
        self.score_tower = _tower(width=128, kernels=(5, 5, 3))
        self.box_tower = _tower(width=96, kernels=(3, 3, 5, 5))
        self.score = nn.Conv2d(128, 2, 1)
        self.box = nn.Conv2d(96, 4, 1)

    def forward(self, template: torch.Tensor, search: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores and boxes, as the class says."""
        x = self.attention(self.correlation(template, search))
        return self.score(self.score_tower(x)), torch.exp(self.box(self.box_tower(x)))


def backbone() -> Backbone:
    """0.1905 M parameters; 11.53 M multiply-adds at 127 x 127, 45.88 M at 255 x 255."""
    return Backbone()


def head() -> Head:
    """0.0975 M parameters, 23.22 M multiply-adds, the correlation's matrix product among them."""
    return Head()


def _conv_norm(
    width: int, out: int, kernel: int, *, stride: int = 1, groups: int = 1, activation: nn.Module | None = None
) -> nn.Sequential:
    conv = nn.Conv2d(width, out, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
    layers = nn.Sequential()
    layers.add_module("conv", conv)
    layers.add_module("norm", nn.BatchNorm2d(out))
    if activation is not None:
        layers.add_module("activation", activation)
    return layers


def _tower(width: int, kernels: tuple[int, ...]) -> nn.Sequential:
    """Depthwise and pointwise convolutions, normalised once a pair, from the correlation's channels to ``width``."""
    tower = nn.Sequential()
    channels = _TEMPLATE_CELLS
    for kernel in kernels:
        pair = nn.Sequential()
        pair.add_module(
            "depthwise", nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
        )
        pair.add_module("pointwise", nn.Conv2d(channels, width, 1, bias=False))
        pair.add_module("norm", nn.BatchNorm2d(width))
        pair.add_module("activation", nn.ReLU6())
        tower.append(pair)
        channels = width
    return tower
