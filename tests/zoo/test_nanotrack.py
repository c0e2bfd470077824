from __future__ import annotations

import pytest
import torch

from edgebench.zoo.nanotrack import InvertedResidual, PixelCorrelation, backbone, head


@pytest.mark.parametrize(("side", "cells"), [(127, 8), (255, 16)])
def test_the_backbone_has_stride_16_and_48_channels(side: int, cells: int) -> None:
    with torch.no_grad():
        assert backbone().eval()(torch.zeros(1, 3, side, side)).shape == (1, 48, cells, cells)


def test_the_parts_have_the_published_parameters_together() -> None:
    # The README says 287.97 K, by a counter that leaves out the neck, which is built there and never called.
    used = sum(parameter.numel() for part in (backbone(), head()) for parameter in part.parameters())
    assert used == 287_966


def test_the_head_gives_two_scores_and_four_positive_distances_a_cell() -> None:
    with torch.no_grad():
        scores, boxes = head().eval()(torch.randn(2, 48, 8, 8), torch.randn(2, 48, 16, 16))
    assert scores.shape == (2, 2, 16, 16)
    assert boxes.shape == (2, 4, 16, 16)
    assert bool((boxes > 0).all())


def test_each_channel_of_the_correlation_is_one_template_cell_against_every_search_cell() -> None:
    template, search = torch.randn(2, 5, 2, 3), torch.randn(2, 5, 4, 6)
    found = PixelCorrelation()(template, search)
    assert found.shape == (2, 6, 4, 6)
    expected = (template[1, :, 1, 0] * search[1, :, 3, 5]).sum()
    # Template cell (1, 0) of two rows of three is channel 3.
    torch.testing.assert_close(found[1, 3, 3, 5], expected)


def test_a_block_adds_its_input_only_where_width_and_stride_allow() -> None:
    same = InvertedResidual(24, (3, 88, 24, 0, False, 1))
    for parameter in same.narrow.parameters():
        torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 24, 5, 5)
    torch.testing.assert_close(same.eval()(x), x)
    assert not InvertedResidual(16, (3, 72, 24, 0, False, 2)).residual
    assert not InvertedResidual(24, (5, 96, 40, 24, True, 1)).residual
