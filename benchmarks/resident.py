"""Networks that stay in a core's own cache while they compute, for recordings on machines that others share.

A network with 100 MB of weights streams them from memory in each iteration, and what the neighbours of a virtual machine do
there moves it by a fifth from one minute to the next: two launches right beside each other no longer agree, and nothing that
is small can be told. These compute as long, on small activations and weights. Weights are random: what is studied is the
measuring, not the network.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

# Activations of 0.4 MB, of which two are live. Layers that take about 14 ms together on a core of 2 to 3 GHz.
INPUT_SIZE = 56
_CHANNELS, _LAYERS = 32, 28
# Activations of 0.37 MB, worked on in place: layers of some 20 us each on a core of 3 GHz, so that starting one is little.
ROOTS_INPUT_SIZE = 176
_ROOTS = 280


def shallow() -> Any:  # noqa: ANN401  (torch is imported when a network is asked for)
    """About 14 ms an iteration."""
    from torch import nn

    body: list[nn.Module] = [nn.Conv2d(3, _CHANNELS, 3, padding=1)]
    for _ in range(_LAYERS):
        body += [nn.Conv2d(_CHANNELS, _CHANNELS, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*body)


def roots() -> Any:  # noqa: ANN401  (as above)
    """About 6 ms an iteration, nearly all of it in the divider: what a hyperthread beside does moves it by a few percent.

    A busy sibling takes issue slots and ports, of which square roots use few: eight of them are one instruction, and one of
    these every five cycles leaves most of the core idle. On an AMD core (2026-11-29) whose neighbours slowed a loop of Python
    by 0.8 to 1.5 times its middle, launches stayed within 5 % of theirs.
    """
    from torch import Tensor, nn

    class Roots(nn.Module):
        """x plus the root of the root of ... 1 + |x|, which is 1 after some twenty: what is computed does not matter."""

        def forward(self, image: Tensor) -> Tensor:
            found = image.abs() + 1.0
            for _ in range(_ROOTS):
                found = found.sqrt()
            return image + found

    return Roots()


def many_roots(folder: Path, count: int) -> Path:
    """A chain of ``count`` roots as a file of ncnn's: pnnx takes over five minutes for 2400 layers.

    Without the sum of ``roots``. An AMD core of 2026-11-29 takes 17 us a root, another of 2026-11-30 takes 7.
    """
    size = ROOTS_INPUT_SIZE
    # ncnn's UnaryOp tells them apart by number.
    absolute, root = 0, 5
    layers = [f"Input in0 0 1 in0 0={size} 1={size} 2=3", f"UnaryOp abs 1 1 in0 x0 0={absolute}"]
    layers += [
        f"UnaryOp root{at} 1 1 x{at} {'out0' if at == count - 1 else f'x{at + 1}'} 0={root}" for at in range(count)
    ]
    path = folder / f"roots_{count}.param"
    path.write_text("\n".join(["7767517", f"{len(layers)} {len(layers)}", *layers, ""]), encoding="ascii")
    path.with_suffix(".bin").write_bytes(b"")
    return path
