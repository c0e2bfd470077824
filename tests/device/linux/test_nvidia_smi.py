"""What nvidia-smi prints, whole and damaged."""

from __future__ import annotations

import random

import pytest

from edgebench.device.linux.board_sample import GPU_BOARD, BoardSample
from edgebench.device.linux.nvidia_smi import parse_nvidia_smi
from tests.damaged_text import damaged


def test_a_line_is_a_sample() -> None:
    [sample] = parse_nvidia_smi("63, 1410, 1215, 45, 123.45\n")
    assert sample == BoardSample(
        gpu_percent=63, gpu_mhz=1410, memory_mhz=1215, temperature_c={"gpu": 45.0}, power_mw={GPU_BOARD: 123450}
    )


@pytest.mark.parametrize(
    "line",
    [
        "63, 1410, 1215, 45\n",
        "63, 1410, 1215, 45, 123.45, 7\n",
        "63 %, 1410 MHz, 1215 MHz, 45, 123.45 W\n",
        "63, 1410, 1215, 45, 12",
        "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.\n",
        "",
    ],
)
def test_what_is_no_whole_line_says_nothing(line: str) -> None:
    assert parse_nvidia_smi(line) == ()


def test_a_field_that_the_gpu_does_not_have_is_none() -> None:
    [sample] = parse_nvidia_smi("[N/A], 1410, [Not Supported], [N/A], [N/A]\n")
    assert sample == BoardSample(gpu_mhz=1410)


def test_a_load_above_all_and_a_temperature_that_cannot_be_are_not_known() -> None:
    [sample] = parse_nvidia_smi("163, 1410, 1215, 999, 1.5\n")
    assert sample.gpu_percent is None and sample.temperature_c == {}


def in_units(line: str, rng: random.Random) -> str:
    fields = line.split(", ")
    place = rng.randrange(len(fields))
    fields[place] += rng.choice((" %", " MHz", " W", " mW"))
    return ", ".join(fields)


def test_ten_thousand_damaged_logs_give_true_samples_or_none() -> None:
    """Lines deleted, doubled, moved, with units, and cut short."""
    rng = random.Random(20261127)  # noqa: S311  (repeatable, no secret)
    known = 0
    for _ in range(10_000):
        lines = [
            f"{rng.randint(0, 100)}, {rng.randint(100, 2000)}, {rng.randint(100, 2000)}, {rng.randint(20, 90)}, "
            f"{rng.randint(10, 400)}.{rng.randint(10, 99)}"
            for _ in range(4)
        ]
        truth = [parse_nvidia_smi(f"{line}\n")[0] for line in lines]
        samples = parse_nvidia_smi(damaged(lines, "\n", in_units, rng))
        assert all(sample in truth for sample in samples)
        known += len(samples)
    assert known > 25_000, "what is not damaged is still read"
