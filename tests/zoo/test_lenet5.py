from __future__ import annotations

import torch

from edgebench.zoo.lenet5 import lenet5


def test_a_28_pixel_digit_gives_ten_scores_for_each_image() -> None:
    with torch.no_grad():
        assert lenet5().eval()(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_it_has_the_parameters_of_the_paper_without_its_sparse_connections() -> None:
    # 156 + 2,416 + 48,120 + 10,164 + 850: the second convolution sees all six maps here.
    assert sum(parameter.numel() for parameter in lenet5().parameters()) == 61_706
