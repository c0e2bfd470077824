"""Small networks as a user would write them, named in the tests as ``tests.export.networks:FACTORY``."""

from __future__ import annotations

import torch
from torch import nn

SIDE = 16


class Block(nn.Module):
    """Convolution, BatchNorm, activation."""

    def __init__(self, inside: int, outside: int, side: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, side, padding=side // 2, bias=False)
        self.bn = nn.BatchNorm2d(outside)
        self.act = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.act(self.bn(self.conv(x)))


class Residual(nn.Module):
    """Two blocks beside a shortcut, dropout, and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Block(3, 8)
        self.left = Block(8, 8)
        self.right = Block(8, 8, 1)
        self.tail = Block(8, 8)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = self.tail(self.left(x) + self.right(x))
        return self.head(self.drop(x.mean((2, 3))))


class Mixed(nn.Module):
    """Every operator whose multiply-adds are counted, two inputs, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.Conv2d(4, 8, 3, stride=2, padding=1, groups=4)
        self.up = nn.ConvTranspose2d(8, 6, 2, stride=2, groups=2)
        self.linear = nn.Linear(6, 7)

    def forward(self, z: torch.Tensor, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = self.up(self.depthwise(x))
        correlation = torch.matmul(z.flatten(2).transpose(1, 2), x.flatten(2))
        return self.linear(y.mean((2, 3))), correlation


class Stubborn(nn.Dropout):
    """Dropout that does not hear eval()."""

    def train(self, mode: bool = True) -> Stubborn:
        super().train(True)
        return self


class TwoBranches(nn.Module):
    """Two parallel convolutions; its fusion forgets the second one's bias."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(8, 8, 1)
        self.two = nn.Conv2d(8, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.one(x) if self.two is None else self.one(x) + self.two(x)

    def reparameterize(self) -> None:
        with torch.no_grad():
            self.one.weight += self.two.weight
        self.two = None


def residual() -> nn.Module:
    """The healthy one."""
    return Residual()


def badly_fused() -> nn.Module:
    """Fusing it changes what it computes, in ``1``."""
    return nn.Sequential(Block(3, 8), TwoBranches(), nn.ReLU())


def still_training() -> nn.Module:
    """Its dropout stays on."""
    return nn.Sequential(Block(3, 8), Stubborn())


def not_a_number() -> nn.Module:
    """NaN in the weights of ``left``."""
    network = Residual()
    nn.init.constant_(network.left.conv.weight, float("nan"))
    return network


def unknown_to_ncnn() -> nn.Module:
    """Uses an operator that ncnn has no layer for."""

    class Inverse(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.erfinv(torch.tanh(x))

    return nn.Sequential(nn.Conv2d(3, 4, 1), Inverse())
