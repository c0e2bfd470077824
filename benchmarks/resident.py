"""Networks that stay in a core's own cache while they compute, for recordings on machines that others share.

A network with 100 MB of weights streams them from memory in each iteration, and what the neighbours of a virtual machine do
there moves it by a fifth from one minute to the next: two launches right beside each other no longer agree, and nothing that
is small can be told. These compute as long, on small activations and weights. Weights are random: what is studied is the
measuring, not the network.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

# Activations of 0.4 MB, of which two are live. Layers that take about 14 ms together on a core of 2 to 3 GHz.
INPUT_SIZE = 56
_CHANNELS, _LAYERS = 32, 28
# Where a core has a cache of 0.5 MB, two of the above do not stay in it, and a launch may take 3 to 5 % longer for the pages
# that it was given. A convolution of 1 x 1 has no transformed weights, which are larger than itself.
_DEEP_CHANNELS, _DEEP_LAYERS = 64, 560
_DEEP_INPUT_SIZE_MOST = 30


def shallow() -> Any:  # noqa: ANN401  (torch is imported when a network is asked for)
    """About 14 ms an iteration."""
    return _stack(_CHANNELS, 3, _LAYERS)


def deep() -> Any:  # noqa: ANN401  (as above)
    """About 40 ms an iteration of ``deep_input_size``: ten periods of a quota that is looked at every 4 ms."""
    return _stack(_DEEP_CHANNELS, 1, _DEEP_LAYERS)


def deep_input_size() -> int:
    """The side in pixels of an input of which two activations take half of a core's second-level cache; 30 where that is large,
    as such a core is fast as well. Raises OSError where the kernel does not tell the cache's size."""
    said = Path("/sys/devices/system/cpu/cpu0/cache/index2/size").read_text(encoding="ascii")
    pixels = 1024 * int(said.strip().removesuffix("K")) / 2 / (2 * 4 * _DEEP_CHANNELS)
    return min(_DEEP_INPUT_SIZE_MOST, math.isqrt(int(pixels)))


def _stack(channels: int, kernel: int, layers: int) -> Any:  # noqa: ANN401  (as above)
    from torch import nn

    body: list[nn.Module] = [nn.Conv2d(3, channels, 3, padding=1)]
    for _ in range(layers):
        body += [nn.Conv2d(channels, channels, kernel, padding=kernel // 2), nn.ReLU()]
    return nn.Sequential(*body)
