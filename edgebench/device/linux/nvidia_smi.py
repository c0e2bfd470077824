"""What NVIDIA's ``nvidia-smi`` prints of a GPU, a line a sample: what cannot be read is None or absent."""

from __future__ import annotations

import re

from edgebench.device.linux.board_sample import GPU_BOARD, BoardSample
from edgebench.device.temperature import plausible

FIELDS = ("utilization.gpu", "clocks.sm", "clocks.mem", "temperature.gpu", "power.draw")
"""In this order, by ``--query-gpu=… --format=csv,noheader,nounits``: percent, MHz, MHz, °C, W."""
# A field that it does not have is [N/A] or [Not Supported].
_FIELD = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)|\[[A-Za-z/ ]+\]")


def parse_nvidia_smi(text: str) -> tuple[BoardSample, ...]:
    """Every finished line that holds anything, in order. Nothing of a line that has another number of fields."""
    samples = []
    # Whoever reads while it writes gets half a line, and half a number.
    for line in text[: text.rfind("\n") + 1].splitlines():
        found = [_FIELD.fullmatch(field.strip()) for field in line.split(",")]
        if len(found) != len(FIELDS) or not all(found):
            continue
        values = [float(each[1]) if each and each[1] else None for each in found]
        percent, sm_mhz, memory_mhz, celsius, watts = values
        samples.append(
            BoardSample(
                gpu_percent=None if percent is None or percent > 100 else round(percent),
                gpu_mhz=None if sm_mhz is None else round(sm_mhz),
                memory_mhz=None if memory_mhz is None else round(memory_mhz),
                temperature_c={} if celsius is None or not plausible(celsius) else {"gpu": celsius},
                power_mw={} if watts is None else {GPU_BOARD: round(watts * 1e3)},
            )
        )
    return tuple(samples)
