"""LeNet-5 in its present-day form: ReLU and average pooling. LeCun et al., Proc. IEEE 86(11), 1998, figure 2."""

from __future__ import annotations

import torch
from torch import nn


class LeNet5(nn.Module):
    """Digits: N x 1 x 28 x 28 to N x 10 scores. The paper pads the image to 32 x 32, here the first layer does."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(1, 6, 5, padding=2)
        self.pool1 = nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool2 = nn.AvgPool2d(2)
        self.fc1 = nn.Linear(16 * 5 * 5, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, 10)
        self.relu = nn.ReLU()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Scores, N x 10."""
        x = self.pool1(self.relu(self.conv1(image)))
        x = self.pool2(self.relu(self.conv2(x)))
        x = self.relu(self.fc1(x.flatten(1)))
        scores: torch.Tensor = self.fc3(self.relu(self.fc2(x)))
        return scores


def lenet5() -> LeNet5:
    """61,706 parameters, 416,520 multiply-adds at 28 x 28."""
    return LeNet5()
