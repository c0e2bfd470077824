"""Networks that stay in a core's own cache while they compute, for recordings on machines that others share.

A network with 100 MB of weights streams them from memory in each iteration, and what the neighbours of a virtual machine do
there moves it by a fifth from one minute to the next: two launches right beside each other no longer agree, and nothing that
is small can be told. These compute as long, on activations of 0.4 MB and weights of 0.04 MB a layer. Weights are random: what
is studied is the measuring, not the network.
"""

from __future__ import annotations

from typing import Any

INPUT_SIZE = 56
_CHANNELS = 32
# Layers that take about 14 ms together on a core of 2 to 3 GHz.
_LAYERS = 28


def shallow() -> Any:  # noqa: ANN401  (torch is imported when a network is asked for)
    """About 14 ms an iteration."""
    return _stack(_LAYERS)


def deep() -> Any:  # noqa: ANN401  (as above)
    """About 40 ms an iteration: ten periods of a quota that is looked at every 4 ms."""
    return _stack(3 * _LAYERS)


def _stack(layers: int) -> Any:  # noqa: ANN401  (as above)
    from torch import nn

    body: list[nn.Module] = [nn.Conv2d(3, _CHANNELS, 3, padding=1)]
    for _ in range(layers):
        body += [nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body)
